"""Photos sorted into folders of their classes: all of them, once, unchanged."""

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from thalweg.data import Photo, open_photos
from thalweg.errors import UsageError
from thalweg.prediction import Predictions, predict, sort_photos


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "in" / name)
    return tmp_path / "in"


def predicted(images, *labels, classes=("fish/chips", "面条"), bad=()):
    return Predictions(images.photos, classes, np.eye(len(classes))[list(labels)], bad)


def found(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("link", [False, True])
def test_each_photo_lies_in_the_folder_of_its_class(photos, tmp_path, link):
    images = open_photos(photos)
    placed = sort_photos(predicted(images, 0, 0, 1), images, tmp_path / "out", link=link)
    assert placed == {"fish/chips": 2, "面条": 1}
    assert found(tmp_path / "out") == {"fish_chips/a_1.png", "fish_chips/b_1.png", "面条/2.png"}
    copy = tmp_path / "out" / "面条" / "2.png"
    assert copy.read_bytes() == (photos / "b" / "2.png").read_bytes()
    assert copy.is_symlink() == link


def test_a_photo_that_cannot_be_read_is_left_out(photos, tmp_path, kept_run):
    (photos / "b" / "3.png").write_bytes(b"damaged")
    images = open_photos(photos)
    placed = sort_photos(predict(kept_run, images), images, tmp_path / "out")
    assert sum(placed.values()) == 3
    assert not any("3.png" in name for name in found(tmp_path / "out"))


def test_archives_are_copied_and_not_linked(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in photos.rglob("*.png"):
            archive.write(file, file.relative_to(photos))
    images = open_photos(tmp_path / "in.zip")
    with pytest.raises(UsageError, match="--link"):
        sort_photos(predicted(images, 0, 0, 1), images, tmp_path / "links", link=True)
    sort_photos(predicted(images, 0, 0, 1), images, tmp_path / "out")
    assert len(found(tmp_path / "out")) == 3


def test_a_folder_with_files_is_refused(photos, tmp_path):
    images = open_photos(photos)
    with pytest.raises(UsageError, match="empty"):
        sort_photos(predicted(images, 0, 0, 1), images, photos)
    assert len(found(photos)) == 3


class Archived:
    """Photos in an archive whose paths no folder would have."""

    def __init__(self, path, *names):
        self.source = SimpleNamespace(path=path)
        self.photos = tuple(Photo(name, "test", None) for name in names)

    def read(self, photo):
        return photo.path.encode()


@pytest.mark.parametrize(
    ("paths", "files"),
    [
        (["..\\..\\x.jpg"], {"a_b/.._.._x.jpg"}),
        (["p/x.jpg", "q/x.jpg"], {"a_b/p_x.jpg", "a_b/q_x.jpg"}),
        (["p/x.jpg", "q/x.jpg", "p_x.jpg"], {"a_b/p_x.jpg", "a_b/q_x.jpg", "a_b/p_x_2.jpg"}),
        (["x:y.jpg", "x?y.jpg", "x_y.jpg"], {"a_b/x_y.jpg", "a_b/x_y_2.jpg", "a_b/x_y_3.jpg"}),
    ],
)
def test_two_classes_of_one_folder_lose_no_photo_and_none_leaves_it(tmp_path, paths, files):
    images = Archived(tmp_path / "in.zip", *paths)
    labels = [number % 2 for number in range(len(paths))]
    placed = sort_photos(predicted(images, *labels, classes=("a/b", "a:b")), images, tmp_path / "out")
    assert found(tmp_path / "out") == files
    assert sum(placed.values()) == len(paths)
    assert {path.read_text() for path in (tmp_path / "out").rglob("*.jpg")} == set(paths)

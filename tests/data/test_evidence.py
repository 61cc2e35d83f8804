"""What beside the names decides or is reported: links, empty folders, copies, other files, the user's own choice."""

import json
import os
import shutil

import pytest
import typer

from thalweg.cli import data as command
from thalweg.data import LayoutChoice, check_images, open_images, open_photos
from thalweg.data.splits import choose_valid, copies_in
from thalweg.errors import DataError, UsageError
from thalweg.runs import TrainingConfig
from thalweg.runs.photos import find_photos, unlabeled_test
from thalweg.training.request import resolve


def note(images, key):
    """The values of the one note with a key."""
    (values,) = [one.values for one in images.notes if one.key == f"data.{key}"]
    return values


def keys(images):
    return {one.key.removeprefix("data.") for one in images.notes}


def counts(images):
    return [len(images.split(split)) for split in ("train", "valid", "test")]


@pytest.fixture
def tree(plant, picture):
    """Plant pictures, all different; other names get a few bytes."""

    def make(*names):
        pictures = (".jpg", ".png")
        return plant({name: picture(n) if name.endswith(pictures) else b"..." for n, name in enumerate(names)})

    return make


def class_folders(*folders, photos=4):
    return [f"{folder}/{n}.jpg" for folder in folders for n in range(photos)]


# Links


def test_a_split_that_is_a_link_to_another_loses_no_photo(tree):
    root = tree(*class_folders("valid/cat", "valid/dog"))
    (root / "train").symlink_to("valid")
    images = open_images(root)
    assert sum(counts(images)) == 8
    assert counts(images)[0] > 0
    assert note(images, "note_links")["count"] == 8
    assert "train/" in note(images, "note_links")["kept"]


@pytest.mark.parametrize("target", ["inside", "outside"])
def test_a_folder_that_only_a_link_names_is_read(tree, tmp_path, target):
    root = tree(*class_folders("train/cat", "test/cat", "test/dog"), *class_folders("elsewhere/dog"))
    home = root / "elsewhere" / "dog"
    if target == "outside":
        home = home.rename(tmp_path / "dog")
    (root / "train" / "dog").symlink_to(home)
    images = open_images(root)
    assert images.classes == ("cat", "dog")
    assert counts(images) == [6, 2, 8]


def test_a_link_to_itself_is_a_photo_that_cannot_be_read(tree):
    root = tree(*class_folders("cat", "dog"))
    (root / "cat" / "circle.jpg").symlink_to("circle.jpg")
    (root / "round").symlink_to("round")
    assert "cat/circle.jpg" in {photo.path for photo in open_images(root).photos}


def test_links_to_files_count_once(tree):
    root = tree(*class_folders("train/cat", "train/dog", "valid/dog"))
    (root / "valid" / "cat").mkdir()
    for n in range(3):
        (root / "valid" / "cat" / f"{n}.jpg").symlink_to(f"../../train/cat/{n}.jpg")
    images = open_images(root)
    assert counts(images) == [8, 4, 0]
    assert note(images, "note_links")["count"] == 3


def test_links_that_cross_come_to_an_end(tree):
    root = tree(*class_folders("cat", "dog"))
    (root / "cat" / "more").symlink_to("../dog")
    (root / "dog" / "more").symlink_to("../cat")
    images = open_images(root)
    assert sum(counts(images)) == 8
    assert images.classes == ("cat", "dog")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_named_like_a_photo_is_left_out_and_named(tree):
    root = tree(*class_folders("cat", "dog"))
    os.mkfifo(root / "cat" / "pipe.jpg")
    images = open_images(root)
    assert note(images, "note_not_files") == {"count": 1, "example": "cat/pipe.jpg"}
    assert len(check_images(images).bad) == 0
    assert len(open_photos(root).photos) == 8


# Files that are no photos


def test_every_file_that_is_no_photo_is_counted_and_named(tree):
    others = [
        "cat/a.jpg_large",
        "cat/b.jpg_large",
        "dog/noend",
        "cat/x.JXL",
        "cat/y.jpg.part",
        "cat/z.zip",
        "labels.txt",
    ]
    images = open_images(tree(*class_folders("cat", "dog"), *others))
    found = {one.ending: one.count for one in images.leftovers}
    assert found == {".jpg_large": 2, "": 1, ".jxl": 1, ".jpg.part": 1, ".zip": 1, ".txt": 1}
    assert note(images, "note_unread")["example"] == "cat/x.JXL"
    assert note(images, "note_no_photos")["count"] == 5
    assert "cat/a.jpg_large" in note(images, "note_no_photos")["kinds"]


def test_companions_of_photos_are_no_reason_to_worry(tree):
    images = open_images(tree(*class_folders("cat", "dog"), "README", "labels.xml", "cat/notes.md", "make.py"))
    assert keys(images) == {"note_split_made"}
    assert sum(one.count for one in images.leftovers) == 4


def test_class_folders_without_photos_are_named(tree):
    root = tree(*class_folders("train/cat", "train/dog"), "train/horse/1.jxl", "train/readme/about.txt")
    (root / "train" / "cow").mkdir()
    assert note(open_images(root), "note_empty_folders")["names"] == "train/cow, train/horse, train/readme"


# Classes and splits


@pytest.mark.parametrize(
    ("folders", "classes", "labels"),
    [
        (["1", "2", "10"], tuple(map(str, range(11))), {1, 2, 10}),
        (["20210101", "20220101"], ("20210101", "20220101"), {0, 1}),
        (["1", "01"], ("01", "1"), {0, 1}),
    ],
)
def test_where_folders_are_numbers_the_category_is_the_number(tree, folders, classes, labels):
    images = open_images(tree(*class_folders(*(f"train/{name}" for name in folders)), "test/a.jpg"))
    assert images.classes == classes
    assert {photo.label for photo in images.split("train")} == labels


def test_a_run_of_the_first_version_keeps_its_labels(tree):
    root = tree(*class_folders("1", "2", "10"))
    assert open_images(root, classes=("1", "2", "10")).classes == ("1", "2", "10")
    assert len(open_images(root, classes=tuple(map(str, range(11)))).classes) == 11


def test_one_photo_of_each_class_is_refused_and_of_some_is_named(tree):
    with pytest.raises(DataError) as caught:
        open_images(tree("cat/1.jpg", "dog/1.jpg", "cow/1.jpg"))
    assert caught.value.key == "data.one_photo_each"
    images = open_images(tree(*class_folders("dog")))
    assert note(images, "note_not_validated")["names"] == "cat, cow"


def test_classes_that_a_given_validation_split_lacks_are_named(tree):
    whole = open_images(tree(*class_folders("train/owl", "train/pig", "valid/owl", "valid/pig")))
    assert "note_no_validation" not in keys(whole)
    images = open_images(tree(*class_folders("train/cat", "train/cow", "train/dog"), "valid/dog/9.jpg"))
    assert note(images, "note_no_validation") == {"count": 2, "names": "cat, cow"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_split_that_is_made_keeps_copies_together(tree, packed):
    root = tree(*class_folders("cat", "dog", photos=6))
    for name in ("cat", "dog"):
        for n in range(6):
            shutil.copy(root / name / f"{n}.jpg", root / name / f"again {n}.jpg")
    path = shutil.make_archive(str(root), "zip", root) if packed else root
    for seed in range(3):
        images = open_images(path, seed=seed)
        assert counts(images) == [20, 4, 0]
        assert check_images(images).leaks == ()


def test_without_copies_the_choice_is_that_of_before(tree):
    paths = class_folders("cat", "dog", photos=10)
    photos = [(path, path[:3]) for path in paths]
    assert copies_in(open_images(tree(*paths)).source, paths) == {}
    before = choose_valid(photos, seed=3, fraction=0.2)
    assert before == {"cat/2.jpg", "cat/5.jpg", "dog/4.jpg", "dog/8.jpg"}
    together = choose_valid(photos, seed=3, fraction=0.2, copies={"cat/5.jpg": "same", "cat/0.jpg": "same"})
    assert len(together & {"cat/5.jpg", "cat/0.jpg"}) in (0, 2)


# Photos to classify


def test_a_folder_named_test_among_photos_does_not_hide_them(tree):
    assert len(open_photos(tree("a.jpg", "b.jpg", "test/c.jpg")).photos) == 3


def test_of_a_set_with_splits_the_test_split_is_taken_with_a_word(tree):
    images = open_photos(tree(*class_folders("train_images/cat", "train_images/dog"), "test_images/1.jpg"))
    assert [photo.path for photo in images.photos] == ["test_images/1.jpg"]
    assert note(images, "note_test_only") == {"count": 1, "others": 8}


def test_several_photos_in_the_order_given(tree):
    root = tree("b.jpg", "sub/a.jpg", "sub/x.txt")
    chosen = [root / "b.jpg", root / "sub" / "a.jpg"]
    images = open_photos(chosen)
    assert [photo.path for photo in images.photos] == list(map(str, chosen))
    assert images.read(images.photos[1]) == chosen[1].read_bytes()
    with pytest.raises(DataError, match=r"x\.txt"):
        open_photos([*chosen, root / "sub" / "x.txt"])


def test_the_unlabeled_test_split_of_a_training_is_what_its_submission_has(tree):
    images = open_images(tree(*class_folders("cat", "dog"), "test/1.jpg", "test/2.jpg"))
    assert [(photo.path, photo.label) for photo in unlabeled_test(images).photos] == [
        ("test/1.jpg", None),
        ("test/2.jpg", None),
    ]


# What the user says


def test_the_configuration_of_a_run_says_how_its_photos_are_read(tree):
    root = tree(*class_folders("color/cat", "color/dog", "gray/cat", "gray/dog"))
    with pytest.raises(DataError):
        find_photos(root, TrainingConfig())
    config = TrainingConfig(photo_layout="class-folders:2")
    again = TrainingConfig.from_dict(config.to_dict())
    assert find_photos(root, again).classes == ("cat", "dog")
    assert resolve("quick", {"layout": "class-folders:1"}).photo_layout == "class-folders:1"
    assert resolve("quick", {"layout": "channels-last"}).layout == "channels-last"
    with pytest.raises(UsageError):
        find_photos(root, TrainingConfig(photo_layout="folders"))


@pytest.mark.parametrize("where", ["inside", "relative", "elsewhere"])
def test_the_table_that_the_user_names(tree, tmp_path, monkeypatch, where):
    root = tree("photos/a.jpg", "photos/b.jpg", "photos/c.jpg", "photos/d.jpg", "list.csv")
    table = root / "list.csv" if where != "elsewhere" else tmp_path / "list.csv"
    lines = [f"photos/{name}.jpg,{kind}" for name, kind in zip("abcd", ["cat", "cat", "dog", "dog"], strict=True)]
    table.write_text("\n".join(["file,kind", *lines]))
    monkeypatch.chdir(root)
    named = "list.csv" if where == "relative" else str(table)
    choice = LayoutChoice(table=named, path_column="file", label_column="Kind")
    images = open_images(root, choice=choice)
    assert (images.layout, images.classes, counts(images)) == ("csv", ("cat", "dog"), [2, 2, 0])
    with pytest.raises(DataError) as caught:
        open_images(root, choice=LayoutChoice(table="no.csv"))
    assert caught.value.key == "data.no_such_table"


def test_check_takes_the_layout_and_shows_two_files_of_each_class(tree, capsys):
    root = tree(*class_folders("color/cat", "color/dog", "gray/cat", "gray/dog"), "a.jxl")
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    command.register(app)
    app(args=["data", "check", str(root), "--layout", "class-folders:2"], standalone_mode=False)
    out, err = capsys.readouterr()
    assert "color/cat/0.jpg, color/cat/" in out
    assert ".jxl" in out
    assert "training: 12 photos in ./" in err
    app(args=["data", "check", str(root), "--photo-layout", "class-folders:2", "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert len(report["examples"]["cat"]) == 2
    assert report["leftovers"] == [{"ending": ".jxl", "count": 1, "example": "a.jxl"}]

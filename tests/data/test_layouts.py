import os

import pytest

from thalweg.data import open_images, open_photos
from thalweg.errors import DataError, UsageError
from thalweg.i18n import set_language


def labels(images, split):
    return {photo.path.rpartition("/")[2]: photo.label for photo in images.split(split)}


def test_the_homeworks_layout(plant, homework):
    images = open_images(plant(homework))
    assert images.layout == "flat"
    assert images.classes == tuple(map(str, range(11)))  # a label is the homework's number
    assert [photo.label for photo in images.split("train")] == [0] * 4 + [2] * 4 + [10] * 4
    assert [photo.path for photo in images.split("test")] == [f"testing/{n:04}.jpg" for n in range(1, 5)]
    assert {photo.label for photo in images.split("test")} == {None}


@pytest.mark.parametrize("train", ["train", "training", "Training", "TRAIN"])
@pytest.mark.parametrize(
    ("valid", "test"), [("valid", "test"), ("validation", "testing"), ("val", "evaluation"), ("Val", "Test")]
)
def test_splits_go_by_many_names(plant, picture, train, valid, test):
    names = [f"{split}/{label}_1.jpg" for split in (train, valid, test) for label in (0, 1)]
    images = open_images(plant(dict.fromkeys(names, picture())))
    assert [len(images.split(split)) for split in ("train", "valid", "test")] == [2, 2, 2]
    assert labels(images, "test") == {"0_1.jpg": 0, "1_1.jpg": 1}


def test_numbers_are_read_as_numbers(plant, picture):
    names = [f"train/{label}_{n}.jpg" for label in (1, 9, 10) for n in (1, 2, 10)]
    images = open_images(plant(dict.fromkeys([*names, "valid/9_1.jpg"], picture())))
    assert [photo.path for photo in images.split("train")] == names


def test_an_unlabeled_test_split_is_in_natural_order(plant, homework, picture):
    del homework["testing/0001.jpg"]
    ids = ["1.jpg", "2.jpg", "10.jpg", "100.jpg"]
    images = open_images(plant(homework | {f"testing/{name}": picture() for name in ids}))
    assert [photo.path.removeprefix("testing/") for photo in images.split("test")][:2] == ["1.jpg", "0002.jpg"]
    assert list(labels(images, "test"))[-2:] == ["10.jpg", "100.jpg"]


def test_names_of_a_test_split_that_look_like_classes_but_are_none(plant, homework, picture):
    images = open_images(plant(homework | {"testing/2024_1.jpg": picture()}))
    assert set(labels(images, "test").values()) == {None}


def test_class_folders_with_splits(plant, picture):
    names = [f"{split}/{name}/{n}.jpg" for split in ("train", "val") for name in ("dog", "cat") for n in (1, 2)]
    images = open_images(plant(dict.fromkeys([*names, "test/a.jpg", "test/b.jpg"], picture())))
    assert images.layout == "class_folders"
    assert images.classes == ("cat", "dog")
    assert [photo.label for photo in images.split("valid")] == [0, 0, 1, 1]
    assert set(labels(images, "test").values()) == {None}


def test_class_folders_without_splits(plant, picture):
    names = [f"{name}/{n}.jpg" for name in ("class10", "class9") for n in range(10)]
    images = open_images(plant(dict.fromkeys(names, picture())), seed=3)
    assert images.classes == ("class9", "class10")
    assert [len(images.split(split)) for split in ("train", "valid", "test")] == [16, 4, 0]
    assert [photo.label for photo in images.split("valid")] == [0, 0, 1, 1]
    assert "4 photos" in str(images.notes[0])
    assert "seed 3" in str(images.notes[0])


def test_a_test_split_may_be_one_folder_of_photos_without_classes(plant, picture):
    names = [f"train/{name}/{n}.jpg" for name in ("cat", "dog") for n in range(5)]
    images = open_images(plant(dict.fromkeys([*names, "test/images/1.jpg"], picture())))
    assert labels(images, "test") == {"1.jpg": None}


def test_folders_below_a_class_belong_to_it(plant, picture):
    names = [f"{name}/{year}/{n}.jpg" for name in ("cat", "dog") for year in (1, 2) for n in range(3)]
    assert open_images(plant(dict.fromkeys(names, picture()))).classes == ("cat", "dog")


def test_the_flat_layout_without_splits(plant, picture):
    images = open_images(plant({f"{label}_{n}.png": picture(kind="PNG") for label in (0, 1) for n in range(5)}))
    assert images.layout == "flat"
    assert len(images.split("valid")) == 2


def test_a_folder_around_it_all_is_stepped_into(plant, homework):
    images = open_images(plant({f"food/food-11/{name}": content for name, content in homework.items()}))
    assert len(images.split("train")) == 12
    assert images.read(images.split("train")[0]) == homework["training/0_0.jpg"]


def test_what_systems_leave_behind_is_ignored(plant, homework, picture):
    litter = [".DS_Store", "__MACOSX/training/._0_1.jpg", "training/.hidden.jpg", "training/Thumbs.db", ".git/a.jpg"]
    images = open_images(plant(homework | dict.fromkeys(litter, picture())))
    assert len(images.photos) == len(homework)
    assert not images.notes[1:]


def test_pictures_outside_the_layout_are_reported(plant, homework, picture):
    images = open_images(plant(homework | {"cover.jpg": picture(), "unlabeled/1.jpg": picture()}))
    assert len(images.photos) == len(homework)
    assert any("2 pictures outside" in str(note) and "cover.jpg" in str(note) for note in images.notes)


def test_photos_of_kinds_that_cannot_be_read_are_reported(plant, homework):
    images = open_images(plant(homework | {"training/0_77.JXL": b"?", "classes.md": b""}))
    assert any("1 photos of a format" in str(note) and "0_77.JXL" in str(note) for note in images.notes)


def test_a_link_that_leads_back_does_not_go_round_for_ever(plant, homework):
    root = plant(homework)
    (root / "training" / "again").symlink_to(root, target_is_directory=True)
    assert len([name for name in open_images(root).source.names() if name.endswith(".jpg")]) == len(homework)


def test_class_names_come_from_the_file_beside_the_photos(plant, homework):
    names = [f"dish {n}" for n in range(11)]
    images = open_images(plant(homework | {"classes.txt": "\n".join(names).encode()}))
    assert images.classes == tuple(names)


def test_class_names_come_from_a_file_given(plant, picture, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\ufeffdog\ncat\n", encoding="utf-8")
    files = {f"{name}/{n}.jpg": picture() for name in ("cat", "dog") for n in range(3)}
    images = open_images(plant(files), classes=str(names))
    assert images.classes == ("dog", "cat")  # the file's order
    assert {photo.path[:3]: photo.label for photo in images.photos} == {"dog": 0, "cat": 1}
    names.write_text("Katze\nHund\n", encoding="utf-8")  # by position only where the folders are numbers
    assert refusal(plant(files), classes=str(names)).key == "data.names_of_others"


@pytest.mark.parametrize(("language", "name"), [("en", "Noodles/Pasta"), ("zh-CN", "面条/意面")])
def test_the_eleven_names_of_food_11(plant, homework, language, name):
    set_language(language)
    try:
        images = open_images(plant(homework), classes="food11")
        assert len(images.classes) == 11
        assert images.classes[6] == name
    finally:
        set_language(None)


def test_classes_without_a_photo_are_reported(plant, homework):
    images = open_images(plant(homework), classes="food11")
    note = next(str(note) for note in images.notes if "no photo in the training split" in str(note))
    assert "Dairy product" in note
    assert "Bread" not in note


def test_the_split_made_is_the_same_again_and_of_another_seed_another(plant, picture):
    root = plant({f"{name}/{n}.jpg": picture() for name in ("cat", "dog") for n in range(30)})
    chosen = [{photo.path for photo in open_images(root, seed=seed).split("valid")} for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    (root / "cat" / "new.jpg").write_bytes(picture())
    grown = {photo.path for photo in open_images(root, seed=0).split("valid")}
    assert len(grown & chosen[0]) >= 11  # a new photo does not deal the cards anew


def test_of_two_photos_one_is_for_validation(plant, picture):
    images = open_images(plant({f"{name}/{n}.jpg": picture() for name in ("cat", "dog") for n in range(2)}))
    assert [photo.label for photo in images.split("valid")] == [0, 1]


def test_describe_says_which_layout(plant, homework):
    sentence = open_images(plant(homework)).describe()
    assert "flat layout" in sentence
    assert "12 for training" not in sentence  # the sentence counts photos
    assert "12 photos for training, 6 for validation, 4 for testing" in sentence


# What bad input gets


def refusal(path, **options):
    with pytest.raises(DataError) as caught:
        open_images(path, **options)
    return caught.value


def test_a_folder_without_pictures(plant):
    assert refusal(plant({"notes.txt": b"hello"})).key == "data.no_images"


def test_nothing_there(tmp_path):
    assert refusal(tmp_path / "nowhere").key == "data.not_there"


def test_a_file_of_another_kind(plant):
    assert refusal(plant({"notes.txt": b"hello"}) / "notes.txt").key == "data.unknown_kind"


def test_a_class_in_validation_that_training_lacks(plant, homework, picture):
    error = refusal(plant(homework | {"validation/7_1.jpg": picture()}))
    assert error.key == "data.class_not_in_training"
    assert "7_1.jpg" in str(error)


@pytest.mark.parametrize("name", ["cat_1.jpg", "17.jpg", "_1.jpg", "-1_1.jpg"])
def test_labels_that_are_not_numbers(plant, homework, picture, name):
    error = refusal(plant(homework | {f"training/{name}": picture()}))
    assert error.key == "data.label_not_a_number"
    assert name in str(error)
    assert "1 of 13" in str(error)


def test_one_class_only(plant, picture):
    assert refusal(plant({f"train/3_{n}.jpg": picture() for n in range(4)})).key == "data.one_class"
    assert refusal(plant({f"cats/{n}.jpg": picture() for n in range(4)}, "pets")).key == "data.one_class"


def test_no_training_split(plant, picture):
    assert refusal(plant({"test/0_1.jpg": picture(), "val/0_1.jpg": picture()})).key == "data.no_training_split"


def test_numbers_that_are_no_classes(plant, picture):
    files = {f"train/{20240100 + n}_1.jpg": picture() for n in range(9)}
    assert refusal(plant(files)).key == "data.numbers_too_sparse"


def test_fewer_names_than_classes(plant, homework, tmp_path):
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    assert refusal(plant(homework), classes=str(tmp_path / "names.txt")).key == "data.too_few_names"


def test_class_names_that_are_not_there(plant, homework):
    with pytest.raises(UsageError) as caught:
        open_images(plant(homework), classes="food12")
    assert "food11" in str(caught.value)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_a_share_that_is_none(plant, picture, fraction):
    root = plant({f"{name}/{n}.jpg": picture() for name in ("cat", "dog") for n in range(3)})
    with pytest.raises(UsageError):
        open_images(root, valid_fraction=fraction)


def test_a_folder_that_may_not_be_read_is_not_skipped(plant, homework, monkeypatch):
    root = plant(homework)
    scandir = os.scandir

    def refuse(path):  # permissions would not stop a test that runs as the superuser
        if str(path).endswith("training"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    error = refusal(root)
    assert error.key == "data.unreadable_folder"
    assert "training" in str(error)


# Photos to classify


def test_photos_need_no_labels(plant, picture):
    files = ["b/10.jpg", "b/9.jpg", "a.png"]
    photos = open_photos(plant(dict.fromkeys(files, picture())))
    assert [photo.path for photo in photos.photos] == ["a.png", "b/9.jpg", "b/10.jpg"]
    assert {(photo.split, photo.label) for photo in photos.photos} == {("test", None)}
    assert "3 photos" in photos.describe()


def test_of_a_whole_set_the_test_split_is_taken(plant, homework):
    root = plant(homework)
    assert [photo.path for photo in open_photos(root).photos] == [f"testing/{n:04}.jpg" for n in range(1, 5)]
    assert len(open_photos(root / "validation").photos) == 6


def test_a_single_photo(plant, picture):
    photos = open_photos(plant({"lunch.jpg": picture(4)}) / "lunch.jpg")
    assert [photo.path for photo in photos.photos] == ["lunch.jpg"]
    assert photos.read(photos.photos[0]) == picture(4)


def test_no_photos_to_classify(plant):
    with pytest.raises(DataError):
        open_photos(plant({"readme.md": b"nothing"}))


def test_runs_among_the_photos_are_no_photos(plant, picture):
    files = {f"{name}/{n}.jpg": picture(n) for name in ("cat", "dog") for n in range(3)}
    files |= {f"runs/photos/{name}": b"" for name in ("config.toml", "split.csv")}
    files |= {f"runs/photos/{name}.png": picture(kind="PNG") for name in ("curves", "folds/0/tsne-top")}
    root = plant(files)
    assert open_images(root).classes == ("cat", "dog")
    assert len(open_photos(root).photos) == 6


@pytest.mark.parametrize("name", ["train", "test", "val"])
def test_a_class_may_be_called_like_a_split(plant, picture, name):
    images = open_images(
        plant({f"{kind}/{n}.jpg": picture() for kind in ("bus", "car", name) for n in ("a", "b", "c")})
    )
    assert set(images.classes) == {"bus", "car", name}
    assert len(images.photos) == 9


def test_names_of_another_encoding_are_refused_with_what_they_say(tmp_path, picture):
    (tmp_path / "cat").mkdir()
    path = os.fsencode(tmp_path / "cat") + b"/" + "照片.jpg".encode("gb18030")
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - pathlib takes no bytes
            file.write(picture())
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(DataError, match=r"照片\.jpg"):
        open_images(tmp_path)


def test_names_of_classes_in_another_encoding_are_refused(plant, picture):
    files = {f"{name}/{n}.jpg": picture() for name in "ab" for n in range(3)}
    with pytest.raises(DataError, match=r"classes\.txt is not UTF-8"):
        open_images(plant(files | {"classes.txt": "猫\n狗\n".encode("gb18030")}))

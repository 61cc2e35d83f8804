"""Tables of other tools and competitions beside the photos: which is taken, how its rows are read, and what is said."""

import zipfile

import pytest

from thalweg.data import open_images, open_photos
from thalweg.errors import DataError


PHOTO = b"not looked at"
NAMES = [f"{n:03}" for n in range(12)]
KINDS = ("cat", "dog")


def kind(n):
    return KINDS[int(n) % 2]


def csv(header, *columns):
    return "\n".join([header, *map(",".join, zip(*columns, strict=True))]).encode()


def labels(images, split=None):
    return {
        photo.path: None if photo.label is None else images.classes[photo.label]
        for photo in images.photos
        if split in (None, photo.split)
    }


IDS = csv("image_id,dx", NAMES, map(kind, NAMES))
FILES = [f"{name}.jpg" for name in NAMES]


@pytest.mark.parametrize(
    ("folder", "table", "content"),
    [
        ("train_images/", "train.csv", IDS),
        ("", "labels.csv", IDS),
        ("a/b/", "labels.csv", csv("id,breed", NAMES, map(kind, NAMES))),
        ("img/", "img/metadata.csv", csv("file_name,label", FILES, map(kind, NAMES))),
        ("img/", "m.csv", csv("age,Image Path,diagnosis", NAMES, [f"img\\{f}" for f in FILES], map(kind, NAMES))),
        ("img/", "m.tsv", csv("filename,class", FILES, map(kind, NAMES)).replace(b",", b"\t")),
        ("img/", "m.csv", csv("filename,class", FILES, map(kind, NAMES)).replace(b",", b";")),
        ("img/", "m.csv", csv("图片,类别", FILES, map(kind, NAMES)).decode().encode("utf-16")),
        ("img/", "m.csv", csv("whatever,species", FILES, map(kind, NAMES))),  # the path is what is a photo
        ("img/", "m.csv", csv("id,image,label", NAMES[::-1], FILES, map(kind, NAMES)).replace(b"id,", b"id,", 1)),
        ("img/", "m.csv", csv("image,label,label_name", FILES, [str(int(n) % 2) for n in NAMES], map(kind, NAMES))),
        ("img/", "m.csv", csv("path,label", [f"/kaggle/input/pets/img/{f}" for f in FILES], map(kind, NAMES))),
        ("img/", "a/m.csv", csv("file,label", [f"C:\\pets\\img\\{f}" for f in FILES], map(kind, NAMES))),
        ("img/", "m.csv", csv("image,kind", FILES, map(kind, NAMES))),  # the only words that repeat
        (
            "img/",
            "_classes.csv",
            csv("filename, cat, dog", FILES, [str(1 - int(n) % 2) for n in NAMES], [str(int(n) % 2) for n in NAMES]),
        ),
    ],
)
def test_a_table_whose_rows_are_photos_is_taken(plant, folder, table, content):
    if table == "m.csv" and content.startswith(b"id,image"):
        content = csv("id,image,label", [f"x{n}" for n in NAMES], FILES, map(kind, NAMES))
    root = plant(dict.fromkeys((folder + file for file in FILES), PHOTO) | {table: content})
    images = open_images(root)
    assert images.layout == "csv"
    assert labels(images) == {folder + file: kind(n) for n, file in zip(NAMES, FILES, strict=True)}
    if "/" not in table:
        assert labels(open_images(root / table)) == labels(images)


@pytest.mark.parametrize("below", [False, True])
def test_tables_of_the_splits_are_one_set(plant, below):
    files = {}
    for split, rows in (("train", NAMES[:6]), ("valid", NAMES[6:9]), ("test", NAMES[9:])):
        photos = [f"{n}.jpg" if below else f"img/{n}.jpg" for n in rows]
        header, kinds = ("file_name,label", map(kind, rows)) if split != "test" or below else ("file_name,age", rows)
        files[f"{split}/metadata.csv" if below else f"{split}.csv"] = csv(header, photos, kinds)
        files |= {f"{split}/{photo}" if below else photo: PHOTO for photo in photos}
    images = open_images(plant(files))
    assert [len(images.split(name)) for name in ("train", "valid", "test")] == [6, 3, 3]
    assert set(labels(images, "test").values()) == (set(KINDS) if below else {None})


def test_photos_of_a_test_folder_that_no_table_lists_are_to_be_classified(plant):
    files = dict.fromkeys([f"train_images/{f}" for f in FILES] + ["test_images/7.jpg", "test_images/003.jpg"], PHOTO)
    root = plant(files | {"train.csv": IDS, "sample_submission.csv": b"image_id,dx\n7,cat\n003,cat\n"})
    images = open_images(root)
    assert labels(images, "test") == {"test_images/7.jpg": None, "test_images/003.jpg": None}
    assert [photo.path for photo in open_photos(root).photos] == ["test_images/003.jpg", "test_images/7.jpg"]
    assert any("sample_submission.csv" in str(note) for note in images.notes)


@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("out-of-fold.csv", csv("path,fold,label,predicted,cat,dog", FILES, *[NAMES] * 5)),
        ("results.csv", csv("path,fold,label,predicted,cat,dog", FILES, *[NAMES] * 5)),
        ("split.csv", csv("path,split,label", [f"dog/{f}" for f in FILES], ["train"] * 12, ["x", "y"] * 6)),
        ("submission.csv", csv("Id,Category", NAMES, ["0", "1"] * 6)),
        ("predictions.csv", csv("Id,Category,cat,dog", NAMES, ["0", "1"] * 6, NAMES, NAMES)),
        ("boxes.csv", csv("filename,class,x", FILES * 2, ["cat", "dog"] * 12, NAMES * 2)),
        ("others.csv", csv("filename,class", [f"x{f}" for f in FILES], ["x", "y"] * 6)),
        ("broken.csv", b'filename,class\n"000.jpg,cat\n'),
    ],
)
def test_results_and_tables_about_something_else_are_not_taken_but_named(plant, table, content):
    root = plant({f"{kind(n)}/{n}.jpg": PHOTO for n in NAMES} | {table: content})
    images = open_images(root)
    assert images.layout == "class_folders"
    assert images.classes == KINDS
    assert any(table in str(note) for note in images.notes)


def test_a_table_that_says_nothing_of_classes_is_no_matter(plant):
    photos = {f"{kind(n)}/{n}.jpg": PHOTO for n in NAMES}
    assert not [n for n in open_images(plant(photos | {"log.csv": b"step,loss\n1,2\n"})).notes if "csv" in str(n)]


@pytest.mark.parametrize(
    ("header", "second", "key"),
    [
        ("image,label,category", ["x"] * 6 + ["y"] * 6, "data.table_two_labels"),
        ("image,label,label", map(kind, NAMES), "data.table_column_twice"),
        ("image,age,size", NAMES, "data.table_header"),
    ],
)
def test_columns_that_may_be_either_are_asked_for(plant, header, second, key):
    root = plant(dict.fromkeys(FILES, PHOTO) | {"m.csv": csv(header, FILES, map(kind, NAMES), second)})
    with pytest.raises(DataError) as caught:
        open_images(root / "m.csv")
    assert caught.value.key == key


def test_an_id_of_two_photos_is_asked_for_with_its_line(plant):
    root = plant(dict.fromkeys([f"{side}/{f}" for side in "lr" for f in FILES], PHOTO) | {"m.csv": IDS})
    with pytest.raises(DataError, match=r"m\.csv:2: 000 may be l/000\.jpg or r/000\.jpg"):
        open_images(root / "m.csv")


@pytest.mark.parametrize("header", ["path", "file_name"])
def test_a_table_of_paths_only_is_enough_to_classify(plant, header):
    root = plant(dict.fromkeys(FILES, PHOTO) | {"todo.csv": csv(header, FILES[3:])})
    assert [photo.path for photo in open_photos(root / "todo.csv").photos] == FILES[3:]


@pytest.mark.parametrize("in_table", [False, True])
def test_a_photo_is_found_however_its_accents_are_spelled(plant, in_table):
    one, two = "Cafe\u0301", "Caf\u00e9"
    spelled = one if in_table else two
    files = {f"{two if in_table else one}/{n}.jpg": PHOTO for n in range(4)} | {f"b/{n}.jpg": PHOTO for n in range(4)}
    rows = [f"{folder}/{n}.jpg,{label}" for folder, label in ((spelled, one), ("b", "x")) for n in range(2)]
    rows += [f"{folder}/{n}.jpg,{label}" for folder, label in ((spelled, two), ("b", "x")) for n in (2, 3)]
    root = plant(files | {"m.csv": "\n".join(["path,label", *rows]).encode()})
    images = open_images(root)
    assert images.classes == (two, "x")
    assert all(images.read(photo) == PHOTO for photo in images.photos)


def test_a_table_in_an_archive(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in FILES:
            archive.writestr(f"set/train_images/{file}", PHOTO)
        archive.writestr("set/train.csv", IDS)
    assert labels(open_images(path))["set/train_images/001.jpg"] == "dog"


def test_a_test_table_of_paths_alone_is_what_is_to_be_classified(plant):
    parts = {"train.csv": csv("image,label", FILES[:8], map(kind, NAMES[:8])), "test.csv": csv("image", FILES[8:])}
    images = open_images(plant(dict.fromkeys((f"img/{file}" for file in FILES), PHOTO) | parts))
    assert labels(images, "test") == dict.fromkeys((f"img/{file}" for file in FILES[8:]), None)


def test_numbers_that_a_spreadsheet_wrote_as_fractions_are_numbers(plant):
    table = csv("path,label", [f"img/{file}" for file in FILES], [f"{int(n) % 3}.0" for n in NAMES])
    images = open_images(plant(dict.fromkeys((f"img/{file}" for file in FILES), PHOTO) | {"m.csv": table}))
    assert images.classes == ("0", "1", "2")


def test_a_column_of_widths_is_no_class(plant):
    table = csv("path,width", [f"cat/{file}" for file in FILES], ["48", "64"] * 6)
    images = open_images(
        plant(dict.fromkeys([f"cat/{f}" for f in FILES] + ["dog/a.jpg", "dog/b.jpg"], PHOTO) | {"m.csv": table})
    )
    assert images.layout == "class_folders"

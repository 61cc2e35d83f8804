import pytest

from thalweg.data import open_images, open_photos
from thalweg.errors import DataError


PATHS = [f"img/{n}.jpg" for n in range(12)]


@pytest.fixture
def table(plant, picture):
    def write(lines, name="labels.csv"):
        text = lines if isinstance(lines, bytes) else "\n".join(lines).encode()
        return plant(dict.fromkeys(PATHS, picture()) | {name: text})

    return write


def rows(label=lambda n: n % 3, split=None):
    header = "path,label" + (",split" if split else "")
    return [header, *(f"{path},{label(n)}" + (f",{split(n)}" if split else "") for n, path in enumerate(PATHS))]


def test_a_table_of_numbers(table):
    images = open_images(table(rows()) / "labels.csv")
    assert images.layout == "csv"
    assert images.classes == ("0", "1", "2")
    assert len(images.split("valid")) == 3  # one of four, of each class


def test_a_table_of_names_with_splits(table):
    split = lambda n: ("train", "val", "test")[n // 4] if n != 11 else "test"  # noqa: E731 - it fits on a line
    label = lambda n: "" if n == 11 else ("cat", "dog")[n % 2]  # noqa: E731 - the same
    images = open_images(table(rows(label, split)) / "labels.csv")
    assert images.classes == ("cat", "dog")
    assert [len(images.split(name)) for name in ("train", "valid", "test")] == [4, 4, 4]
    assert [photo.label for photo in images.split("test")] == [0, 1, 0, None]


def test_a_table_in_the_folder_is_found(table):
    assert open_images(table(rows())).layout == "csv"


def test_photos_to_predict_are_those_of_the_table_wherever_it_lies(table, tmp_path):
    root = table(rows(split=lambda n: "test" if n >= 8 else "train"))
    for path in (root, root / "labels.csv"):
        assert [photo.path for photo in open_photos(path).photos] == PATHS[8:]


def test_other_tables_do_not_count(table, plant, homework):
    assert open_images(plant(homework | {"sample_submission.csv": b"Id,Category\n0001,0\n"}, "flat")).layout == "flat"


def test_columns_in_any_order_and_files_as_spreadsheets_write_them(table):
    text = "\ufeffLabel, Path\r\n" + "".join(f'"{n % 2}","{path}"\r\n' for n, path in enumerate(PATHS))
    assert open_images(table(text.encode()) / "labels.csv").classes == ("0", "1")


def test_paths_as_windows_writes_them(table):
    images = open_images(table([line.replace("/", "\\") for line in rows()]) / "labels.csv")
    assert images.read(images.photos[0])


@pytest.mark.parametrize(
    ("lines", "key", "place"),
    [
        (["file,size", "a.jpg,1"], "data.table_header", "file, size"),
        ([*rows(), "img/0.jpg,1"], "data.table_twice", "labels.csv:14"),
        ([*rows(), "img/x.jpg,"], "data.table_gap", "labels.csv:14"),
        ([*rows(), ",1"], "data.table_gap", "labels.csv:14"),
        (rows(split=lambda _: "tset"), "data.table_split", "tset"),
        (["path,label"], "data.no_images", "labels.csv"),
        ("path,label\nimg/面.jpg,1\n".encode("gbk"), "data.table_not_utf8", "labels.csv"),
        (rows(label=lambda _: 4), "data.one_class", "labels.csv"),
        (
            rows(label=lambda n: n, split=lambda n: "val" if n == 11 else "train"),
            "data.class_not_in_training",
            "img/11.jpg",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(table, lines, key, place):
    with pytest.raises(DataError) as caught:
        open_images(table(lines) / "labels.csv")
    assert caught.value.key == key
    assert place in str(caught.value)


def test_two_tables_are_one_too_many(table, plant):
    root = table(rows())
    (root / "more.csv").write_text("path,label\n")
    with pytest.raises(DataError) as caught:
        open_images(root)
    assert caught.value.key == "data.two_tables"


def test_the_photos_of_a_table_can_be_classified(table):
    assert len(open_photos(table(rows()) / "labels.csv").photos) == 12


def test_of_a_table_with_a_test_split_that_is_classified(table):
    root = table(rows(split=lambda n: "test" if n > 8 else "train"))
    assert [photo.path for photo in open_photos(root / "labels.csv").photos] == PATHS[9:]

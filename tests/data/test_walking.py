"""A folder is looked at once, whatever lies in it; names sort as a literal twin of the natural order sorts them."""

import json
import os
import random
import re
from pathlib import Path

import pytest

from thalweg.data import open_images, open_photos
from thalweg.data.digests import _A_LINE, digest, digests_of
from thalweg.data.photos import Photo, in_natural_order, natural_key
from thalweg.data.sources import FolderSource
from thalweg.data.splits import copies_in
from thalweg.data.walking import walk
from thalweg.errors import DataError


def twin_key(name):
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return (*((0, int(part)) if part.isdecimal() else (1, part.casefold()) for part in parts), (-1, name))


def test_names_sort_as_numbers_and_words():
    choose = random.Random(0)
    letters = [*"aAbBsSßẞſ0019230/._ -\0\1\2\3éÉ٣४²½Ⅷ０字İıﬁ", "e\u0301", "9" * 300, "00"]
    names = {"".join(choose.choices(letters, k=choose.randint(0, 7))) for _ in range(3000)}
    assert sorted(names, key=natural_key) == sorted(names, key=twin_key)


def test_splits_come_one_after_another_each_in_natural_order():
    photos = [Photo(f"{n}.jpg", split, None) for split in ("test", "train", "valid") for n in (10, 9, 1)]
    found = [(photo.split, photo.path) for photo in in_natural_order(photos)]
    assert found == [(split, f"{n}.jpg") for split in ("train", "valid", "test") for n in (1, 9, 10)]


def by_os_walk(root):
    hidden = re.compile(r"(^|/)(\.|Thumbs\.db$|__MACOSX(/|$))")
    files = (Path(home, name) for home, _, names in os.walk(root, followlinks=True) for name in names)
    paths = [file.relative_to(root).as_posix() for file in files]
    return tuple(sorted(path for path in paths if not hidden.search(path)))


def test_all_files_are_found_in_the_order_of_their_letters(tmp_path):
    names = (
        "b/2.jpg b/10.jpg B/1.jpg a-b/1.jpg a/b/1.jpg a/.hidden/1.jpg a/.x.jpg Thumbs.db __MACOSX/1.jpg 猫/1.jpg c.jpg"
    )
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"...")
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    tree = walk(str(tmp_path))
    assert tree.names == by_os_walk(tmp_path)
    assert tree.empty == ["empty"]
    assert tree.links.keys() == {"linked", "gone.jpg"}


def test_a_link_back_ends(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"...")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert walk(str(tmp_path)).names == ("a/1.jpg",)


def test_a_name_that_is_no_text_is_named(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xc3\xa8\xff.jpg", "wb") as file:  # noqa: PTH123 - its name is no text
        file.write(b"...")
    with pytest.raises(DataError, match="UTF-8"):
        walk(str(tmp_path))


def test_progress_counts_files_then_those_compared(plant, picture):
    reports = []
    root = plant({f"{name}/{number}.png": picture() for name in ("cat", "dog") for number in range(5)})
    images = open_images(root, progress=lambda *report: reports.append(report))
    assert reports[0] == (10, 10)
    assert reports[-1] == (10, 10)  # equal photos have equal sizes
    assert len(images.photos) == 10
    reports.clear()
    open_photos(root, progress=lambda *report: reports.append(report))
    assert reports == [(10, 10)]


def test_a_large_folder_reports_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr("thalweg.data.walking._AT_ONCE", 4)
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.jpg").write_bytes(b"...")
    reports = []
    walk(str(tmp_path), progress=lambda *report: reports.append(report))
    assert reports == [(5, 0), (10, 0), (15, 0), (15, 15)]


@pytest.fixture
def old_files(tmp_path):
    """Files whose dates can be trusted."""
    for number in range(7):
        file = tmp_path / "set" / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"%d" % (number % 3))
        os.utime(file, (1_700_000_000, 1_700_000_000 + number))
    return FolderSource(tmp_path / "set")


def test_what_is_stored_is_not_read_again(old_files, tmp_path, monkeypatch):
    monkeypatch.setattr("thalweg.data.digests._A_LINE", 2)
    names = old_files.names()
    expected = [digest(b"%d" % (number % 3)) for number in range(7)]
    assert digests_of(old_files, names[:3], folder=tmp_path) == expected[:3]
    read = []
    monkeypatch.setattr(old_files, "read", lambda name: read.append(name) or FolderSource.read(old_files, name))
    assert digests_of(old_files, names, folder=tmp_path) == expected
    assert sorted(read) == list(names[3:])
    read.clear()
    changed = old_files.path / "1.jpg"
    changed.write_bytes(b"new")
    os.utime(changed, (1_700_000_000, 1_700_000_100))
    expected[1] = digest(b"new")
    for _ in range(2):
        assert digests_of(old_files, names, folder=tmp_path) == expected
    assert read == ["1.jpg"]
    (memory,) = (tmp_path / "digests").glob("*.json")
    lines = [json.loads(line) for line in memory.read_text().splitlines()]
    assert sorted(name for line in lines for name in line) == list(names)  # each once
    assert max(map(len, lines)) <= 2 < _A_LINE


def test_digests_of_one_object_are_read_as_before(old_files, tmp_path, monkeypatch):
    names = old_files.names()
    expected = digests_of(old_files, names, folder=tmp_path)
    (memory,) = (tmp_path / "digests").glob("*.json")
    whole = {name: entry for line in memory.read_text().splitlines() for name, entry in json.loads(line).items()}
    memory.write_text(json.dumps(whole))  # as earlier versions wrote it
    monkeypatch.setattr(old_files, "read", None)
    assert digests_of(old_files, names, folder=tmp_path) == expected


def test_a_line_that_is_cut_off_renews_all(old_files, tmp_path, monkeypatch):
    monkeypatch.setattr("thalweg.data.digests._A_LINE", 2)
    names = old_files.names()
    expected = digests_of(old_files, names, folder=tmp_path)
    (memory,) = (tmp_path / "digests").glob("*.json")
    memory.write_bytes(memory.read_bytes()[:-20])
    assert digests_of(old_files, names, folder=tmp_path) == expected
    assert len(memory.read_text().splitlines()) == 4


def test_only_files_of_equal_size_are_read(old_files, monkeypatch):
    (old_files.path / "alone.jpg").write_bytes(b"no other has this size")
    source = FolderSource(old_files.path)
    read = []
    monkeypatch.setattr(source, "read", lambda name: read.append(name) or FolderSource.read(source, name))
    reports = []
    copies = copies_in(source, [*source.names(), "gone.jpg"], progress=lambda *report: reports.append(report))
    assert copies == {f"{number}.jpg": digest(b"%d" % (number % 3)) for number in range(7)}
    assert sorted(read) == [f"{number}.jpg" for number in range(7)]
    assert reports == [(7, 7)]

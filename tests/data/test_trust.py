"""What the cache trusts: dates of files, its digests, its manifest, its pixels."""

import json
import os
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.data import build_cache, open_images, open_photos
from thalweg.data.digests import _trusted, digest
from thalweg.data.sources import stamp_of
from thalweg.errors import DataError


@pytest.fixture
def images(plant, homework):
    return open_images(plant(homework))


@pytest.fixture
def spoiled(plant, homework):
    """Three photos that cannot be used among the others."""
    return open_images(
        plant(homework | {"training/0_7.jpg": b"", "training/2_7.jpg": b"?", "validation/0_7.jpg": b"?"})
    )


# Files exchanged with equal sizes and dates


def flat(value, kind="BMP"):
    """A picture whose file has the same size whatever its color."""
    file = BytesIO()
    Image.new("RGB", (16, 16), (value, value, value)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("how", ["renamed", "written", "unpacked"])
@pytest.mark.parametrize("date", ["of 1980", "of last week"])
def test_files_exchanged_with_equal_size_and_date_are_seen(plant, how, date):
    names = [f"{label}/{n}.bmp" for label in ("cat", "dog") for n in range(4)]
    root = plant({name: flat(20 * place) for place, name in enumerate(names)})
    seconds = 315_532_800 if date == "of 1980" else time.time() - 7 * 86400

    def dated():
        for name in names:
            os.utime(root / name, (seconds, seconds))

    dated()
    build_cache(open_images(root), size=4)
    one, other = root / names[0], root / names[5]
    first, second = one.read_bytes(), other.read_bytes()
    if how == "renamed":
        one.rename(root / "aside")
        other.rename(one)
        (root / "aside").rename(other)
    elif how == "written":
        one.write_bytes(second)
        other.write_bytes(first)
    else:
        for path, content in ((one, second), (other, first)):
            path.unlink()
            path.write_bytes(content)
    dated()
    cache = build_cache(open_images(root), size=4)
    value_of = {photo.path: int(row.max()) for photo, row in zip(cache.photos, cache.images_NHWC, strict=True)}
    assert (value_of[names[0]], value_of[names[5]]) == (100, 0)


def test_dates_that_are_equal_everywhere_are_not_believed():
    image_of_a_disk = [f"{size}-1600000000000000000-1600000000000000000-{size + 7}" for size in range(3)]
    assert _trusted(image_of_a_disk) == [None] * 3
    ordinary = [*image_of_a_disk[:2], "5-1600000000000000000-1700000000123456789-9"]
    assert _trusted(ordinary) == ordinary
    assert _trusted(["12-4711", None, "x"]) == ["12-4711", None, "x"]  # an archive's


def test_a_file_without_a_date_has_no_stamp(monkeypatch):
    date = {"st_mtime_ns": 315_532_800 * 10**9, "st_ctime_ns": 315_532_800 * 10**9}
    status = os.stat_result((0o100644, 7, 1, 1, 0, 0, 99, 0, 0, 0), date)
    monkeypatch.setattr("thalweg.data.sources.os.stat", lambda _path: status)
    assert stamp_of(Path("a.jpg")) is None


@pytest.mark.parametrize(
    "entry",
    [["12-34", "ab" * 16], ["12-34", 5, ""], [None, "ab" * 16, ""], "text", ["12-34", "ab", "dc", 1], [[], {}, ""]],
)
def test_digests_of_older_versions_and_damaged_ones_are_renewed(images, own_cache, entry):
    cache = build_cache(images, size=8)
    memory = own_cache / "digests" / f"{digest(str(images.root.resolve()).encode())}.json"
    memory.parent.mkdir(exist_ok=True)
    memory.write_text(json.dumps({photo.path: entry for photo in images.photos}))
    assert build_cache(images, size=8).fingerprint == cache.fingerprint


# The manifest is not believed


def changed(**entries):
    return lambda manifest: manifest | entries


def without_seal(change):
    def both(manifest):
        return {name: value for name, value in change(manifest).items() if name not in {"seal", "sums", "cache"}}

    return both


EMPTY = "data.bad_empty"


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: [manifest],
        lambda _: json.loads("[" * 900 + "]" * 900),
        changed(rows=True),
        changed(rows="22"),
        changed(rows=22.0),
        changed(bad=[[99, EMPTY, {}], [0, EMPTY, {}], [1, EMPTY, {}]]),
        changed(bad=[[-1, EMPTY, {}], [0, EMPTY, {}], [1, EMPTY, {}]]),
        changed(bad=[[3, EMPTY, {"path": "x"}], [3, EMPTY, {"path": "x"}], [4, EMPTY, {"path": "x"}]]),
        changed(bad=[["3", EMPTY, {"path": "x"}], [4, EMPTY, {"path": "x"}], [5, EMPTY, {"path": "x"}]]),
        changed(bad=[]),
        changed(bad={}),
        changed(bad=[[1, 2], 3, None]),
        changed(bad=[[n, "data.bad_nonsense", {"path": "x"}] for n in range(3)]),
        changed(bad=[[n, "data.bad_truncated", {"path": "x", "size": "many"}] for n in range(3)]),
        changed(bad=[[n, EMPTY, "values"] for n in range(3)]),
        lambda manifest: manifest | {"may_pass": "no"},
    ],
)
@pytest.mark.parametrize("version", [lambda change: change, without_seal], ids=["sealed", "older"])
def test_a_manifest_that_does_not_fit_its_photos_is_made_again_with_a_word(spoiled, damage, version):
    cache = build_cache(spoiled, size=8)
    assert cache.notes == ()
    manifest = cache.path.with_name("manifest.json")
    entries = json.loads(manifest.read_bytes())
    damaged = damage(entries) if isinstance(damage(entries), list) else version(damage)(entries)
    manifest.write_text(json.dumps(damaged))
    again = build_cache(spoiled, size=8)
    assert [str(note).split()[0] for note in again.notes] == ["The"]
    assert again.photos == cache.photos
    assert [str(bad) for bad in again.bad] == [str(bad) for bad in cache.bad]
    assert build_cache(spoiled, size=8).notes == ()


def test_shifted_rows_are_seen(spoiled):
    """Every photo between the two positions would have the label of its neighbor."""
    cache = build_cache(spoiled, size=8)
    manifest = cache.path.with_name("manifest.json")
    entries = json.loads(manifest.read_bytes())
    entries["bad"][0][0] -= 1
    manifest.write_text(json.dumps(entries))
    again = build_cache(spoiled, size=8)
    assert again.photos == cache.photos
    assert again.notes


@pytest.mark.parametrize("damage", ["zeroed", "rolled", "of another set", "sums of other rows"])
def test_other_pixels_of_the_same_size_are_seen(images, damage, plant, picture):
    cache = build_cache(images, size=8)
    whole = np.array(cache.images_NHWC)
    if damage == "zeroed":
        cache.path.write_bytes(bytes(whole.nbytes))
    elif damage == "rolled":
        cache.path.write_bytes(np.roll(whole, 1, axis=0).tobytes())
    elif damage == "of another set":
        other = build_cache(open_photos(plant({f"{n}.jpg": picture(50 + n) for n in range(22)}, "other")), size=8)
        for path in other.path.parent.iterdir():
            cache.path.with_name(path.name).write_bytes(path.read_bytes())
    else:
        np.save(cache.path.with_name("sums.npy"), np.zeros((22, 2, 3)))
    again = build_cache(images, size=8)
    assert np.array_equal(again.images_NHWC, whole)
    assert again.notes


def test_a_cache_of_an_older_version_opens_without_decoding(spoiled, monkeypatch):
    cache = build_cache(spoiled, size=8)
    manifest = cache.path.with_name("manifest.json")
    manifest.write_text(json.dumps(without_seal(changed())(json.loads(manifest.read_bytes()))))
    monkeypatch.setattr("thalweg.data.building.decode", None)
    again = build_cache(spoiled, size=8)
    assert (again.fingerprint, again.notes) == (cache.fingerprint, ())


# What is no file


def test_a_pipe_or_a_device_named_like_a_photo_blocks_nobody(plant, homework):
    root = plant(homework)
    os.mkfifo(root / "training" / "0_8.jpg")
    (root / "training" / "2_8.jpg").symlink_to("/dev/zero")
    images = open_images(root)
    assert "training/0_8.jpg" in " ".join(str(note) for note in images.notes)  # left out, and named
    cache = build_cache(images, size=8)
    assert {bad.path for bad in cache.bad} == {"training/2_8.jpg"}
    assert all("not a file, but a pipe or a device" in str(bad) for bad in cache.bad)
    with pytest.raises(DataError, match="not a file"):
        build_cache(open_photos(root / "training" / "0_8.jpg"), size=8)

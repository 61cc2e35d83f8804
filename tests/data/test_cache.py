import json
import os
import time
from threading import Event, Thread

import numpy as np
import pytest

from thalweg.data import build_cache, building, open_images, open_photos
from thalweg.data.cache import _name_of
from thalweg.data.decoding import decode
from thalweg.data.parallel import in_order
from thalweg.errors import BadImageError, DataError, StorageError, UsageError
from thalweg.i18n import LANGUAGES, set_language


@pytest.fixture
def images(plant, homework):
    return open_images(plant(homework))


def test_rows_are_the_photos_decoded(images):
    cache = build_cache(images, size=24)
    assert cache.images_NHWC.shape == (22, 24, 24, 3)
    assert cache.images_NHWC.dtype == np.uint8
    assert not cache.images_NHWC.flags.writeable
    for row, photo in enumerate(cache.photos):
        assert np.array_equal(cache.images_NHWC[row], decode(images.read(photo), 24))


def test_rows_and_labels_of_a_split_go_together(images):
    cache = build_cache(images, size=8)
    for split in ("train", "valid", "test"):
        assert [cache.photos[row] for row in cache.rows(split)] == list(images.split(split))
    assert cache.labels("valid").tolist() == [0, 0, 2, 2, 10, 10]
    assert cache.labels("test").tolist() == [-1] * 4
    assert cache.labels("train").dtype == cache.rows("train").dtype == np.int64


def test_mean_and_deviation_are_those_of_the_training_split(images):
    cache = build_cache(images, size=16)
    train_NC = cache.images_NHWC[cache.rows("train")].reshape(-1, 3) / 255
    assert cache.mean == pytest.approx(train_NC.mean(axis=0), abs=1e-12)
    assert cache.std == pytest.approx(train_NC.std(axis=0), abs=1e-12)


def test_of_photos_without_a_training_split_all_count(plant, homework):
    cache = build_cache(open_photos(plant(homework)), size=16)
    assert cache.mean == pytest.approx(cache.images_NHWC.reshape(-1, 3).mean(axis=0) / 255)


def test_nothing_is_decoded_twice(images, monkeypatch):
    calls = []
    build_cache(images, size=8, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 22) for done in range(1, 23)]
    monkeypatch.setattr("thalweg.data.building.decode", None)
    build_cache(images, size=8, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == 22


def test_splits_and_names_may_change_without_decoding_again(plant, picture, monkeypatch):
    root = plant({f"{name}/{n}.jpg": picture(n) for name in ("cat", "dog") for n in range(6)})
    first = build_cache(open_images(root, seed=0), size=8)
    again = build_cache(open_images(root, seed=0), size=8)
    monkeypatch.setattr("thalweg.data.building.decode", None)
    second = build_cache(open_images(root, seed=1), size=8)
    assert second.path == first.path
    assert second.rows("valid").tolist() != first.rows("valid").tolist()
    assert second.fingerprint != first.fingerprint == again.fingerprint
    (root / "dog").rename(root / "hound")
    assert build_cache(open_images(root), size=8).path == first.path


@pytest.mark.parametrize("change", [{"size": 9}, {"resize": "center-crop"}])
def test_another_size_or_resize_is_another_cache(images, change):
    assert build_cache(images, **{"size": 8} | change).path != build_cache(images, size=8).path


def test_caches_made_under_the_former_words_are_still_found():
    """`stretch` was `squash` and `center-crop` was `crop`: nobody should decode all photos again for a word."""
    digests = ["ab12", None]
    assert _name_of(digests, 8, "stretch") == "cb699ef5cbe38165502128b29d4fb9b0"
    assert _name_of(digests, 8, "center-crop") == "48ccc8505a57e72a821b2743226060e2"


def test_a_changed_photo_is_seen(plant, homework, picture):
    root = plant(homework)
    photo = root / "training" / "0_1.jpg"
    before = build_cache(open_images(root), size=8)
    photo.write_bytes(picture(99))  # at once, within the clock's tick
    after = build_cache(open_images(root), size=8)
    assert after.path != before.path
    row = next(row for row, found in enumerate(after.photos) if found.path == "training/0_1.jpg")
    assert np.array_equal(after.images_NHWC[row], decode(picture(99), 8))


def test_an_unchanged_folder_is_not_read_again(plant, homework):
    root = plant(homework)
    past = time.time() - 60
    for path in root.rglob("*.jpg"):
        os.utime(path, (past, past))
    first = build_cache(open_images(root), size=8)
    images = open_images(root)
    images.source.read = None
    assert build_cache(images, size=8).fingerprint == first.fingerprint
    photo = root / "training" / "0_1.jpg"
    content = photo.read_bytes()
    photo.write_bytes(content[:-1] + b"\0")
    os.utime(photo, (past + 1, past + 1))
    assert build_cache(open_images(root), size=8).fingerprint != first.fingerprint


def test_a_damaged_memory_of_digests_is_made_again(images, own_cache):
    build_cache(images, size=8)
    for memory in (own_cache / "digests").glob("*.json"):
        memory.write_text("[1, 2")
    build_cache(images, size=8)


# Photos that cannot be used

BAD = {
    "training/0_7.jpg": (b"", "empty file"),
    "training/2_7.jpg": (b"to do: buy bread", "not a picture"),
    "validation/0_7.jpg": (None, "truncated after 400 bytes"),
}


@pytest.fixture
def spoiled(plant, homework, picture):
    files = {
        name: picture(width=200, height=200)[:400] if content is None else content for name, (content, _) in BAD.items()
    }
    return open_images(plant(homework | files))


@pytest.mark.parametrize("language", LANGUAGES)
def test_bad_photos_are_left_out_and_named_also_when_the_cache_is_found(spoiled, language):
    set_language(language)
    try:
        for _ in range(2):
            cache = build_cache(spoiled, size=8)
            assert {image.path for image in cache.bad} == set(BAD)
            assert all(image.path in str(image) for image in cache.bad)
            if language == "en":
                assert all(BAD[image.path][1] in str(image) for image in cache.bad)
            assert len(cache.photos) == len(cache.images_NHWC) == 22
            for row, photo in enumerate(cache.photos):
                assert np.array_equal(cache.images_NHWC[row], decode(spoiled.read(photo), 8))
    finally:
        set_language(None)


def test_stop_stops_also_when_the_cache_is_found(spoiled, own_cache):
    with pytest.raises(BadImageError):
        build_cache(spoiled, size=8, on_bad_image="stop")
    assert not list((own_cache / "pixels").iterdir())
    build_cache(spoiled, size=8)
    with pytest.raises(BadImageError, match=r"training/0_7\.jpg: empty file"):
        build_cache(spoiled, size=8, on_bad_image="stop")


def test_a_file_that_went_away_is_a_bad_photo(plant, homework):
    images = open_images(plant(homework))
    (images.root / "training" / "0_1.jpg").unlink()
    assert [image.path for image in build_cache(images, size=8).bad] == ["training/0_1.jpg"]


def test_when_no_photo_can_be_used_it_is_an_error(plant):
    images = open_images(plant(dict.fromkeys(["train/0_1.jpg", "train/1_1.jpg", "train/1_2.jpg"], b"?")))
    for _ in range(2):
        with pytest.raises(DataError, match="None of the 3 photos") as caught:
            build_cache(images, size=8)
        assert "0_1.jpg" in str(caught.value)


def test_when_no_photo_of_the_training_split_can_be_used_it_is_an_error(plant, picture):
    files = {"train/0_1.jpg": b"", "train/1_1.jpg": b"", "valid/0_1.jpg": picture(), "valid/1_1.jpg": picture(1)}
    with pytest.raises(DataError):
        build_cache(open_images(plant(files)), size=8)


@pytest.mark.parametrize("size", [0, -128])
def test_a_size_that_is_none(images, size):
    with pytest.raises(UsageError, match="128"):
        build_cache(images, size=size)


# The disk


def test_an_unwritable_folder_is_reported(images, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="THALWEG_CACHE"):
        build_cache(images, size=8, folder=tmp_path / "file")


@pytest.mark.parametrize("damage", ["short", "no manifest", "manifest of nonsense", "no sums"])
def test_a_damaged_cache_is_built_again(images, damage):
    cache = build_cache(images, size=8)
    whole, home = np.array(cache.images_NHWC), cache.path.parent
    if damage == "short":
        cache.path.write_bytes(cache.path.read_bytes()[:-1])
    elif damage == "no manifest":
        (home / "manifest.json").unlink()
    elif damage == "manifest of nonsense":
        (home / "manifest.json").write_text(json.dumps({"rows": "many"}))
    else:
        (home / "sums.npy").unlink()
    assert np.array_equal(build_cache(images, size=8).images_NHWC, whole)


# Threads


@pytest.mark.parametrize("together", [1, 8])
def test_results_come_in_order_and_do_not_pile_up_behind_a_slow_one(together):
    started, collected, go = [], [], Event()

    def slow_first(item):
        started.append(item)
        if item == 0:
            go.wait(10)
        return item

    reader = Thread(target=lambda: collected.extend(in_order(slow_first, range(1000), workers=4, together=together)))
    reader.start()
    while len(started) < 100:  # the other threads work on …
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(started) < 300  # … but not to the end
    go.set()
    reader.join(10)
    assert collected == list(range(1000))


@pytest.mark.parametrize("together", [1, 3, 8])
def test_what_a_thread_raises_is_raised_here_and_stops_the_rest(together):
    """Whatever was asked for with it: the results before it come first."""
    started, collected = [], []

    def fail(item):
        started.append(item)
        if item == 3:
            raise BadImageError("data.bad_empty", path="3.jpg")
        return item

    def collect():
        for result in in_order(fail, range(10_000), workers=2, together=together):
            collected.append(result)  # noqa: PERF402 - `extend` would lose them

    with pytest.raises(BadImageError):
        collect()
    assert collected == [0, 1, 2]
    assert len(started) < 1000


def test_a_drive_that_was_away_is_not_remembered(images, monkeypatch):
    build_cache(images, size=8)  # digests are known now
    read = type(images.source).read

    def away(self, name):
        if name == "training/0_1.jpg":
            raise BadImageError("data.bad_unreadable", path=name, reason="Input/output error")
        return read(self, name)

    old = time.time() - 60
    for photo in images.photos:
        os.utime(images.root / photo.path, (old, old))  # old enough for digests to be remembered
    build_cache(images, size=8)
    monkeypatch.setattr(type(images.source), "read", away)
    assert [bad.path for bad in build_cache(images, size=9).bad] == ["training/0_1.jpg"]
    monkeypatch.undo()
    assert not build_cache(images, size=9).bad


def test_a_photo_that_never_was_there_is_remembered(plant, picture, monkeypatch):
    files = {f"{n}.jpg": picture(n) for n in range(4)}
    root = plant(files | {"labels.csv": b"path,label\n" + b"".join(b"%d.jpg,%d\n" % (n, n % 2) for n in range(6))})
    assert len(build_cache(open_images(root), size=8).bad) == 2
    monkeypatch.setattr("thalweg.data.cache.build", lambda *_: pytest.fail("decoded again"))
    assert len(build_cache(open_images(root), size=8).bad) == 2


def test_a_drive_that_goes_away_while_photos_are_decoded_trains_nothing(images, own_cache, monkeypatch):
    decode, away = building.decode, images.root.with_name("away")
    drives = [away]

    def decode_some(content, *arguments, path, **options):
        if path == "training/2_1.jpg" and drives:
            images.root.rename(drives.pop())
        return decode(content, *arguments, path=path, **options)

    monkeypatch.setattr(building, "decode", decode_some)
    with pytest.raises(DataError) as caught:
        build_cache(images, size=8, workers=1)
    assert caught.value.key == "data.source_gone"
    assert not list((own_cache / "pixels").iterdir())
    away.rename(images.root)
    assert not build_cache(images, size=8).bad

import errno
import json
import os
import resource
import signal
import subprocess
import sys
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


ROW = 64 * 64 * 3  # bytes of a photo in the caches of other processes


def in_another_process(images, *, limit=None, own_cache, progress="None", segment_bytes=64 << 20):
    code = (
        "import os, sys; from thalweg.data import *\n"
        f"import thalweg.data.segments; thalweg.data.segments.SEGMENT_BYTES = {segment_bytes}\n"
        "from thalweg.errors import StorageError\n"
        f"try: print(build_cache(open_images(sys.argv[1]), size=64, progress={progress}).fingerprint)\n"
        "except StorageError as error: sys.exit(str(error))"
    )

    def before():  # a file that may not grow is as good as a disk that is full
        if limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", code, str(images.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,  # noqa: PLW1509 - this process has no other threads
        env=os.environ | {"THALWEG_CACHE": str(own_cache), "THALWEG_LANG": "en"},
    )


def test_a_full_disk_is_told_and_leaves_nothing_behind(images, own_cache):
    child = in_another_process(images, limit=100_000, own_cache=own_cache)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "cannot be written (File too large)" in said
    assert "Traceback" not in said
    assert not list((own_cache / "pixels").iterdir())
    assert build_cache(images, size=64).images_NHWC.shape[0] == 22


def test_two_processes_may_build_the_same_cache_at_once(images, own_cache):
    children = [in_another_process(images, own_cache=own_cache) for _ in range(3)]
    answers = {child.communicate(timeout=60)[0] for child in children}
    assert answers == {build_cache(images, size=64).fingerprint + "\n"}
    assert len(list((own_cache / "pixels").iterdir())) == 1


def test_an_interrupted_build_tidies_up(images, own_cache):
    def interrupt(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(images, size=8, progress=interrupt)
    assert not list((own_cache / "pixels").iterdir())


def killed_at(done, images, own_cache, **options):
    """What a build leaves that is killed after so many photos."""
    progress = f"lambda done, _: done < {done} or os.kill(os.getpid(), 9)"
    child = in_another_process(images, own_cache=own_cache, progress=progress, **options)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    (left,) = (own_cache / "pixels").iterdir()
    assert left.name.endswith(".part")
    return left


def set_back(left, seconds):
    for path in (*left.iterdir(), left):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_a_build_that_was_killed_is_no_cache_and_is_swept_away_later(images, own_cache):
    left = killed_at(9, images, own_cache)
    build_cache(images, size=8)
    assert left.exists()  # somebody may come back
    set_back(left, 7200)
    build_cache(images, size=9)
    assert not left.exists()


def test_finished_segments_of_a_killed_build_wait_for_a_week(images, own_cache):
    left = killed_at(9, images, own_cache, segment_bytes=4 * ROW)
    assert not list(left.glob("pixels-0002*"))
    for size, days in ((8, 6), (9, 8)):
        assert left.exists()
        set_back(left, days * 86_400)
        build_cache(images, size=size)
    assert not left.exists()


@pytest.mark.parametrize("damage", [None, "pixels", "record", "gone"])
def test_a_killed_build_goes_on_from_its_finished_segments(images, own_cache, monkeypatch, damage):
    """Photos 1 to 8 of 22 lie in two segments; the ninth is the first of the third."""
    left = killed_at(9, images, own_cache, segment_bytes=4 * ROW)
    record = left / "1.record.json"
    if damage == "pixels":
        (left / "pixels-0001.u8").write_bytes(bytes(4 * ROW))
    elif damage == "record":
        record.write_text(record.read_text().replace('"positions": [4, 8]', '"positions": [3, 7]'))
    elif damage == "gone":
        (left / "pixels-0001.u8").unlink()
    whole = build_cache(images, size=64, folder=own_cache / "whole")
    monkeypatch.setattr("thalweg.data.segments.SEGMENT_BYTES", 4 * ROW)
    done = []
    cache = build_cache(images, size=64, progress=lambda *counts: done.append(counts))
    assert done[0] == (9 if damage is None else 5, 22)
    assert [str(note) for note in cache.notes] == [
        "A preparation that was cut off had decoded 8 of 22 photos; this one goes on from there."
    ]
    assert np.array_equal(cache.images_NHWC, whole.images_NHWC)
    assert cache.fingerprint == whole.fingerprint
    assert (cache.mean, cache.std) == (whole.mean, whole.std)
    assert sorted(path.name for path in cache.path.parent.iterdir()) == [
        "manifest.json", *(f"pixels-000{number}.u8" for number in range(1, 6)), "pixels.u8", "sums.npy",
    ]  # fmt: skip
    assert build_cache(images, size=64).notes == ()


def test_two_builds_do_not_share_a_folder_that_was_left(images, own_cache):
    killed_at(9, images, own_cache, segment_bytes=4 * ROW)
    children = [in_another_process(images, own_cache=own_cache, segment_bytes=4 * ROW) for _ in range(2)]
    answers = {child.communicate(timeout=60)[0] for child in children}
    assert answers == {build_cache(images, size=64).fingerprint + "\n"}
    assert len(list((own_cache / "pixels").iterdir())) == 1


def test_a_disk_that_fills_leaves_what_is_finished(images, own_cache, monkeypatch):
    monkeypatch.setattr("thalweg.data.segments.SEGMENT_BYTES", 4 * ROW)
    room, sync = [2], os.fsync

    def full(file):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    monkeypatch.setattr("thalweg.data.segments.os.fsync", full)
    with pytest.raises(StorageError, match=r"No space left.*8 of 22 photos are decoded and kept.*goes on from there"):
        build_cache(images, size=64)
    (left,) = (own_cache / "pixels").iterdir()
    assert sorted(path.name for path in left.iterdir()) == [
        "0.record.json", "1.record.json", "lock", "pixels-0001.u8", "pixels.u8",
    ]  # fmt: skip
    room[0] = 99
    assert len(build_cache(images, size=64).images_NHWC) == 22


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


def test_results_come_in_order_and_do_not_pile_up_behind_a_slow_one():
    started, collected, go = [], [], Event()

    def slow_first(item):
        started.append(item)
        if item == 0:
            go.wait(10)
        return item

    reader = Thread(target=lambda: collected.extend(in_order(slow_first, range(1000), workers=4)))
    reader.start()
    while len(started) < 100:  # the other threads work on …
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(started) < 300  # … but not to the end
    go.set()
    reader.join(10)
    assert collected == list(range(1000))


def test_what_a_thread_raises_is_raised_here_and_stops_the_rest():
    started = []

    def fail(item):
        started.append(item)
        if item == 3:
            raise BadImageError("data.bad_empty", path="3.jpg")
        return item

    with pytest.raises(BadImageError):
        list(in_order(fail, range(10_000), workers=2))
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

"""A build of a cache that is cut off, by a kill, a full disk or an interrupt, and what the next one does."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from thalweg.data import build_cache, open_images
from thalweg.data.building import left_overs
from thalweg.errors import StorageError


@pytest.fixture
def images(plant, homework):
    return open_images(plant(homework))


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


@pytest.mark.parametrize(("room", "kept"), [(14, "pixels"), (13, "jpeg")])
def test_finished_segments_count_as_room(images, own_cache, monkeypatch, room, kept):
    """Eight photos of 22 are written, so room for 14 is enough; if it is not, pixels make way for JPEGs."""
    left = killed_at(9, images, own_cache, segment_bytes=4 * ROW)
    others = sum(path.stat().st_size for path in left.iterdir()) - 8 * ROW
    monkeypatch.setattr("thalweg.data.segments.SEGMENT_BYTES", 4 * ROW)
    monkeypatch.setattr("thalweg.data.cache._RESERVE_BYTES", 0)
    monkeypatch.setattr("thalweg.data.cache._RESERVE", 0)
    free = type("Usage", (), {"free": room * ROW - others})
    monkeypatch.setattr("thalweg.data.cache.shutil.disk_usage", lambda _path: free)
    cache = build_cache(images, size=64)
    assert cache.rendering.kept == kept
    assert not left.exists()


def test_without_locks_only_what_is_old_is_taken(images, own_cache, monkeypatch):
    left = killed_at(9, images, own_cache, segment_bytes=4 * ROW)
    monkeypatch.setattr("thalweg.data.building.CAN_HOLD", False)
    home = own_cache / "pixels" / left.name[1:].partition(".")[0]
    assert left_overs(home) == []
    set_back(left, 7200)
    assert left_overs(home) == [left]


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

import json
import os
import resource
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from thalweg.data import build_cache, open_images, open_photos
from thalweg.data.cache import _name_of
from thalweg.data.decoding import decode
from thalweg.data.digests import _trusted, digest
from thalweg.data.parallel import in_order
from thalweg.data.sources import stamp_of
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
    monkeypatch.setattr("thalweg.data.cache.decode", None)
    build_cache(images, size=8, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == 22


def test_splits_and_names_may_change_without_decoding_again(plant, picture, monkeypatch):
    root = plant({f"{name}/{n}.jpg": picture(n) for name in ("cat", "dog") for n in range(6)})
    first = build_cache(open_images(root, seed=0), size=8)
    again = build_cache(open_images(root, seed=0), size=8)
    monkeypatch.setattr("thalweg.data.cache.decode", None)
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


def in_another_process(images, *, limit=None, own_cache, progress="None"):
    code = (
        "import os, sys; from thalweg.data import *\n"
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


def test_a_build_that_was_killed_is_no_cache_and_is_swept_away_later(images, own_cache):
    child = in_another_process(
        images, own_cache=own_cache, progress="lambda done, _: done < 9 or os.kill(os.getpid(), 9)"
    )
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    left = next((own_cache / "pixels").iterdir())
    assert left.name.endswith(".part")
    build_cache(images, size=64)
    assert left.exists()  # for all we know somebody is still writing
    for path in (left / "pixels.u8", left):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    build_cache(images, size=9)
    assert not left.exists()


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
    monkeypatch.setattr("thalweg.data.cache._decode_into", lambda *_: pytest.fail("decoded again"))
    assert len(build_cache(open_images(root), size=8).bad) == 2


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
    assert _trusted(["12-4711", None]) == ["12-4711", None]  # an archive's


def test_a_file_without_a_date_has_no_stamp(monkeypatch):
    date = {"st_mtime_ns": 315_532_800 * 10**9, "st_ctime_ns": 315_532_800 * 10**9}
    status = os.stat_result((0o100644, 7, 1, 1, 0, 0, 99, 0, 0, 0), date)
    monkeypatch.setattr("pathlib.Path.stat", lambda _self: status)
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
    monkeypatch.setattr("thalweg.data.cache.decode", None)
    again = build_cache(spoiled, size=8)
    assert (again.fingerprint, again.notes) == (cache.fingerprint, ())


# What is no file


def test_a_pipe_or_a_device_named_like_a_photo_blocks_nobody(plant, homework):
    root = plant(homework)
    os.mkfifo(root / "training" / "0_8.jpg")
    (root / "training" / "2_8.jpg").symlink_to("/dev/zero")
    cache = build_cache(open_images(root), size=8)
    assert {bad.path for bad in cache.bad} == {"training/0_8.jpg", "training/2_8.jpg"}
    assert all("not a file, but a pipe or a device" in str(bad) for bad in cache.bad)
    with pytest.raises(DataError, match="not a file"):
        build_cache(open_photos(root / "training" / "0_8.jpg"), size=8)

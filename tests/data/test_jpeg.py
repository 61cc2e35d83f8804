"""Photos that take too much space are kept as JPEG: the same pixels everywhere, in bounded memory."""

import tracemalloc
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from thalweg.data import build_cache, open_images
from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import Batches, plain_batches
from thalweg.data.decoding import decode
from thalweg.data.jpeg import JpegPhotos, from_jpeg, to_jpeg
from thalweg.data.rendering import Rendering
from thalweg.errors import StorageError


SIDE = 64
ROW = 3 * SIDE**2
BOUND = 2_000_000


@pytest.fixture
def images(plant, homework, picture):
    return open_images(plant({**homework, "training/0_7.jpg": picture()[:60]}))  # one cannot be used


def smooth(number):
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Where 400 photos lie in two files: 4.9 MB of pixels."""
    folder = tmp_path_factory.mktemp("jpegs")
    rows = [to_jpeg(smooth(number)) for number in range(400)]
    lengths, paths = [], []
    for first, last in ((0, 150), (150, 400)):
        paths.append(folder / f"{first}.jpegs")
        paths[-1].write_bytes(b"".join(rows[first:last]))
        lengths.append(np.array([len(row) for row in rows[first:last]]))
    return paths, lengths, np.stack([from_jpeg(row) for row in rows])


def test_a_jpeg_is_near_the_photo_and_has_its_colors():
    off = from_jpeg(to_jpeg(smooth(1))).astype(float) - smooth(1)
    assert 10 * np.log10(255**2 / (off**2).mean()) > 40
    with Image.open(BytesIO(to_jpeg(smooth(1)))) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # chroma of the full resolution


@pytest.mark.parametrize("rows", [1, 21])
def test_jpegs_over_the_limit_are_told(images, rows):
    cache = build_cache(images, size=SIDE, limit=rows * ROW)
    kept, *others = cache.notes
    exceed = kept.values["about"] > kept.values["room"]
    assert exceed or rows > 1
    assert [note.key for note in others] == ["data.note_jpegs_exceed"] * exceed


def test_jpegs_that_are_there_do_not_exceed_what_is_free_beside_them(images, monkeypatch):
    def keys(free):
        monkeypatch.setattr("thalweg.data.cache.shutil.disk_usage", lambda _path: type("Usage", (), {"free": free}))
        return [note.key for note in build_cache(images, size=SIDE).notes]

    assert keys(2 * ROW) == ["data.note_kept_as_jpeg", "data.note_jpegs_exceed"]
    assert keys(2 * ROW) == ["data.note_kept_as_jpeg"]


@pytest.mark.parametrize("segment_bytes", [ROW, 5 * ROW, 64 << 20])
def test_a_cache_over_the_limit_has_the_pixels_of_its_jpegs(images, monkeypatch, segment_bytes):
    monkeypatch.setattr("thalweg.data.segments.SEGMENT_BYTES", segment_bytes)
    cache = build_cache(images, size=SIDE, limit=21 * ROW)
    assert "--cache-limit" in str(cache.notes[0])
    assert cache.rendering.kept == "jpeg"
    assert len(cache.bad) == 1
    for row, photo in enumerate(cache.photos):
        expected = decode(images.read(photo), SIDE, rendering=cache.rendering)
        assert np.array_equal(cache.images_NHWC[row], expected)
        assert not np.array_equal(expected, decode(images.read(photo), SIDE))
    train_NC = cache.images_NHWC[cache.rows("train")].reshape(-1, 3) / 255
    assert cache.mean == pytest.approx(train_NC.mean(axis=0))
    assert cache.std == pytest.approx(train_NC.std(axis=0))
    again = build_cache(images, size=SIDE, rendering=Rendering.from_facts(cache.rendering.to_facts()))
    assert (again.path, again.fingerprint, again.notes) == (cache.path, cache.fingerprint, ())


def test_pixels_that_fit_or_are_there_stay_pixels(images):
    first = build_cache(images, size=SIDE, limit=23 * ROW)
    assert first.rendering.kept == "pixels"
    again = build_cache(images, size=SIDE, limit=ROW)
    assert (again.path, again.notes) == (first.path, ())


@pytest.mark.parametrize(("free", "kept"), [(1.3e9, "pixels"), (46 * ROW, "pixels"), (44 * ROW, "jpeg")])
def test_a_small_disk_has_pixels_if_half_of_it_is_enough(images, monkeypatch, free, kept):
    """The reserve is 1 GB, but never more than half of what is free."""
    monkeypatch.setattr("thalweg.data.cache.shutil.disk_usage", lambda _path: type("Usage", (), {"free": free}))
    assert build_cache(images, size=SIDE).rendering.kept == kept


def test_pixels_that_are_damaged_make_way_for_jpegs(images):
    first = build_cache(images, size=SIDE)
    first.path.write_bytes(b"")
    assert build_cache(images, size=SIDE, limit=ROW).rendering.kept == "jpeg"
    assert not first.path.exists()


def test_a_damaged_cache_of_jpegs_is_built_again(images):
    cache = build_cache(images, size=SIDE, limit=ROW)
    whole = np.array(cache.images_NHWC)
    for name in ("photos.jpegs", "lengths.npy"):
        path = cache.path.with_name(name)
        path.write_bytes(bytes(path.stat().st_size))
        again = build_cache(images, size=SIDE, limit=ROW)
        assert "damaged" in str(again.notes[-1])
        assert np.array_equal(again.images_NHWC, whole)


def batches_of(photos, rows=400):
    normal = [0.5] * 3, [0.25] * 3
    return Batches(
        HostAugmenter(photos, *normal), np.arange(rows), np.arange(rows), size=SIDE, batch_size=32,
        policy=augmentation("standard"), seed=3,
    )  # fmt: skip


@pytest.mark.parametrize("bound", [0, ROW, 50 * ROW, BOUND])
def test_batches_are_those_of_pixels_in_memory_with_any_room_to_decode_ahead(stored, bound):
    paths, lengths, array = stored
    photos = JpegPhotos(paths, lengths, SIDE, bound)
    plain, ahead = batches_of(array), batches_of(photos)
    for epoch, index in ((0, 0), (0, 1), (0, 12), (1, 0), (1, 1), (0, 5), (7, 3)):  # also a resume in the middle
        expected, labels = plain(epoch, index)
        made, same = ahead(epoch, index)
        assert torch.equal(made, expected)
        assert torch.equal(labels, same)
        assert photos.held_bytes <= bound
    rows = np.arange(20, 110)
    evaluated = [
        [batch.clone() for batch in plain_batches(one.augmenter, rows, size=32, batch_size=40)]
        for one in (plain, ahead)
    ]
    assert all(map(torch.equal, *evaluated))


def test_the_next_batches_are_decoded_before_they_are_asked_for(stored, monkeypatch):
    photos = JpegPhotos(*stored[:2], SIDE)
    batches = batches_of(photos)
    batches(0, 0)
    monkeypatch.setattr(photos, "_decoded", None)  # no other row
    batches.augmenter.expect = lambda _rows: None
    batches(0, 1)
    batches(0, 2)
    with pytest.raises(TypeError):
        batches(0, 3)


@pytest.mark.parametrize("room", [10, 32, 40, 50, 64, 400])
def test_no_photo_is_decoded_twice_where_two_batches_do_not_fit(stored, room):
    """Batches of 32: what is decoded ahead is what the next step reads."""
    photos = JpegPhotos(*stored[:2], SIDE, room * ROW)
    decode, decoded = photos._decoded, []
    photos._decoded = lambda row: decoded.append(row) or decode(row)
    batches = batches_of(photos)
    for index in range(len(batches)):
        batches(0, index)
    photos._pool.shutdown()
    assert len(decoded) == 400 + photos.held_bytes // ROW


def test_an_epoch_stays_within_the_bound(stored):
    """The pixels of all photos are 4.9 MB; a batch and what it becomes are 3.2 MB."""
    paths, lengths, array = stored
    photos = JpegPhotos(paths, lengths, SIDE, BOUND)
    batches = batches_of(photos)
    batches(0, 0)
    tracemalloc.start()
    for index in range(len(batches)):
        batches(0, index)
        assert photos.held_bytes <= BOUND
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < BOUND + 4 * 32 * ROW
    assert peak < 0.8 * array.nbytes


def test_a_jpeg_that_is_damaged_later_is_named(stored, tmp_path):
    paths, lengths, _ = stored
    spoiled = tmp_path / "photos.jpegs"
    spoiled.write_bytes(b"\0" * paths[0].stat().st_size)
    photos = JpegPhotos([spoiled, paths[1]], lengths, SIDE)
    assert len(photos[[399]]) == 1
    for read in (lambda: photos[3], lambda: photos[:10]):
        with pytest.raises(StorageError, match=r"photos\.jpegs: photo \d of the cache is damaged"):
            read()

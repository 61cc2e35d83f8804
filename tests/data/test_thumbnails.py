"""The thumbnails of many photos lie in a file, and the check finds in it what it finds in memory."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from thalweg.data import check_images, open_images, thumbnails
from thalweg.data.thumbnails import ThumbnailFile, room_for_thumbnails
from thalweg.errors import StorageError


@pytest.fixture
def few(monkeypatch):
    """Two thumbnails fit into memory."""
    monkeypatch.setattr(thumbnails, "MOST_IN_MEMORY", 2 * 3072)


def test_a_file_gives_back_what_an_array_does(few, tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    assert isinstance(room_for_thumbnails(2), np.ndarray)
    stored, array = room_for_thumbnails(5), np.zeros((5, 32, 32, 3), np.uint8)
    assert isinstance(stored, ThumbnailFile)
    random = np.random.default_rng(0)
    for row in (3, 0, 4, 3):
        array[row] = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        stored[row] = array[row]
    for rows in ([4, 0, 3, 3], [], range(5)):
        places = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(stored[places], array[places])
    assert len(stored) == 5
    assert not list(tmp_path.iterdir())


def test_a_check_of_many_photos_finds_the_same(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for number in range(12):
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        for split, quality in (("train", 95), ("test", 60)):
            path = tmp_path / "photos" / split / str(number % 2) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            if split == "train" or number < 5:
                coarse.resize((96, 96)).save(path, quality=quality)
    (tmp_path / "photos" / "train" / "0" / "deep.png").write_bytes(b"")
    Image.fromarray(np.full((64, 64), 900, np.uint16)).save(tmp_path / "photos" / "train" / "1" / "deep.png")
    images = open_images(tmp_path / "photos")
    in_memory = check_images(images)
    monkeypatch.setattr(thumbnails, "MOST_IN_MEMORY", 0)
    in_a_file = check_images(images)
    assert len(in_memory.near_leaks) == 5
    assert in_a_file.to_json() == in_memory.to_json()


def test_a_disk_that_is_full_is_named(few, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(StorageError, match="No space left"):
        room_for_thumbnails(3)

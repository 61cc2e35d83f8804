import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.data import build_cache, check_images, open_images
from thalweg.data.builtin import ARCHIVE
from thalweg.data.builtin.make import encoder, make


ORIGINALS = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def images():
    return open_images("builtin")


def test_six_thousand_one_thousand_one_thousand_the_same_of_each_class(images):
    for split, each in (("train", 600), ("valid", 100), ("test", 100)):
        assert Counter(photo.label for photo in images.split(split)) == dict.fromkeys(range(10), each)


def test_it_is_read_as_a_users_folder_would_be(images):
    assert images.layout == "flat"
    assert images.classes[0] == "T-shirt/top"
    assert images.classes[9] == "Ankle boot"
    assert images.notes == ()


def test_no_picture_is_there_twice(images):
    assert len({Image.open(BytesIO(images.read(photo))).tobytes() for photo in images.photos}) == 8000


@pytest.mark.slow
def test_it_holds_up_to_its_own_check(images):
    check = check_images(images)
    assert check.warnings() == ()
    assert check.imbalance == 1
    assert (check.width.smallest, check.height.largest) == (28, 28)


def test_it_is_small_and_brings_its_licence():
    assert ARCHIVE.stat().st_size <= 6_000_000
    notice = ARCHIVE.with_name("LICENSE").read_bytes()
    assert "Zalando SE" in notice.decode()
    assert "Permission is hereby granted" in notice.decode()
    with zipfile.ZipFile(ARCHIVE) as archive:
        assert archive.read("LICENSE") == notice
        assert archive.testzip() is None


@pytest.mark.skipif(not ORIGINALS.exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_script_makes_it_again(images, tmp_path):
    again = tmp_path / "again.zip"
    make(ORIGINALS, again)
    with zipfile.ZipFile(ARCHIVE) as archive:
        same_encoder = archive.comment.decode() == encoder()
    if same_encoder:
        assert again.read_bytes() == ARCHIVE.read_bytes()
    else:  # another zlib packs the same pictures in other bytes
        remade = build_cache(open_images(again), size=28)
        assert np.array_equal(remade.images_NHWC, build_cache(images, size=28).images_NHWC)

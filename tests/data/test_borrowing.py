"""Pixels of Pillow's own memory: what it shows, and for how long."""

import gc
import os
import subprocess
import sys

import numpy as np
import PIL
import pytest
from PIL import Image

from thalweg.data import borrowing
from thalweg.data.borrowing import borrow


def noise(width, height):
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


lends = pytest.mark.skipif(
    tuple(map(int, PIL.__version__.split(".")[:2])) < (11, 3), reason="this Pillow does not lend pixels, or leaks them"
)


@lends
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 3), (342, 256)])
def test_the_pixels_are_those_of_the_picture_and_not_copied(width, height):
    image = Image.fromarray(noise(width, height))
    pixels_HW4 = borrow(image)
    assert pixels_HW4.shape == (height, width, 4)
    np.testing.assert_array_equal(pixels_HW4[..., :3], noise(width, height))
    assert not pixels_HW4.flags.writeable
    image.paste((1, 2, 3), (0, 0, 1, 1))
    assert pixels_HW4[0, 0, :3].tolist() == [1, 2, 3]


@lends
def test_the_pixels_outlive_the_picture():
    pixels_HW4 = borrow(Image.fromarray(noise(90, 80)))
    gc.collect()
    others = [Image.new("RGB", (90, 80), "white") for _ in range(20)]
    np.testing.assert_array_equal(pixels_HW4[..., :3], noise(90, 80))
    assert others


def test_a_picture_in_several_blocks_is_copied():
    image = Image.new("RGB", (2100, 2100), (1, 2, 3))
    image.putpixel((2099, 2099), (4, 5, 6))
    pixels_HW4 = borrow(image)
    assert pixels_HW4[0, 0, :3].tolist() == [1, 2, 3]
    assert pixels_HW4[-1, -1, :3].tolist() == [4, 5, 6]


def test_a_pillow_that_does_not_lend_is_asked_for_a_copy(monkeypatch):
    monkeypatch.setattr(borrowing, "_lent", lambda _image, _shape: None)
    np.testing.assert_array_equal(borrow(Image.fromarray(noise(7, 3)))[..., :3], noise(7, 3))


@pytest.mark.parametrize(
    ("version", "copied"), [("11.0.0", True), ("11.2.1", True), ("11.3.0", False), ("13.1.0.dev0", False)]
)
@lends
def test_what_a_pillow_would_leak_is_copied(version, copied, monkeypatch):
    """Pillow 11.2.1 keeps each picture that it lends: 2.5 GB after 5,000 photos of half a megabyte."""
    monkeypatch.setattr(PIL, "__version__", version)
    image = Image.fromarray(noise(7, 3))
    pixels_HW4 = borrow(image)
    image.paste((1, 2, 3), (0, 0, 7, 3))
    assert np.array_equal(pixels_HW4[..., :3], noise(7, 3)) == copied


def test_rows_with_gaps_are_copied():
    """Pillow may be told to align rows; the setting belongs to the process."""
    code = (
        "import numpy as np; from PIL import Image; from thalweg.data.borrowing import borrow\n"
        "pixels = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3)\n"
        "assert Image.core.get_alignment() == 64\n"
        "assert (borrow(Image.fromarray(pixels))[..., :3] == pixels).all()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PILLOW_ALIGNMENT": "64"})

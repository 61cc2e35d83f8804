"""Damaged pictures of many formats: each gives pixels or one sentence that names it, and nothing else."""

import random
import resource
import sys
import warnings
from contextlib import suppress
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from thalweg.data.check import inspect
from thalweg.data.decoding import MAX_BYTES, decode, quiet
from thalweg.errors import BadImageError


SIZE = 16
NAME = "damaged/3_17.jpg"
HEAD = 64  # bytes in which headers lie: half of the damage goes there


def saved(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def wholes():
    """A sound picture of each format that this Pillow writes."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    color = Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC)
    gray = color.convert("L")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(gray).astype(np.float32) - 100)
    clear = color.convert("RGBA")
    clear.putalpha(gray)
    frames = {"save_all": True, "append_images": [color.rotate(90).resize(color.size)]}
    found = {
        "jpeg": saved(color, "JPEG"),
        "progressive": saved(color, "JPEG", progressive=True),
        "png": saved(color, "PNG"),
        "png-16": saved(deep, "PNG"),
        "png-palette": saved(color.quantize(16), "PNG", transparency=3),
        "png-animated": saved(clear, "PNG", **frames),
        "gif": saved(color, "GIF", **frames),
        "webp": saved(clear, "WEBP"),
        "webp-animated": saved(color, "WEBP", **frames),
        "bmp": saved(color, "BMP"),
        "tiff": saved(color, "TIFF", compression="tiff_lzw", **frames),
        "tiff-float": saved(real, "TIFF"),
        "tga": saved(clear, "TGA", compression="tga_rle"),
        "ppm": saved(color, "PPM"),
        "pgm-16": saved(deep, "PPM"),
    }
    for name, kind in (("jp2", "JPEG2000"), ("avif", "AVIF")):
        with suppress(KeyError, OSError):  # not every build has them
            found[name] = saved(color, kind)
    return found


def damaged(content, seed):
    """One to four of: a bit flipped, bytes replaced, cut out, doubled; or the end cut off."""
    draw = random.Random(seed)
    found = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(min(HEAD, len(found)) if draw.random() < 0.5 else len(found))
        stop = start + draw.choice((1, 1, 2, 4, 16))
        kind = draw.randrange(5)
        if kind == 0:
            found[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            found[start:stop] = draw.randbytes(stop - start)
        elif kind == 2:
            found[start:stop] = b""
        elif kind == 3:
            found[start:start] = found[start:stop]
        else:
            found[start + 1 :] = b""
        found = found or bytearray(b"?")
    return bytes(found)


def verdict(function, *arguments):
    """What the function returns; `None` for an error that names the photo."""
    try:
        return function(*arguments)
    except BadImageError as error:
        if not str(error).startswith(NAME):
            raise
        return None


@pytest.mark.parametrize(
    "seeds",
    [pytest.param(range(8), id="quick"), pytest.param(range(8, 600), id="all", marks=pytest.mark.slow)],
)
def test_a_damaged_picture_gives_pixels_or_a_sentence(seeds, capfd):
    decoded = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")  # as errors they would be taken for the picture's
        with quiet():
            for name, whole in wholes().items():
                for seed in seeds:
                    content = damaged(whole, f"{name} {seed}")
                    image_HWC = verdict(lambda content: decode(content, SIZE, path=NAME), content)
                    facts = verdict(inspect, content, NAME)
                    assert (image_HWC is None) == (facts is None), f"train and check disagree about {name}, seed {seed}"
                    if image_HWC is not None:
                        assert image_HWC.shape == (SIZE, SIZE, 3)
                        assert image_HWC.dtype == np.uint8
                        decoded += 1
    assert 0 < decoded < len(seeds) * len(wholes())
    assert not warned
    assert capfd.readouterr().err == ""
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < MAX_BYTES


def test_every_format_is_sound_without_damage():
    for name, whole in wholes().items():
        assert decode(whole, SIZE, path=name).std() > 10, name

"""The compiled filter against Pillow's, byte for byte, and against the same loop run by Python."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from thalweg.data import resampling
from thalweg.data.decoding import decode
from thalweg.data.resampling import GAP, Resampler, bicubic, weigh_lines


@pytest.fixture(scope="module")
def resampler():
    """The filter, compiled, with the order of this Pillow."""
    fitting = [one for one in map(Resampler, (resampling._tall_last, resampling._tall_first)) if one.is_pillows()]
    assert len(fitting) == 1
    return fitting[0]


@pytest.fixture
def compiled(resampler, monkeypatch):
    monkeypatch.setattr(resampling, "_loaded", [resampler])


def noise(width, height, seed=0):
    """Noise; for odd seeds of black and white only, so that sums overshoot."""
    random = np.random.default_rng((seed, width, height))
    steps = 2 if seed % 2 else 256
    return Image.fromarray((random.integers(0, steps, (height, width, 3)) * (255 // (steps - 1))).astype(np.uint8))


def whole(image):
    return (0.0, 0.0, float(image.width), float(image.height))


def middle(image):
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return (left, top, left + side, top + side)


def pillows(image, size, box):
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=GAP))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("box_of", [whole, middle])
def test_any_picture_of_any_size_has_pillows_bytes(resampler, box_of, seed):
    random = np.random.default_rng(seed)
    for _ in range(40):
        width, height, size = (int(number) for number in random.integers(1, (150, 150, 90)))
        image = noise(width, height, seed)
        if max(width, height) >= 2 * GAP * size:
            continue
        made = resampler(image, size, box_of(image))
        np.testing.assert_array_equal(made, pillows(image, size, box_of(image)), f"{width} × {height} to {size}")


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        *((1, 1, 1), (1, 1, 5), (2, 1, 3), (1, 7, 2), (3, 3, 3)),  # fewer pixels than the filter is wide
        *((64, 64, 64), (63, 65, 64), (128, 129, 65), (192, 192, 192)),  # at the edges of blocks, and no change at all
        *((342, 256, 192), (256, 342, 192), (1151, 200, 192), (200, 1151, 192)),
    ],
)
def test_sizes_at_the_edges_of_the_loops_have_pillows_bytes(resampler, width, height, size):
    for seed in (0, 1):
        image = noise(width, height, seed)
        np.testing.assert_array_equal(resampler(image, size, whole(image)), pillows(image, size, whole(image)))


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
def test_one_color_stays_that_color(resampler, value):
    image = Image.new("RGB", (71, 50), (value, 255 - value, value))
    assert (resampler(image, 33, whole(image)) == (value, 255 - value, value)).all()


def test_what_the_loops_do_not_do_is_left_to_pillow(compiled, resampler):
    for image in (noise(400, 30), noise(30, 400), noise(50, 40).convert("L")):
        box = whole(image)
        expected = np.asarray(image.resize((9, 9), Image.Resampling.BICUBIC, box, reducing_gap=GAP).convert("RGB"))
        np.testing.assert_array_equal(bicubic(image, 9, box), expected)
    image = noise(400, 30)
    assert not np.array_equal(resampler(image, 9, whole(image)), bicubic(image, 9, whole(image)))  # which it is not


@pytest.mark.parametrize("sides", [(160, 70), (70, 160)])
def test_a_part_of_less_than_half_a_picture_is_left_to_pillow(sides, monkeypatch):
    """The loops take what lies beside the part, too: 40 times as long as Pillow for the middle of a panorama."""
    monkeypatch.setattr(resampling, "_loaded", [lambda *_: pytest.fail("the loops were asked")])
    image = noise(*sides)
    np.testing.assert_array_equal(bicubic(image, 30, middle(image)), pillows(image, 30, middle(image)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("turn", [1, 3, 6, 7])
def test_a_photo_decoded_with_it_has_the_same_pixels(kind, turn, compiled, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = turn
    for sides in ((203, 121), (121, 203)):
        file = BytesIO()
        noise(*sides).save(file, kind, exif=exif)
        for resize in ("stretch", "center-crop"):
            made = decode(file.getvalue(), 48, resize)
            with monkeypatch.context() as context:
                context.setattr(resampling, "_loaded", [])
                np.testing.assert_array_equal(made, decode(file.getvalue(), 48, resize))


def test_a_filter_that_differs_from_pillows_is_not_used(monkeypatch):
    monkeypatch.setattr(resampling, "_loaded", [])
    monkeypatch.setattr(resampling, "_ORDERS", (lambda width, _height, size: width > size,))
    resampling.load.__wrapped__()
    assert not resampling._loaded


def test_scratch_memory_of_a_large_picture_is_not_kept():
    kept = resampling._Kept()
    small, large = (kept.memory(name, count, np.uint8) for name, count in (("small", 9), ("large", (8 << 20) + 1)))
    assert kept.memory("small", 8, np.uint8) is small
    assert kept.memory("small", 10, np.uint8) is not small
    assert kept.memory("large", 9, np.uint8) is not large


def test_the_compiled_loop_is_pythons_loop():
    lines, length, size, room = 5, 13, 4, 16
    pixels = np.random.default_rng(0).integers(0, 256, (lines, length, 4), dtype=np.uint8)
    turned, sums, out = (
        np.zeros((length + room + 1) * 64, np.int32),
        np.zeros(256, np.int32),
        np.zeros(size * lines * 4, np.uint8),
    )
    scratch = np.zeros(room), np.zeros(size, np.int32), np.zeros(size * room, np.int32)
    flat = pixels.view(np.int32).ravel(), *scratch, turned, turned.view(np.uint8), sums, out
    weigh_lines(lines, length, size, room, 1, 4, 0.0, length / size, *flat)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    expected = np.asarray(image.resize((size, lines), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(out.reshape(size, lines, 4)[..., :3].swapaxes(0, 1), expected)

"""Pictures of more than 8 bits: black and white are chosen once for a set."""

import json
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from thalweg.data import build_cache, check_images, open_images
from thalweg.data.decoding import decode
from thalweg.data.levels import choose
from thalweg.data.rendering import Rendering


def numbers(values_HW, kind="PNG"):
    file = BytesIO()
    Image.fromarray(values_HW).save(file, kind)
    return file.getvalue()


def scenes(low, high, count=12, side=24, dtype=np.uint16):
    """Smooth pictures whose numbers fill a range, some bright and some dark."""
    rng = np.random.default_rng(0)
    found = []
    for n in range(count):
        coarse = Image.fromarray(rng.random((3, 3), dtype=np.float32)).resize((side, side), Image.Resampling.BICUBIC)
        values_HW = np.clip(np.asarray(coarse), 0, 1) * ((n % 4 + 1) / 4)
        values_HW[0, :4] = 1  # each has some white
        values_HW[1, :4] = 0
        found.append((low + values_HW * (high - low)).astype(dtype))
    return found


def planted(plant, pictures, kind="PNG", ending="png", extra=None):
    files = {f"{('cat', 'dog')[n % 2]}/{n}.{ending}": numbers(one, kind) for n, one in enumerate(pictures)}
    return plant(files | (extra or {}))


@pytest.mark.parametrize(
    ("low", "high", "dtype", "kind", "expected"),
    [
        (0, 4095, np.uint16, "PNG", {"I;16": (0, 4095)}),
        (0, 1000, np.uint16, "TIFF", {"I;16": (0, 1023)}),
        (0, 200, np.uint16, "PNG", {"I;16": (0, 255)}),
        (0, 1, np.uint16, "PNG", {"I;16": (0, 1)}),
        (29_000, 31_000, np.uint16, "PNG", {"I;16": (29_000, 31_000)}),
        (0, 65_535, np.uint16, "PNG", {}),
        (0, 100_000, np.int32, "TIFF", {"I": (0, 131_071)}),
        (-1000, 3000, np.float32, "TIFF", {"F": (-1000, 3000)}),
        (0, 1, np.float32, "TIFF", {"F": (0, 1)}),
        (0.5, 0.51, np.float32, "TIFF", {"F": (0.5, 0.51)}),
    ],
)
def test_levels_are_those_of_all_photos(plant, low, high, dtype, kind, expected):
    pictures = scenes(low, high, dtype=dtype)
    cache = build_cache(open_images(planted(plant, pictures, kind, kind.lower())), size=12)
    assert cache.rendering.levels.keys() == expected.keys()
    for name, pair in expected.items():
        assert cache.rendering.levels[name] == pytest.approx(pair, rel=1e-6)
    assert np.ptp(cache.images_NHWC) > 190  # of 255


def test_equal_numbers_have_equal_gray_in_every_photo(plant):
    pictures = [np.full((9, 9), value, np.uint16) for value in (100, 1000, 2000, 4000)] * 3
    cache = build_cache(open_images(planted(plant, pictures)), size=4)
    found = [int(row.max()) for row in cache.images_NHWC]
    by_photo = {photo.path: gray for photo, gray in zip(cache.photos, found, strict=True)}
    assert [by_photo[f"{('cat', 'dog')[n % 2]}/{n}.png"] for n in range(4)] == [6, 62, 125, 249]


def test_a_few_hot_pixels_do_not_make_the_rest_black():
    values = np.concatenate([np.arange(4096.0), [65535.0, 65535.0]]).astype(np.float32)
    level = choose("I;16", [values])
    assert (level.black, level.white) == (0, 4095)


@pytest.mark.parametrize(("value", "shown"), [(0.0, (0, 1)), (500.0, (0, 500)), (-3.0, (-3, -2))])
def test_constant_numbers_have_levels(value, shown):
    level = choose("F", [np.full(7, value, np.float32)])
    assert (level.black, level.white) == shown


def test_levels_are_chosen_once_and_are_part_of_the_caches_name(plant, own_cache, monkeypatch):
    images = open_images(planted(plant, scenes(0, 4095)))
    first = build_cache(images, size=8)
    assert len(list((own_cache / "levels").iterdir())) == 1
    monkeypatch.setattr("thalweg.data.levels.sampled", None)
    assert build_cache(images, size=8).path == first.path
    before = build_cache(images, size=8, rendering=Rendering.from_facts({}))
    assert before.path != first.path
    assert before.images_NHWC.max() < 17  # what a run of before has seen
    for row, photo in enumerate(first.photos):
        expected = decode(images.read(photo), 8, rendering=Rendering.from_facts(first.rendering.to_facts()))
        assert np.array_equal(first.images_NHWC[row], expected)


def edited(text):
    return text.replace("4095.0", "9.0")


def emptied(text):
    return json.dumps(json.loads(text) | {"levels": []})


def unsealed(text):
    return json.dumps(json.loads(text)["levels"])


@pytest.mark.parametrize("damage", [edited, emptied, unsealed, lambda _: "", lambda _: "{}", lambda _: "[" * 9000])
def test_damaged_levels_are_chosen_again(plant, own_cache, damage):
    images = open_images(planted(plant, scenes(0, 4095)))
    first = build_cache(images, size=8)
    memory = next((own_cache / "levels").iterdir())
    memory.write_text(damage(memory.read_text()))
    assert build_cache(images, size=8).path == first.path


def test_ordinary_photos_keep_their_cache_and_cost_nothing(plant, picture, own_cache):
    images = open_images(plant({f"{name}/{n}.jpg": picture(n) for name in ("cat", "dog") for n in range(3)}))
    cache = build_cache(images, size=8)
    assert cache.rendering == Rendering()
    assert build_cache(images, size=8, rendering=Rendering.from_facts({})).path == cache.path
    assert not (own_cache / "levels").exists()


def test_the_check_reports_levels_and_pictures_over_black(plant):
    white = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    white.paste((255, 255, 255, 255), (20, 20, 40, 40))
    file = BytesIO()
    white.save(file, "PNG")
    images = open_images(planted(plant, scenes(0, 4095), extra={"cat/icon.png": file.getvalue()}))
    found = check_images(images)
    assert any("12 photos store more than 8 bits" in str(note) and "4,095 white" in str(note) for note in found.notes)
    assert found.oddities["on_black"] == ("cat/icon.png",)


def test_a_run_and_its_export_keep_the_levels():
    rendering = Rendering({"I;16": (0.0, 4095.0)})
    assert Rendering.from_facts(rendering.to_facts()) == rendering
    assert Rendering.from_facts({}) == Rendering({}, "white")


@pytest.mark.parametrize(("white", "said"), [(4095, True), (65535, False)])
def test_colors_of_twelve_bits_that_no_scale_can_save_are_named(plant, white, said):
    def color(seed):
        pixels = np.random.default_rng(seed).integers(0, white, (9, 9, 3)).astype(">u2")
        rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
        parts = [(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 16, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
        chunks = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in parts)
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

    images = open_images(plant({f"{('cat', 'dog')[n % 2]}/{n}.png": color(n) for n in range(6)}))
    assert any("6 color photos of 16 bits" in str(note) for note in check_images(images).notes) == said

import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from thalweg.data.decoding import MAX_PIXELS, decode, quiet
from thalweg.data.rendering import Rendering, render
from thalweg.errors import BadImageError


def smooth(seed=0, width=240, height=160):
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reduced(image, size=40):
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)).astype(int)


def difference(left, right):
    return np.abs(left.astype(int) - right.astype(int)).mean()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("BMP", {}),
        ("PPM", {}),
    ],
)
def test_every_format_gives_the_same_picture(kind, options):
    image = smooth()
    assert difference(decode(encoded(image, kind, **options), 40), reduced(image)) < 1.5


@pytest.mark.parametrize("size", [1, 7, 40, 160, 300])
def test_any_size_is_reached_from_below_and_from_above(size):
    image = smooth()
    assert difference(decode(encoded(image, "JPEG", quality=95), size), reduced(image, size)) < 1.5


def test_reduction_is_antialiased():
    # stripes of one pixel must become gray, not stripes of an alias
    stripes_HW = np.zeros((512, 512), dtype=np.uint8)
    stripes_HW[:, ::2] = 255
    for kind in ("PNG", "JPEG"):
        result = decode(encoded(Image.fromarray(stripes_HW), kind), 48)
        assert np.abs(result.astype(int) - 127).max() < 12


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(value, kind):
    image = smooth()
    exif = Image.Exif()
    exif[0x0112] = value
    content = encoded(image, kind, exif=exif, quality=95)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(content)))
    assert difference(decode(content, 40), reduced(expected)) < 2


def test_broken_exif_does_not_spoil_a_good_picture():
    content = encoded(smooth(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40)
    with quiet():
        assert difference(decode(content, 40), reduced(smooth())) < 3


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp_HW = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    result = decode(encoded(Image.fromarray(ramp_HW), "PNG"), 64)[..., 0]
    assert difference(result, ramp_HW // 257) < 1
    assert difference(decode(encoded(Image.fromarray(ramp_HW), "TIFF"), 64)[..., 0], ramp_HW // 257) < 1


@pytest.mark.parametrize(
    ("values_HW", "expected"),
    [
        (np.array([[0, 65535], [32768, 0]], dtype=np.int32), [[0, 255], [128, 0]]),
        (np.array([[0, 1_000_000], [500_000, 0]], dtype=np.int32), [[0, 255], [128, 0]]),
        (np.array([[-10, 10], [0, -10]], dtype=np.int32), [[0, 255], [128, 0]]),
        (np.array([[0, 1], [0.5, np.nan]], dtype=np.float32), [[0, 255], [128, 0]]),
    ],
)
def test_numbers_without_a_known_white_are_scaled(values_HW, expected):
    assert decode(encoded(Image.fromarray(values_HW), "TIFF"), 2)[..., 0].tolist() == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode):
    white = Image.new("RGB", (30, 30), "white").convert(mode)
    result = decode(encoded(white, "PNG" if mode == "P" else "TIFF"), 8)
    assert result.shape == (8, 8, 3)
    assert result.dtype == np.uint8
    assert result.min() >= 253


@pytest.mark.parametrize("color", ["red", "lime", "blue", "white", "black"])
def test_cmyk_jpeg_keeps_its_colors(color):
    image = Image.new("RGB", (64, 64), color)
    result = decode(encoded(image.convert("CMYK"), "JPEG", quality=95), 8)
    assert difference(result, np.asarray(image.resize((8, 8)))) < 4


def test_alpha_lies_over_white():
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 10, 20))
    for content in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True)):
        result = decode(content, 20)
        assert result[10, 2].tolist() == [0, 0, 255]
        assert result[10, 17].tolist() == [255, 255, 255]


def test_a_transparent_palette_color_lies_over_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    assert decode(encoded(image, "PNG", transparency=0), 4).min() == 255
    assert decode(encoded(Image.new("L", (8, 8), 7), "PNG", transparency=7), 4).min() == 255


def test_the_first_picture_of_an_animation_counts():
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue", "lime")]
    for kind in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert decode(content, 4)[0, 0].tolist() == [255, 0, 0], kind


def test_crop_keeps_the_middle_square():
    image = Image.new("RGB", (300, 100), "white")
    image.paste((0, 0, 0), (100, 0, 200, 100))
    for kind in ("PNG", "JPEG"):
        content = encoded(image, kind)
        assert decode(content, 20, "center-crop")[:, 1:-1].max() < 12  # the black middle third, and nothing else
        assert decode(content, 20, "stretch")[:, :5].min() > 243


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_file_is_never_filled(kind):
    whole = encoded(smooth(3, 200, 200), kind)
    expected = decode(whole, 32)
    refused = 0
    for share in np.linspace(0.02, 0.97, 24):
        try:
            result = decode(whole[: int(share * len(whole))], 32, path="3_1.jpg")
        except BadImageError:
            refused += 1
        else:  # a TIFF may end in what is no pixel
            assert np.array_equal(result, expected)
    assert refused >= 22


def test_a_truncated_jpeg_says_after_how_many_bytes():
    content = encoded(smooth(), "JPEG")[:1500]
    with pytest.raises(BadImageError, match="truncated after 1,500 bytes"):
        decode(content, 32, path="a.jpg")


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"", "data.bad_empty"),
        (b"a shopping list: apples, bread\n" * 40, "data.bad_not_a_picture"),
        (b"<html><body>404</body></html>", "data.bad_not_a_picture"),
        (b"\xff\xd8\xff", "data.bad_not_a_picture"),
        (b"\xff\xd8\xff" + b"\0" * 400, "data.bad_not_a_picture"),
        (b"\x89PNG\r\n\x1a\n", "data.bad_not_a_picture"),
    ],
)
def test_what_is_no_picture_is_named_as_such(content, key):
    with pytest.raises(BadImageError) as caught:
        decode(content, 8, path="x.jpg")
    assert caught.value.key == key
    assert str(caught.value).startswith("x.jpg")


def huge_png(width, height):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_a_bomb_is_refused_before_it_is_decoded():
    with pytest.raises(BadImageError, match="more than 178 megapixels"):
        decode(huge_png(60_000, 60_000), 8, path="bomb.png")


def test_between_pillows_limit_and_ours_a_png_gets_pillows():
    with pytest.raises(BadImageError, match="more than 178 megapixels"):
        decode(huge_png(14_000, 13_500), 8)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size():
    # 16,384 × 12,200: what a phone of 200 megapixels makes, and more than Pillow itself opens without a warning
    content = encoded(Image.new("L", (16_384, 12_200), 90), "JPEG")
    assert MAX_PIXELS >= 16_384 * 12_200
    assert decode(content, 16)[0, 0, 0] == 90


def test_pillows_warnings_are_kept_from_the_user():
    with quiet(), pytest.raises(BadImageError):
        decode(huge_png(10_000, 10_000), 8)  # warned about by Pillow, then cut short


def test_noise_never_gets_past_as_an_unknown_exception():
    rng = np.random.default_rng(1)
    wholes = [encoded(smooth(5, 64, 64), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")]
    with quiet():
        for _ in range(60):
            for whole in wholes:
                damaged = bytearray(whole)
                for position in rng.integers(0, len(whole), 4):
                    damaged[position] = rng.integers(256)
                with suppress(BadImageError):
                    assert decode(bytes(damaged), 16).shape == (16, 16, 3)


# Whatever a picture raises is that picture's fault


def chunks(content):
    """The chunks of a PNG, each with its length and checksum."""
    place = 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        yield content[place : place + 12 + length]
        place += 12 + length


def test_a_palette_picture_without_its_palette_is_named():
    content = encoded(smooth().quantize(8), "PNG")
    without = content[:8] + b"".join(chunk for chunk in chunks(content) if chunk[4:8] != b"PLTE")
    with pytest.raises(BadImageError, match=r"^a\.png: damaged picture \(.+\)"):
        decode(without, 8, path="a.png")


@pytest.mark.parametrize(
    "error",
    [AssertionError(), RuntimeError("bad"), zlib.error("bad"), AttributeError("bad"), RecursionError(),
     ZeroDivisionError("by zero"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), StopIteration(), EOFError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_decoder_raises_is_that_pictures_fault(error, monkeypatch):
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", lambda _: (_ for _ in ()).throw(error))
    with pytest.raises(BadImageError, match=r"^a\.png: damaged picture \(.+\)") as caught:
        decode(encoded(smooth(), "PNG"), 8, path="a.png")
    assert caught.value.key == "data.bad_broken"


@pytest.mark.parametrize(("error", "seen"), [(MemoryError(), BadImageError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_memory_has_its_sentence_and_an_interrupt_passes(error, seen, monkeypatch):
    def fail(self):
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    with pytest.raises(seen) as caught:
        decode(encoded(smooth(), "PNG"), 8, path="a.png")
    assert seen is KeyboardInterrupt or caught.value.key == "data.bad_memory"


def test_no_program_is_started_for_a_picture():
    content = encoded(smooth(), "EPS")
    with pytest.raises(BadImageError) as caught:
        decode(content, 8, path="a.jpg")
    assert caught.value.key == "data.bad_not_a_picture"


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40


def test_heic_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for name in ("a.heic", "a.jpg"):  # phones and chats give it other names
        with pytest.raises(BadImageError, match=r'pip install "thalweg\[heif\]"'):
            decode(HEIC, 8, path=name)


def test_heic_is_read_with_its_package():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    assert difference(decode(encoded(smooth(), "HEIF", quality=95), 40), reduced(smooth())) < 4


# Memory


@pytest.mark.parametrize("resize", ["stretch", "center-crop"])
@pytest.mark.parametrize("sides", [(70, 50), (400, 90), (37, 211)])
@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "RGBA", "PA"])
def test_tile_by_tile_gives_the_same_pixels_as_at_once(mode, sides, resize, monkeypatch):
    image = smooth(4, *sides)
    if mode in {"RGBA", "PA"}:
        image.putalpha(smooth(5, *sides).convert("L"))
    image = image.convert(mode)
    whole = image.convert("L" if mode == "1" else "RGBA" if mode in {"RGBA", "PA"} else "RGB")
    if whole.mode == "RGBA":
        whole = Image.alpha_composite(Image.new("RGBA", sides, "white"), whole).convert("RGB")
    side = min(sides)
    left, top = (sides[0] - side) / 2, (sides[1] - side) / 2
    box = (0, 0, *sides) if resize == "stretch" else (left, top, left + side, top + side)
    expected = whole.resize((9, 9), Image.Resampling.BICUBIC, box, reducing_gap=3.0).convert("RGB")
    monkeypatch.setattr("thalweg.data.rendering._TILE", 600)
    assert np.array_equal(render(image, 9, resize, Rendering()).pixels_HWC, expected)


def test_memory_is_bounded_by_the_decoded_picture():
    """A picture of 3,000² pixels of 16 bits is 18 MB when decoded; as floats it would take 200."""
    code = (
        "import io, resource, numpy as np\n"
        "from PIL import Image\n"
        "from thalweg.data.decoding import decode\n"
        "def png(image, **options):\n"
        "    file = io.BytesIO(); image.save(file, 'PNG', **options); return file.getvalue()\n"
        "clear = Image.new('P', (3000, 3000)); clear.putpalette([9] * 768)\n"
        "files = [png(Image.fromarray(np.zeros((3000, 3000), np.uint16))), png(clear, transparency=0)]\n"
        "del clear\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for file in files: decode(file, 32)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 60_000_000


def test_what_takes_too_much_memory_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr("thalweg.data.decoding.MAX_BYTES", 10_000)
    assert decode(encoded(Image.new("L", (90, 90)), "PNG"), 8).shape == (8, 8, 3)
    for image, kind, options in ((Image.new("RGB", (90, 90)), "PNG", {}), (Image.new("RGB", (40, 40)), "WEBP", {}),
                                 (Image.new("L", (90, 90)), "JPEG", {"progressive": True})):  # fmt: skip
        with pytest.raises(BadImageError, match=r"^a\.png: (90 × 90|40 × 40) pixels"):
            decode(encoded(image, kind, **options), 8, path="a.png")


@pytest.mark.parametrize("value", [-7.5, 0.0, 3.0, np.nan, np.inf, -np.inf])
def test_a_constant_picture_of_numbers_has_one_color_and_no_warning(value):
    result = decode(encoded(Image.fromarray(np.full((9, 9), value, np.float32)), "TIFF"), 4)
    assert result.min() == result.max()


def test_a_number_that_signals_warns_nobody():
    values_HW = np.full((9, 9), 0x7F800001, np.uint32).view(np.float32)  # a NaN that signals
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert decode(encoded(Image.fromarray(values_HW), "TIFF"), 4).max() == 0
    assert not warned

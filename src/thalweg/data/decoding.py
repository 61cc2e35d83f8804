"""From the bytes of a file, whatever its format, to a square of RGB pixels.

JPEG is decoded at a reduced scale where the target size allows it (the inverse DCT of fewer coefficients is itself an
antialiased reduction); a bicubic filter whose support covers the source pixels does the rest. EXIF orientation is
applied, alpha is composited over white, 16 bits are scaled rather than clipped, and an animation gives its first
frame. A truncated file is an error; it is never filled with gray.
"""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager, nullcontext
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from thalweg.errors import BadImageError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Resize = Literal["stretch", "center-crop"]

# Part of every cache's name: raise it whenever pixels change.
DECODER_VERSION = 1
# Phones' largest sensors have 199.8 megapixels; a file that claims more is a bomb, a map or a mistake.
MAX_PIXELS = 200_000_000

_JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BIG = 32_000_000
_one_big_at_a_time = Lock()  # two hundred megapixels are 600 MB as RGB: not in every thread at once

# Raised by Pillow's plugins on malformed files.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, struct.error)


def decode(content: bytes, size: int, resize: Resize = "stretch", *, path: str = "") -> NDArray[np.uint8]:
    """Decode one photo to `size` × `size` pixels.

    Args:
        content: the file, encoded.
        size: width and height of the result, in pixels.
        resize: `stretch` scales both sides to `size`; `center-crop` keeps the aspect ratio and cuts out the middle.
        path: name of the photo in an error.

    Returns:
        RGB, of shape (size, size, 3).

    Raises:
        BadImageError: the file is empty, truncated, not a picture, or too large.

    Example:
        >>> file = BytesIO()
        >>> Image.new("L", (6, 4), 200).save(file, "PNG")
        >>> decode(file.getvalue(), 2).tolist()[0][0]
        [200, 200, 200]
    """
    with reading(content, path) as image:
        return to_square(image, size, resize)


def to_square(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """Decode an opened picture to `size` × `size` pixels of RGB, upright."""
    image.draft(None, (size, size))
    with _one_big_at_a_time if image.width * image.height > _BIG else nullcontext():
        image.load()
        square = _reduce(_to_rgb(image), size, resize)
    turn = _TURNS.get(orientation(image))
    return np.asarray(square.transpose(turn) if turn is not None else square)


@contextmanager
def reading(content: bytes, path: str) -> Iterator[Image.Image]:
    """Open a picture without decoding it; failures inside the block are raised as `BadImageError`.

    Raises:
        BadImageError: in place of Pillow's exceptions.
    """
    if not content:
        raise BadImageError("data.bad_empty", path=path)
    try:
        with _open(content) as image:
            _refuse_bomb(image)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError("data.bad_too_many_pixels", path=path, limit=_limit(content) // 1_000_000) from error
    except UnidentifiedImageError as error:
        raise BadImageError("data.bad_not_a_picture", path=path, head=_head(content)) from error
    except MemoryError as error:
        raise BadImageError("data.bad_memory", path=path) from error
    except _BROKEN as error:
        if "truncated" in str(error).lower():
            raise BadImageError("data.bad_truncated", path=path, size=len(content)) from error
        raise BadImageError("data.bad_broken", path=path, reason=error) from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none or it cannot be read."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1  # the picture is intact, its metadata is not


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Pillow's warnings while pictures are decoded; what matters is checked here.

    Enter it before threads start and leave it after they end: Python's filters belong to the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _open(content: bytes) -> Image.Image:
    # `Image.open` refuses JPEGs of 180 megapixels and more by their full size, though they are decoded at an eighth.
    if content.startswith(_JPEG):
        try:
            return JpegImageFile(BytesIO(content))
        except SyntaxError as error:  # as `Image.open` does
            raise UnidentifiedImageError from error
    return Image.open(BytesIO(content))


def _limit(content: bytes) -> int:
    """Pixels that a picture may have: Pillow's own limit, twice that of its warning, holds for all but JPEG."""
    if content.startswith(_JPEG) or Image.MAX_IMAGE_PIXELS is None:
        return MAX_PIXELS
    return min(MAX_PIXELS, 2 * Image.MAX_IMAGE_PIXELS)


def _refuse_bomb(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as RGB (or L, which is gray), 8 bits per channel."""
    if image.mode.startswith("I;16"):
        return _from_numbers(np.asarray(image).astype(np.float64) / 257)
    if image.mode in {"I", "F"}:
        return _from_numbers(_to_bytes_range(np.asarray(image).astype(np.float64)))
    if image.has_transparency_data:
        above = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), above).convert("RGB")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def _reduce(image: Image.Image, size: int, resize: Resize) -> Image.Image:
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height))
    if resize == "center-crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    reduced = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    return reduced.convert("RGB")


def _from_numbers(values_HW: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values_HW), 0, 255).astype(np.uint8))


def _to_bytes_range(values_HW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale integers or floats to 0..255; their white is not stored, so take 1, 255, 65,535 or else their maximum."""
    values_HW = np.nan_to_num(values_HW, posinf=0.0, neginf=0.0)
    low, high = values_HW.min(), values_HW.max()
    if low >= 0:
        white = next(bound for bound in (1.0, 255.0, 65535.0, high) if high <= bound)
        return values_HW * (255 / white)
    return (values_HW - low) * (255 / (high - low))


def _head(content: bytes) -> str:
    """The first bytes as text that people may recognize."""
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in content[:16])

"""From the bytes of a file, whatever its format, to a square of RGB pixels.

JPEG is decoded at a reduced scale where the target size allows it (the inverse DCT of fewer coefficients is itself an
antialiased reduction); a bicubic filter whose support covers the source pixels does the rest (`rendering`). EXIF
orientation is applied, and an animation gives its first frame. A truncated file is an error; it is never filled with
gray. Whatever a picture makes a decoder raise is that picture's fault: `reading` is the one place that says so.
"""

from __future__ import annotations

import ctypes
import warnings
from contextlib import contextmanager, nullcontext
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from thalweg.data.jpeg import from_jpeg, to_jpeg
from thalweg.data.rendering import Rendering, Resize, Square, bytes_per_pixel, render
from thalweg.errors import BadImageError, ThalwegError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

# Part of every cache's name: raise it whenever the pixels of all photos change.
DECODER_VERSION = 1
# Phones' largest sensors have 199.8 megapixels; a file that claims more is a bomb, a map or a mistake.
MAX_PIXELS = 200_000_000
# Of a picture while it is decoded: a progressive JPEG keeps two bytes for each of three coefficients of a pixel.
MAX_BYTES = 6 * MAX_PIXELS

_JPEG = b"\xff\xd8\xff"
_ORIENTATION = 0x0112
# By EXIF orientation: whether rows and columns change places, and then whether rows and columns are reversed.
_TURNS: Final = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
# Whole pictures that a decoder keeps beside Pillow's own: the canvas of an animation and the one before, wide integers.
_COPIES: Final = {"WEBP": 4, "JPEG2000": 4, "AVIF": 3}
_BIG = 192_000_000
_one_big_at_a_time = Lock()  # a picture may take a gigabyte: not in every thread at once
_NO_NEED_TO_WAIT: Final = nullcontext()
_HEIF_BRANDS: Final = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
_AVIF_BRANDS: Final = frozenset([b"avif", b"avis"])
_PROGRAMS: Final = frozenset(["EPS"])  # Pillow starts Ghostscript for it


def decode(
    content: bytes, size: int, resize: Resize = "stretch", *, path: str = "", rendering: Rendering | None = None
) -> NDArray[np.uint8]:
    """Decode one photo to `size` × `size` pixels.

    Args:
        content: the file, encoded.
        size: width and height of the result, in pixels.
        resize: `stretch` scales both sides to `size`; `center-crop` keeps the aspect ratio and cuts out the middle.
        path: name of the photo in an error.
        rendering: how numbers of more than 8 bits and transparency become colors, and how these are kept: that of the
            photo's set; by default each picture is scaled by itself.

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
    rendering = rendering or Rendering()
    with reading(content, path) as image:
        return to_pixels(image, size, resize, rendering)


def to_pixels(image: Image.Image, size: int, resize: Resize, rendering: Rendering) -> NDArray[np.uint8]:
    """Decode an opened picture to the pixels of (size, size, 3) that a cache of this rendering has."""
    image_HWC = to_square(image, size, resize, rendering).pixels_HWC
    return from_jpeg(to_jpeg(image_HWC)) if rendering.kept == "jpeg" else image_HWC


def to_square(image: Image.Image, size: int, resize: Resize, rendering: Rendering) -> Square:
    """Decode an opened picture to `size` × `size` pixels of RGB, upright."""
    sides = image.size
    image.draft(None, (size, size))
    with room_for(image, sides):
        image.load()
        square = render(image, size, resize, rendering)
    turn = _TURNS.get(orientation(image))
    return square if turn is None else square._replace(pixels_HWC=_turned(square.pixels_HWC, *turn))


def _turned(pixels_HWC: NDArray[np.uint8], across: bool, up: bool, back: bool) -> NDArray[np.uint8]:  # noqa: FBT001
    turned_HWC = pixels_HWC.swapaxes(0, 1) if across else pixels_HWC
    return np.ascontiguousarray(turned_HWC[:: -1 if up else 1, :: -1 if back else 1])


def room_for(image: Image.Image, sides: tuple[int, int]) -> AbstractContextManager[object]:
    """What to enter while an opened picture is decoded: only one large picture at a time is inside.

    Args:
        image: opened.
        sides: width and height as stored, before a JPEG's draft.

    Raises:
        BadImageError: it takes more than `MAX_BYTES`.
    """
    needed = image.width * image.height * bytes_per_pixel(image.mode) * _COPIES.get(image.format or "", 1)
    if "progressive" in image.info:  # all coefficients of the stored size are kept, of two bytes each
        needed += 2 * len(image.getbands()) * sides[0] * sides[1]
    if needed > MAX_BYTES:
        raise BadImageError(
            "data.bad_too_much_memory",
            path="",
            width=sides[0],
            height=sides[1],
            needed=needed // 1_000_000,
            limit=MAX_BYTES // 1_000_000,
        )
    return _one_big_at_a_time if needed > _BIG else _NO_NEED_TO_WAIT


@contextmanager
def reading(content: bytes, path: str) -> Iterator[Image.Image]:
    """Open a picture without decoding it; failures inside the block are raised as `BadImageError`.

    Raises:
        BadImageError: in place of whatever Pillow and its plugins raise; it names the photo.
    """
    if not content:
        raise BadImageError("data.bad_empty", path=path)
    try:
        with _open(content) as image:
            _refuse_bomb(image)
            yield image
    except BadImageError as error:
        raise BadImageError(error.key, **{**error.values, "path": path}) from error
    except ThalwegError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError("data.bad_too_many_pixels", path=path, limit=_limit(content) // 1_000_000) from error
    except UnidentifiedImageError as error:
        raise BadImageError("data.bad_not_a_picture", path=path, head=_head(content)) from error
    except MemoryError as error:
        raise BadImageError("data.bad_memory", path=path) from error
    except Exception as error:  # a damaged file makes a plugin raise anything: assertions, zlib's errors, recursion
        if "truncated" in str(error).lower():
            raise BadImageError("data.bad_truncated", path=path, size=len(content)) from error
        raise BadImageError("data.bad_broken", path=path, reason=_reason(error)) from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none or it cannot be read."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - as in `reading`
        return 1


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings of Pillow and libtiff while pictures are decoded; what matters is checked here.

    Enter it before threads start and leave it after they end: filters and handlers belong to the process.
    """
    with warnings.catch_warnings(), _without_lines_of_libtiff():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@contextmanager
def _without_lines_of_libtiff() -> Iterator[None]:
    """Stop libtiff from writing to stderr, where nobody can tell which photo a line is about."""
    names = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")
    try:
        library = ctypes.CDLL(Image.core.__file__)
        setters = [getattr(library, name) for name in names]
    except (OSError, AttributeError):  # Pillow has no libtiff, or hides it
        yield
        return
    for setter in setters:
        setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    before = [setter(None) for setter in setters]
    try:
        yield
    finally:
        for setter, handler in zip(setters, before, strict=True):
            setter(handler)


def _open(content: bytes) -> Image.Image:
    # `Image.open` refuses JPEGs of 180 megapixels and more by their full size, though they are decoded at an eighth.
    if content.startswith(_JPEG):
        try:
            photo = JpegImageFile(BytesIO(content))
        except SyntaxError as error:  # as `Image.open` does
            raise UnidentifiedImageError from error
        photo.decodermaxblock = len(content)  # at once: at the end of each piece libjpeg would begin its row again
        return photo
    try:
        image = Image.open(BytesIO(content))
    except UnidentifiedImageError:
        return _open_heif(content)
    if image.format in _PROGRAMS:
        raise UnidentifiedImageError
    return image


def _open_heif(content: bytes) -> Image.Image:
    """Open what Pillow alone does not know, if it is HEIC or AVIF.

    Raises:
        UnidentifiedImageError: it is neither.
        BadImageError: the package that reads it is not installed.
    """
    if content[4:8] != b"ftyp":
        raise UnidentifiedImageError
    brands = {content[8:12], *(content[start : start + 4] for start in range(16, min(content[3], 128), 4))}
    if brands & _AVIF_BRANDS and ".avif" not in Image.registered_extensions():
        raise BadImageError("data.bad_needs_avif", path="")
    if not brands & _HEIF_BRANDS:
        raise UnidentifiedImageError
    try:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found]
    except ImportError:
        raise BadImageError("data.bad_needs_heif", path="") from None
    register_heif_opener()
    return Image.open(BytesIO(content))


def _limit(content: bytes) -> int:
    """Pixels that a picture may have: Pillow's own limit, twice that of its warning, holds for all but JPEG."""
    if content.startswith(_JPEG) or Image.MAX_IMAGE_PIXELS is None:
        return MAX_PIXELS
    return min(MAX_PIXELS, 2 * Image.MAX_IMAGE_PIXELS)


def _refuse_bomb(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError


def _reason(error: Exception) -> str:
    """The first line of what was raised; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


def _head(content: bytes) -> str:
    """The first bytes as text that people may recognize."""
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in content[:16])

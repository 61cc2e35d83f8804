"""What one photo's file is: its size, its kind, what is unusual about it, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from PIL import Image

from thalweg.data.decoding import orientation, reading, to_square
from thalweg.data.digests import digest
from thalweg.data.duplicates import THUMBNAIL


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Oddity = Literal["wrong_extension", "sixteen_bit", "cmyk", "palette", "alpha", "rotated", "animated", "large"]

ODDITIES: tuple[Oddity, ...] = (
    "wrong_extension",
    "sixteen_bit",
    "cmyk",
    "palette",
    "alpha",
    "rotated",
    "animated",
    "large",
)

LARGE_PIXELS = 50_000_000

_BITS_OF_PNG = 24  # the byte of the header that says how many bits a channel has
_BITS_OF_TIFF = 258  # the tag that does


@dataclass(frozen=True, eq=False)
class Facts:
    """One photo.

    Attributes:
        digest: of the file.
        size_bytes: of the file.
        width: in pixels, as stored.
        height: in pixels, as stored.
        oddities: what is unusual about it, and handled.
        thumbnail_HWC: how it looks, of shape (32, 32, 3).
    """

    digest: str
    size_bytes: int
    width: int
    height: int
    oddities: frozenset[Oddity]
    thumbnail_HWC: NDArray[np.uint8]


def inspect(content: bytes, path: str) -> Facts:
    """Decode a photo, small, and note what is unusual about it.

    Args:
        content: the file.
        path: its name, whose ending is compared with the content.

    Raises:
        BadImageError: it cannot be decoded.
    """
    with reading(content, path) as image:
        oddities = _oddities(image, content, path)
        width, height = image.size
        thumbnail_HWC = to_square(image, THUMBNAIL, "squash")
        if orientation(image) != 1:  # asked after decoding: a PNG may carry it behind its pixels
            oddities.add("rotated")
    return Facts(digest(content), len(content), width, height, frozenset(oddities), thumbnail_HWC)


def _oddities(image: Image.Image, content: bytes, path: str) -> set[Oddity]:
    expected = Image.registered_extensions().get(PurePosixPath(path).suffix.lower())
    found: dict[Oddity, bool] = {
        "wrong_extension": expected != image.format,
        "sixteen_bit": _bits(image, content) > 8,
        "cmyk": image.mode == "CMYK",
        "palette": image.mode in {"P", "PA"},
        "alpha": image.has_transparency_data,
        "animated": getattr(image, "n_frames", 1) > 1,
        "large": image.width * image.height > LARGE_PIXELS,
    }
    return {name for name, true in found.items() if true}


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits a channel, in the file."""
    if image.format == "PNG":
        return content[_BITS_OF_PNG]
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(_BITS_OF_TIFF, (8,)))
    return 16 if image.mode.startswith(("I", "F")) else 8

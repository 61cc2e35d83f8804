"""Test-time augmentation: average the probabilities of several crops of one photo."""

from __future__ import annotations

from typing import NamedTuple

from thalweg.errors import UsageError


# Fraction of the side that a crop keeps: large enough for the object, small enough to differ from the whole photo.
KEPT = 0.875


class Crop(NamedTuple):
    """A box of the decoded photo, and whether it is mirrored."""

    box: tuple[int, int, int, int]  # top, left, height, width, in pixels
    flip: bool


def crops(count: int, stored: int) -> list[Crop]:
    """Return the first `count` crops: the whole photo, the middle, the corners, each plain and mirrored.

    Args:
        count: 1 to 12; 1 is the whole photo.
        stored: side of the decoded photo, in pixels.

    Raises:
        UsageError: `count` is out of range.

    Example:
        >>> [(*crop.box, crop.flip) for crop in crops(3, 160)]
        [(0, 0, 160, 160, False), (0, 0, 160, 160, True), (10, 10, 140, 140, False)]
    """
    side = max(1, round(stored * KEPT))
    room = stored - side
    middle = room // 2
    places = [(0, 0, stored), (middle, middle, side), *((top, left, side) for top in (0, room) for left in (0, room))]
    every = [Crop((top, left, side, side), flip) for top, left, side in places for flip in (False, True)]
    if not 1 <= count <= len(every):
        raise UsageError("prediction.bad_crops", count=count, most=len(every))
    return every[:count]


def crop_weights(count: int) -> list[float]:
    """Return the weights of `count` crops: one half for the whole photo, the other half shared by the rest.

    Example:
        >>> crop_weights(1), crop_weights(3)
        ([1.0], [0.5, 0.25, 0.25])
    """
    return [1.0] if count == 1 else [0.5, *[0.5 / (count - 1)] * (count - 1)]

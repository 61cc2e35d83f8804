"""Test-time augmentation: several views of one photo, whose probabilities are averaged."""

from __future__ import annotations

from typing import NamedTuple

from thalweg.errors import UsageError


# Share of the side that a crop keeps: large enough to hold the object, small enough to differ from the whole.
CROP = 0.875


class View(NamedTuple):
    """Which part of the cached picture, and whether mirrored."""

    box: tuple[int, int, int, int]  # top, left, height, width, in pixels
    flip: bool


def views(count: int, stored: int) -> list[View]:
    """The first `count` views: the whole, mirrored, the middle, the corners, each plain and mirrored.

    Args:
        count: 1 to 12; 1 is the plain photo.
        stored: side of the cached picture, in pixels.

    Raises:
        UsageError: there are not so many.

    Example:
        >>> [(*view.box, view.flip) for view in views(3, 160)]
        [(0, 0, 160, 160, False), (0, 0, 160, 160, True), (10, 10, 140, 140, False)]
    """
    side = max(1, round(stored * CROP))
    room = stored - side
    middle = room // 2
    places = [(0, 0, stored), (middle, middle, side), *((top, left, side) for top in (0, room) for left in (0, room))]
    every = [View((top, left, side, side), flip) for top, left, side in places for flip in (False, True)]
    if not 1 <= count <= len(every):
        raise UsageError("prediction.bad_views", count=count, most=len(every))
    return every[:count]


def view_weights(count: int) -> list[float]:
    """What each of `count` views counts: the plain one half, the others the other half together.

    Example:
        >>> view_weights(1), view_weights(3)
        ([1.0], [0.5, 0.25, 0.25])
    """
    return [1.0] if count == 1 else [0.5, *[0.5 / (count - 1)] * (count - 1)]

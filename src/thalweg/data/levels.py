"""Levels of a set: which numbers of pictures with more than 8 bits are black and white.

A camera of 12 bits stores 0 to 4,095 in files of 16 bits; a thermal one stores 29,000 to 31,000. Divided by 257, as the
format suggests, their photos fill a few of 256 gray levels, and a network learns nothing from them. Scaled each by
itself, two photos of equal brightness differ. So the levels are chosen once, from numbers of all photos of a set.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg._files import cache_folder, write_text
from thalweg.data.decoding import quiet, reading, room_for
from thalweg.data.digests import digest
from thalweg.data.parallel import in_order
from thalweg.data.rendering import FULL_RANGE, KINDS, Rendering, kind_of, sampled
from thalweg.data.sources import Note
from thalweg.errors import BadImageError, StorageError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data.sources import Source

_VERSION: Final = 1  # of the choice: raise it whenever `choose` changes
_PER_PHOTO, _IN_ALL = 4096, 1 << 23  # numbers looked at
_TAIL = 0.001  # share of the numbers that may be darker than black, and brighter than white: dead and hot pixels
_FEWEST = 16  # of 256 gray levels; numbers that would fill fewer get a black of their own


@dataclass(frozen=True)
class Level:
    """What becomes black and white in the pictures of one mode.

    Attributes:
        kind: the mode of Pillow.
        photos: how many have it.
        low: all numbers but a thousandth are at least this.
        high: all but a thousandth are at most this.
        black: the number shown as black.
        white: the number shown as white.
    """

    kind: str
    photos: int
    low: float
    high: float
    black: float
    white: float

    def note(self) -> Note:
        """What the user should know about it."""
        values = {name: f"{getattr(self, name):,.6g}" for name in ("low", "high", "black", "white")}
        return Note("data.note_levels", {"count": self.photos, **values})


def levels_of(
    source: Source, digests: Mapping[str, str], *, folder: Path | None = None, workers: int | None = None
) -> tuple[Level, ...]:
    """Choose the levels of a set, or recall them.

    Args:
        source: reads the files.
        digests: of the photos that may have more than 8 bits, by name.
        folder: the cache folder that stores levels; the user's by default.
        workers: threads; one per core by default.

    Returns:
        One level for each mode that needs one: none for 16 bits that are used in full.
    """
    if not digests:
        return ()
    key = digest(json.dumps([_VERSION, sorted(digests.values())]).encode())
    memory = (folder or cache_folder()) / "levels" / f"{key}.json"
    known = _recall(memory)
    if known is not None:
        return known
    count = max(1, min(_PER_PHOTO, _IN_ALL // len(digests)))

    def look(name: str) -> tuple[str, NDArray[np.float32]] | None:
        try:
            with reading(source.read(name), name) as image:
                kind = kind_of(image)
                if kind is None:
                    return None
                with room_for(image, image.size):
                    image.load()
                    return kind, sampled(image, count)
        except BadImageError:
            return None  # the check and the cache name it

    found: dict[str, list[NDArray[np.float32]]] = {}
    with quiet():
        for one in in_order(look, sorted(digests), workers=workers):
            if one is not None and len(one[1]):
                found.setdefault(one[0], []).append(one[1])
    chosen = tuple(choose(kind, found[kind]) for kind in KINDS if kind in found)
    levels = tuple(level for level in chosen if (level.kind, level.black, level.white) != ("I;16", *FULL_RANGE))
    _remember(memory, levels)
    return levels


def rendering_with(levels: tuple[Level, ...]) -> Rendering:
    """The rendering of a set with these levels."""
    return Rendering({level.kind: (level.black, level.white) for level in levels})


def choose(kind: str, samples: list[NDArray[np.float32]]) -> Level:
    """Choose black and white from numbers of every photo.

    White is 1, or the largest number of as many bits as are used; black is 0, unless the numbers are negative, or lie
    so close together that they would fill fewer than 16 of 256 gray levels.

    Args:
        kind: the mode of Pillow.
        samples: numbers of each photo, at least one in all.

    Example:
        >>> level = choose("I;16", [np.arange(4096.0, dtype=np.float32)])
        >>> level.black, level.white
        (0.0, 4095.0)
    """
    values = np.concatenate(samples)
    low, high = (float(bound) for bound in np.quantile(values, [_TAIL, 1 - _TAIL], method="nearest"))
    black, white = 0.0, float(2 ** math.ceil(high).bit_length() - 1) if high > 1 else 1.0
    if low < 0 or (high - low) * 256 < _FEWEST * white:
        black, white = low, high
    if black == white:
        black, white = (0.0, black) if black > 0 else (black, black + 1)
    return Level(kind, len(samples), low, high, black, white)


def _recall(memory: Path) -> tuple[Level, ...] | None:
    try:
        stored = json.loads(memory.read_bytes())
        entries = stored["levels"]
        if stored["seal"] != _seal(entries):
            return None
        levels = tuple(Level(**entry) for entry in entries)
        whole = all(level.kind in KINDS and _finite(level) and level.black < level.white for level in levels)
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None  # never written, or damaged
    return levels if whole else None


def _finite(level: Level) -> bool:
    numbers: list[Any] = [level.photos, level.low, level.high, level.black, level.white]
    return all(isinstance(number, int | float) and np.isfinite(number) for number in numbers)


def _remember(memory: Path, levels: tuple[Level, ...]) -> None:
    entries = [asdict(level) for level in levels]
    try:
        write_text(memory, json.dumps({"levels": entries, "seal": _seal(entries)}))
    except StorageError:
        return  # storing them only saves time


def _seal(entries: list[dict[str, Any]]) -> str:
    return digest(json.dumps(entries, sort_keys=True).encode())

"""The manifest of a cache: which photos its rows are, written with the sums of every row and checked on reading.

A manifest is never believed: a row too few, or a bad photo at another position, would give every photo after it the
label of its neighbor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.data.digests import digest
from thalweg.data.jpeg import AHEAD_BYTES, JpegPhotos
from thalweg.data.segmented import open_segments
from thalweg.data.sources import Note
from thalweg.data.sums import channel_sums
from thalweg.errors import StorageError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data.rendering import Kept
    from thalweg.data.segmented import Pixels

PIXELS: Final = "pixels.u8"  # of the first segment: caches of older versions have no other
JPEGS: Final = "photos.jpegs"  # instead, where photos are kept as JPEG
SUMS: Final = "sums.npy"
LENGTHS: Final = "lengths.npy"  # of JPEGs, in bytes
MANIFEST: Final = "manifest.json"

_DAMAGED = (  # what damaged files raise
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, EOFError, MemoryError),
    StorageError,  # of a JPEG
)
_SAMPLE = 32  # rows of pixels that are compared with their sums on opening


@dataclass(frozen=True)
class BadImage:
    """A photo that cannot be used.

    Attributes:
        path: within the set's root.
        reason: what is wrong with it.
    """

    path: str
    reason: Note

    def __str__(self) -> str:
        return str(self.reason)


@dataclass(frozen=True)
class Manifest:
    """What a cache's folder contains.

    Attributes:
        rows: photos whose pixels it has.
        bad: the others: position among all photos, key of the message, its values.
        may_pass: whether a bad photo may be readable later.
        segments: rows in each file.
        kept: what the files contain.
    """

    rows: int
    bad: tuple[tuple[int, str, Mapping[str, int | str]], ...]
    may_pass: bool
    segments: tuple[int, ...]
    kept: Kept = "pixels"


def file_of(number: int, kept: Kept) -> str:
    """The name of the file with the photos of a segment.

    Example:
        >>> file_of(0, "pixels"), file_of(12, "jpeg")
        ('pixels.u8', 'photos-0012.jpegs')
    """
    name, ending = (JPEGS if kept == "jpeg" else PIXELS).split(".")
    return f"{name}-{number:04}.{ending}" if number else f"{name}.{ending}"


def pixels_of(folder: Path, manifest: Manifest, size: int, ahead_bytes: float = AHEAD_BYTES) -> Pixels:
    """Open the photos of a cache, read as pixels of shape (rows, size, size, 3).

    Args:
        folder: of the cache.
        manifest: read from it.
        size: width and height, in pixels.
        ahead_bytes: most bytes of photos that are decoded ahead, if they are kept as JPEG.

    Raises:
        OSError: a file is missing.
        ValueError: a file has another length.
    """
    paths = [folder / file_of(number, manifest.kept) for number in range(len(manifest.segments))]
    if manifest.kept == "jpeg":
        lengths_N = np.load(folder / LENGTHS)
        return JpegPhotos(paths, np.split(lengths_N, np.cumsum(manifest.segments)[:-1]), size, ahead_bytes)
    return open_segments(paths, manifest.segments, size)


def write_manifest(
    folder: Path,
    facts: Mapping[str, Any],
    manifest: Manifest,
    sums_N23: NDArray[np.float64],
    lengths_N: NDArray[np.int64],
) -> None:
    """Write the manifest, sealed, and the sums of each row.

    Args:
        folder: where the pixels are.
        facts: entries for a person who looks at the file.
        manifest: rows and bad photos.
        sums_N23: `channel_sums` of each row.
        lengths_N: bytes of each row.
    """
    file = BytesIO()
    np.save(file, sums_N23)
    (folder / SUMS).write_bytes(file.getvalue())
    entries = {**facts, "rows": manifest.rows, "bad": manifest.bad, "may_pass": manifest.may_pass}
    if manifest.kept == "jpeg":
        np.save(folder / LENGTHS, lengths_N)
        entries["kept"], entries["lengths"] = manifest.kept, digest((folder / LENGTHS).read_bytes())
    if len(manifest.segments) > 1:
        entries["segments"] = manifest.segments
    entries["sums"] = digest(file.getvalue())
    entries["seal"] = _seal(entries)
    (folder / MANIFEST).write_text(json.dumps(entries, ensure_ascii=False, indent=1), encoding="utf-8")


def read_manifest(folder: Path, size: int, photos: int) -> Manifest | None:
    """Read a manifest and compare it with its photos, its sums, and a sample of its pixels.

    Args:
        folder: where it is.
        size: width and height of each row, in pixels.
        photos: number of photos of the set.

    Returns:
        `None` if anything is missing, damaged or does not fit.
    """
    try:
        entries = json.loads((folder / MANIFEST).read_bytes())
        if entries.get("seal", seal := _seal(entries)) != seal:  # caches of older versions have no seal
            return None
        if entries.get("cache", folder.name) != folder.name:
            return None
        rows: int = entries["rows"]
        segments = tuple(entries.get("segments", [rows]))
        bad, may_pass = tuple(map(tuple, entries["bad"])), entries.get("may_pass", False)
        manifest = Manifest(rows, bad, may_pass, segments, entries.get("kept", "pixels"))
        if not _fits(manifest, photos) or not _has_its_pixels(folder, manifest, size, entries):
            return None
    except _DAMAGED:
        return None
    return manifest


def _seal(entries: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in entries.items() if name != "seal"}
    return digest(json.dumps(rest, sort_keys=True).encode())


def _fits(manifest: Manifest, photos: int) -> bool:
    """Whether there is a row or a reason for each photo, in order, with a message that can be shown."""
    positions = [position for position, _, _ in manifest.bad]
    whole = [manifest.rows, *positions, *manifest.segments]
    return (
        all(isinstance(number, int) and not isinstance(number, bool) for number in whole)
        and isinstance(manifest.may_pass, bool)
        and min(manifest.segments) >= 0
        and manifest.rows == sum(manifest.segments)
        and manifest.rows + len(positions) == photos
        and positions == sorted(set(positions))
        and all(0 <= position < photos for position in positions)
        and all(_can_be_shown(key, values) for _, key, values in manifest.bad)
    )


def _can_be_shown(key: object, values: object) -> bool:
    if not isinstance(key, str) or not key.startswith("data.bad_") or not isinstance(values, dict):
        return False
    return bool(str(Note(key, values)))  # an unknown key or a value of another type raises


def _has_its_pixels(folder: Path, manifest: Manifest, size: int, entries: Mapping[str, Any]) -> bool:
    """Whether the pixels have the right length, and rows spread over all of them have the sums that were stored."""
    content = (folder / SUMS).read_bytes()
    if entries.get("sums", known := digest(content)) != known:
        return False
    if manifest.kept == "jpeg" and entries["lengths"] != digest((folder / LENGTHS).read_bytes()):
        return False
    sums_N2C = np.load(BytesIO(content))
    if sums_N2C.shape != (manifest.rows, 2, 3) or sums_N2C.dtype != np.float64:
        return False
    pixels_NHWC = pixels_of(folder, manifest, size)
    last = manifest.rows - 1
    sample = np.unique(np.linspace(0, last, min(manifest.rows, _SAMPLE)).astype(int))
    return all(np.array_equal(channel_sums(np.asarray(pixels_NHWC[row])), sums_N2C[row]) for row in sample)

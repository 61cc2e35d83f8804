"""The pixels of a cache while they are written: a file for each segment, which is a run of neighboring photos.

A finished segment has a record beside its file, with the digest of that file. So a build that is killed, or whose disk
is full, loses one segment at most, and several processes write segments of one cache without copying any.
"""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from thalweg.data.digests import DIGEST_BYTES, digest, digest_file
from thalweg.data.manifest import file_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data.rendering import Kept

SEGMENT_BYTES: int = 64 << 20  # of pixels: a second of decoding
_MOST: Final = 256  # each is an open file, and a process may have 1,024
_RECORD: Final = ".record.json"
_UNFINISHED: Final = ".unfinished"


class Segment(NamedTuple):
    """A run of neighboring photos.

    Attributes:
        number: of the segment in the cache, from 0.
        positions: those of its photos among all.
        file: the name of its file.
    """

    number: int
    positions: range
    file: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What a finished segment contains. Shape suffixes: N rows; the sums of three channels, and of their squares.

    Attributes:
        bad: photos without a row: position among all photos, key of the message, its values.
        may_pass: whether one of them may be readable later.
        sums_N23: `channel_sums` of each row.
        lengths_N: bytes of each row.
        digest: of the file.
    """

    bad: list[tuple[int, str, Mapping[str, int | str]]]
    may_pass: bool
    sums_N23: NDArray[np.float64]
    lengths_N: NDArray[np.int64]
    digest: str

    def sealed(self, segment: Segment) -> str:
        """The text of the record: a row too few would give every photo after it the label of its neighbor."""
        entries = {
            "positions": [segment.positions.start, segment.positions.stop],
            "bad": self.bad,
            "may_pass": self.may_pass,
            "sums": self.sums_N23.tolist(),
            "lengths": self.lengths_N.tolist(),
            "digest": self.digest,
        }
        return json.dumps({**entries, "seal": digest(json.dumps(entries).encode())})


def segments_of(photos: int, row_bytes: int, kept: Kept = "pixels") -> list[Segment]:
    """Cut photos into segments of about 64 MB of pixels, of more where there would be too many files.

    Args:
        photos: how many, at least 1.
        row_bytes: bytes of a photo's pixels.
        kept: what the files contain.

    Example:
        >>> [segment.positions for segment in segments_of(1500, 192 * 192 * 3)]
        [range(0, 606), range(606, 1212), range(1212, 1500)]
    """
    each = max(1, SEGMENT_BYTES // row_bytes, math.ceil(photos / _MOST))
    firsts = range(0, photos, each)
    return [
        Segment(number, range(first, min(first + each, photos)), file_of(number, kept))
        for number, first in enumerate(firsts)
    ]


class SegmentWriter:
    """Writes one segment; what is not finished is removed.

    Args:
        folder: of the build.
        segment: its photos are added or left out in order.
    """

    def __init__(self, folder: Path, segment: Segment) -> None:
        self._folder, self._segment = folder, segment
        self._path = folder / segment.file
        self._unfinished = folder / f"{segment.number}{_UNFINISHED}"
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._bad: list[tuple[int, str, Mapping[str, int | str]]] = []
        self._may_pass = False
        self._sums: list[NDArray[np.float64]] = []
        self._lengths: list[int] = []

    def __enter__(self) -> Self:
        self._file = self._unfinished.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk says so again
            self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def add(self, content: bytes | memoryview, sums: NDArray[np.float64]) -> None:
        """Write the next row."""
        self._file.write(content)
        self._digest.update(content)
        self._lengths.append(len(content))
        self._sums.append(sums)

    def leave_out(self, position: int, key: str, values: Mapping[str, int | str], *, may_pass: bool) -> None:
        """Note a photo that cannot be used."""
        self._bad.append((position, key, values))
        self._may_pass |= may_pass

    def finish(self) -> Record:
        """Put the file at its place, with its record; return that."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        record = Record(
            bad=self._bad,
            may_pass=self._may_pass,
            sums_N23=np.array(self._sums).reshape(-1, 2, 3),
            lengths_N=np.array(self._lengths, dtype=np.int64),
            digest=self._digest.hexdigest(),
        )
        self._unfinished.replace(self._path)
        path = _record_of(self._folder, self._segment)
        try:
            path.write_text(record.sealed(self._segment), encoding="utf-8")  # cut off, it has no seal
        except OSError:
            path.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
            raise
        return record


def read_record(folder: Path, segment: Segment) -> Record | None:
    """Read the record of a segment and compare it with the file.

    Returns:
        `None` if it is not finished, or damaged, or if one of its photos may be readable by now.
    """
    try:
        text = _record_of(folder, segment).read_text(encoding="utf-8")
        entries = json.loads(text)
        record = Record(
            bad=entries["bad"],
            may_pass=entries["may_pass"],
            sums_N23=np.array(entries["sums"], dtype=np.float64).reshape(-1, 2, 3),
            lengths_N=np.array(entries["lengths"], dtype=np.int64),
            digest=entries["digest"],
        )
        if record.sealed(segment) != text or record.may_pass:
            return None
        if digest_file(folder / segment.file) != record.digest:
            return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return record


def photos_done(folder: Path, segments: Sequence[Segment]) -> int:
    """The photos of the segments that have a record, which is not checked."""
    return sum(len(one.positions) for one in segments if _record_of(folder, one).exists())


def records_in(folder: Path) -> int:
    """How many finished segments of a build a folder has."""
    return sum(1 for _ in folder.glob(f"*{_RECORD}"))


def remove_records(folder: Path) -> None:
    """Remove the records: the manifest has what they say."""
    for path in folder.glob(f"*{_RECORD}"):
        path.unlink()


def _record_of(folder: Path, segment: Segment) -> Path:
    return folder / f"{segment.number}{_RECORD}"

"""The pixels of a cache while they are written: a file for each segment, which is a run of neighboring photos.

A finished segment has a record beside its file, with the digest of that file. So a build that is killed, or whose disk
is full, loses one segment at most, and several processes write segments of one cache without copying any.
"""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from thalweg.data.digests import DIGEST_BYTES, digest, digest_file
from thalweg.data.manifest import file_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
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


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a finished segment contains.

    Attributes:
        bad: photos without a row: position among all photos, key of the message, its values.
        may_pass: whether one of them may be readable later.
        sums: `channel_sums` of each row, as lists.
        lengths: bytes of each row.
        digest: of the file.
    """

    bad: list[tuple[int, str, Mapping[str, int | str]]] = field(default_factory=list)
    may_pass: bool = False
    sums: list[list[list[float]]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    digest: str = ""


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
        self._found = Record()
        self._may_pass = False

    def __enter__(self) -> Self:
        self._file = self._unfinished.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk says so again
            self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def add(self, content: bytes, sums: NDArray[np.float64]) -> None:
        """Write the next row."""
        self._file.write(content)
        self._digest.update(content)
        self._found.lengths.append(len(content))
        self._found.sums.append(sums.tolist())

    def leave_out(self, position: int, key: str, values: Mapping[str, int | str], *, may_pass: bool) -> None:
        """Note a photo that cannot be used."""
        self._found.bad.append((position, key, values))
        self._may_pass |= may_pass

    def finish(self) -> Record:
        """Put the file at its place, with its record; return that."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        record = replace(self._found, may_pass=self._may_pass, digest=self._digest.hexdigest())
        self._unfinished.replace(self._path)
        path = _record_of(self._folder, self._segment)
        try:
            path.write_text(_sealed(self._segment, record), encoding="utf-8")  # cut off, it has no seal
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
        entries = json.loads(_record_of(folder, segment).read_bytes())
        record = Record(**entries["record"])
        if _sealed(segment, record) != json.dumps(entries) or record.may_pass:
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


def _sealed(segment: Segment, record: Record) -> str:
    """The text of a record: a row too few would give every photo after it the label of its neighbor."""
    entries: dict[str, Any] = {
        "positions": [segment.positions.start, segment.positions.stop],
        "record": {name: getattr(record, name) for name in Record.__dataclass_fields__},
    }
    return json.dumps({**entries, "seal": digest(json.dumps(entries).encode())})

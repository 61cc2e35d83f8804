"""The folder of a cache, made by one process or by several that share a disk.

It is built beside its place, under a name that ends in `.part`, and renamed once whole. If two processes build the same
one apart, the second keeps the first one's. Of a build that is cut off, because its process is killed or the disk is
full, the finished segments stay (`segments`): the next build of the same cache checks them and goes on.

Processes that build together write some of the segments each. The first of them checks those of the others and decodes
what does not pass.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import PIL

from thalweg.data.decoding import DECODER_VERSION, decode, quiet
from thalweg.data.jpeg import from_jpeg, to_jpeg
from thalweg.data.manifest import Manifest, write_manifest
from thalweg.data.parallel import TOGETHER, in_order
from thalweg.data.resampling import WORTH
from thalweg.data.resampling import load as load_filter
from thalweg.data.segments import (
    SegmentWriter,
    photos_done,
    read_record,
    remove_records,
    segments_of,
)
from thalweg.data.sharding import of_process
from thalweg.data.sources import is_gone
from thalweg.data.sums import channel_sums
from thalweg.data.sums import load as load_sums
from thalweg.data.unfinished import claimed, remove_abandoned
from thalweg.errors import BadImageError, DataError, StorageError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data.digests import Content
    from thalweg.data.photos import Photo
    from thalweg.data.rendering import Rendering, Resize
    from thalweg.data.segments import Record, Segment
    from thalweg.data.sources import Source

    Decoded = tuple[bytes | memoryview, NDArray[np.float64]]  # what a row is written as, and its sums
    Fill = Callable[[Path, "Decoding"], dict[int, Record]]

# Names on disk keep the words of the first caches: renaming them would decode every photo again.
RESIZE_ON_DISK: dict[Resize, str] = {"stretch": "squash", "center-crop": "crop"}
# Failures that may be temporary, for content that was read once: an unplugged drive, a full memory, a missing package.
_MAY_PASS = {
    "data.bad_missing",
    "data.bad_unreadable",
    "data.bad_memory",
    "data.bad_needs_heif",
    "data.bad_needs_avif",
}
_LOST = {"data.bad_missing", "data.bad_unreadable"}
_DIGESTS: Final = "digests"  # what builders tell one another: the first has read all files,
_PART: Final = "part"  # the name of the folder for shares, or that none is needed,
_DONE: Final = "done"  # a share of the segments is decoded,
_BUILT: Final = "built"  # the cache is at its place


class Builders(Protocol):
    """The processes that build one cache together, as one of them sees them.

    Attributes:
        rank: number of this process among them, from 0.
        processes: how many they are.
        workers: threads that each of them may use.
    """

    rank: int
    processes: int
    workers: int

    def agree(self, text: str) -> bool:
        """Whether this text is the same in the first process of all, also of those that have another disk."""
        ...

    def tell(self, name: str, text: str) -> None:
        """Leave a text for the others."""
        ...

    def hear(self, name: str, rank: int) -> str:
        """Return the text that one of them leaves; wait as long as it lives."""
        ...


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """What to decode, and how.

    Attributes:
        source: reads the files.
        photos: one per row, in the order of the rows.
        contents: what is known about their contents; `None` for a file that cannot be read.
        size: width and height of the result, in pixels.
        resize: how a photo becomes a square.
        rendering: how numbers and transparency become colors.
        stop: raise at the first photo that cannot be used instead of leaving it out.
        progress: called with (photos done, photos).
        workers: threads; one per core by default.
    """

    source: Source
    photos: Sequence[Photo]
    contents: Sequence[Content | None]
    size: int
    resize: Resize
    rendering: Rendering
    stop: bool
    progress: Callable[[int, int], None] | None
    workers: int | None

    @cached_property
    def segments(self) -> list[Segment]:
        """The photos as the files of the cache have them."""
        return segments_of(len(self.photos), 3 * self.size**2, self.rendering.kept)

    @cached_property
    def _as_pixels(self) -> Rendering:
        return replace(self.rendering, kept="pixels")

    def decoded(self, position: int) -> Decoded | BadImageError:
        """Return the bytes and the sums of a photo, or why it cannot be used."""
        photo = self.photos[position]
        try:
            content = self.source.read(photo.path)
            image_HWC = decode(content, self.size, self.resize, path=photo.path, rendering=self._as_pixels)
        except BadImageError as error:
            return error
        if self.rendering.kept == "pixels":
            return image_HWC.reshape(-1).data, channel_sums(image_HWC)
        row = to_jpeg(image_HWC)
        return row, channel_sums(from_jpeg(row))  # of what training will see


def wait_for_digests(builders: Builders | None) -> None:
    """Wait until the first builder has read all files: the others recall from the disk what it found."""
    if builders is not None and builders.rank:
        builders.hear(_DIGESTS, 0)


def build(home: Path, job: Decoding, fill: Fill | None = None) -> int:
    """Decode into a folder beside `home`, then rename it.

    Args:
        home: the place of the cache.
        job: the photos.
        fill: has all segments in a folder; None: this process alone does.

    Returns:
        Photos that a build which was cut off had decoded.

    Raises:
        BadImageError: a photo cannot be used and the job is to stop then.
        DataError: the photos' drive has gone away.
        StorageError: the folder cannot be written, or the disk is full; only finished segments are left behind.
    """
    kept = 0
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(home.parent)
        with claimed(home) as part:
            kept = photos_done(part, job.segments)
            try:
                _finish(part, home, job, (fill or _decode_missing)(part, job))
            except OSError as error:
                raise _cannot_write(home, error, photos_done(part, job.segments), len(job.photos)) from error
    except OSError as error:
        raise _cannot_write(home, error) from error
    return kept


def build_together(builders: Builders, home: Path, job: Decoding, *, is_there: bool) -> int:
    """Have the cache at its place, whoever of the builders decodes what.

    Args:
        builders: the processes, each of which calls this.
        home: the place of the cache.
        job: all photos.
        is_there: whether the first builder has found the cache whole; what the others say does not count.

    Returns:
        Photos that a build which was cut off had decoded, for the first builder; 0 for the others.

    Raises:
        DataError: the photos of this process are not those of the first.
        BadImageError: a photo cannot be used and the job is to stop then.
        StorageError: the folder cannot be written, or the disk is full.
    """
    builders.tell(_DIGESTS, "")
    if not builders.agree(home.name):
        raise DataError("data.other_contents", count=len(job.photos))
    if builders.rank:
        _help(builders, home, job)
    elif is_there:
        builders.tell(_PART, "")
    else:
        kept = build(home, job, partial(_decode_shares, builders) if builders.processes > 1 else None)
        builders.tell(_BUILT, "")
        return kept
    return 0


def _help(builders: Builders, home: Path, job: Decoding) -> None:
    """Decode the share of a process that is not the first, and wait for the whole."""
    part = builders.hear(_PART, 0)
    if not part:
        return
    try:
        _decode_missing(home.parent / part, job, _share_of(job, builders, builders.rank), builders.workers)
    except OSError as error:
        raise _cannot_write(home, error) from error
    builders.tell(_DONE, "")
    builders.hear(_BUILT, 0)


def _decode_shares(builders: Builders, part: Path, job: Decoding) -> dict[int, Record]:
    """Decode the share of the first process, check those of the others, and decode what is missing."""
    part.chmod(0o755)  # the others may be other users
    builders.tell(_PART, part.name)
    records = _decode_missing(part, job, _share_of(job, builders, 0), builders.workers)
    for rank in range(1, builders.processes):
        builders.hear(_DONE, rank)
        records |= _decode_missing(part, job, _share_of(job, builders, rank), builders.workers)
    return records


def _share_of(job: Decoding, builders: Builders, rank: int) -> Sequence[Segment]:
    """The segments of one builder: neighbors, about equally many for each."""
    own = of_process(len(job.segments), rank, builders.processes)
    return job.segments[own.start : own.stop]


def _decode_missing(
    part: Path, job: Decoding, segments: Sequence[Segment] | None = None, workers: int | None = None
) -> dict[int, Record]:
    """Decode the segments that are not finished; all by default.

    Returns:
        The records of the segments, by their numbers.
    """
    segments = job.segments if segments is None else segments
    found = ((segment.number, read_record(part, segment)) for segment in segments)
    records = {number: record for number, record in found if record is not None}
    wanted = [segment for segment in segments if segment.number not in records]
    total = sum(len(segment.positions) for segment in segments)
    done = total - sum(len(segment.positions) for segment in wanted)
    positions = (position for segment in wanted for position in segment.positions)
    decoded = in_order(job.decoded, positions, workers=workers or job.workers, together=TOGETHER)
    with quiet(), _compiling_for(total - done), contextlib.closing(decoded) as results:
        for segment in wanted:
            with SegmentWriter(part, segment) as file:
                for position in segment.positions:
                    _write(file, job, position, next(results))
                    done += 1
                    if job.progress:
                        job.progress(done, total)
                records[segment.number] = file.finish()
    return records


@contextlib.contextmanager
def _compiling_for(photos: int) -> Iterator[None]:
    """Compile the loops meanwhile if that pays: Pillow decodes until then, to the same pixels.

    It has ended with the block: a fork in the middle would leave the compiler locked in the child, and Numba, which
    also changes the filters of warnings, would put back those of the block.
    """
    thread = Thread(target=_compile, name="thalweg-compile")
    if photos >= WORTH:
        thread.start()
    try:
        yield
    finally:
        if thread.ident is not None:
            thread.join()


def _compile() -> None:
    with contextlib.suppress(Exception):  # where nothing can be compiled, Pillow decodes all of them
        load_filter()
        load_sums()


def _write(file: SegmentWriter, job: Decoding, position: int, result: Decoded | BadImageError) -> None:
    """Write a decoded photo, or leave it out."""
    if not isinstance(result, BadImageError):
        file.add(*result)
        return
    if job.stop:
        raise result
    if result.key in _LOST and is_gone(job.source.path):
        raise DataError("data.source_gone", path=job.source.path, done=position, total=len(job.photos))
    values = {name: _plain(value) for name, value in result.values.items()}
    may_pass = result.key in _MAY_PASS and job.contents[position] is not None
    file.leave_out(position, result.key, values, may_pass=may_pass)


def _finish(part: Path, home: Path, job: Decoding, records: Mapping[int, Record]) -> None:
    """Write the manifest over all segments, in place of their records."""
    ordered = [records[segment.number] for segment in job.segments]
    sums_N23 = np.concatenate([record.sums_N23 for record in ordered])
    lengths_N = np.concatenate([record.lengths_N for record in ordered])
    bad = tuple(photo for record in ordered for photo in record.bad)
    may_pass = any(record.may_pass for record in ordered)
    rows = tuple(len(record.lengths_N) for record in ordered)
    manifest = Manifest(len(sums_N23), bad, may_pass, rows, job.rendering.kept)
    write_manifest(part, _facts(home.name, job), manifest, sums_N23, lengths_N)
    remove_records(part)


def _facts(name: str, job: Decoding) -> dict[str, Any]:
    """What a manifest tells a person who looks at it.

    Pillow is not part of the name: between versions 12 and 13 a tall photo changes by a few of 256 levels.
    """
    return {
        "cache": name,
        "decoder": DECODER_VERSION,
        "pillow": PIL.__version__,
        "size": job.size,
        "fit": RESIZE_ON_DISK[job.resize],
    }


def _plain(value: Any) -> int | str:
    """A value of a message, as JSON can store it."""
    return value if isinstance(value, int) else str(value)


def _cannot_write(home: Path, error: OSError, done: int = 0, total: int = 0) -> StorageError:
    reason = error.strerror or error
    if not done:
        return StorageError("data.cannot_write_cache", path=home, reason=reason)
    return StorageError("data.cache_cut_off", path=home, reason=reason, done=done, total=total)

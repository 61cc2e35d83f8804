"""The folder of a cache, made by one process or by several that share a disk.

It is built beside its place, under a name that ends in `.part`, and renamed once whole. If two processes build the same
one apart, the second keeps the first one's; a killed process leaves its `.part`, which a later build removes.

Processes that build together decode a share each, into a folder of its own, as complete as a cache. The first of them
checks every share as it would check a cache, decodes what does not pass, and joins them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from thalweg.data.decoding import DECODER_VERSION, decode, quiet
from thalweg.data.manifest import PIXELS, SUMS, Manifest, channel_sums, read_manifest, write_manifest
from thalweg.data.parallel import in_order
from thalweg.data.sharding import of_process
from thalweg.data.sources import is_gone
from thalweg.errors import BadImageError, DataError, StorageError


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thalweg.data.digests import Content
    from thalweg.data.photos import Photo
    from thalweg.data.rendering import Rendering, Resize
    from thalweg.data.sources import Source

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
_ABANDONED_S = 3600.0  # a build writes all the time: a `.part` untouched for an hour was killed
_DIGESTS: Final = "digests"  # what builders tell one another: the first has read all files,
_PART: Final = "part"  # the name of the folder for shares, or that none is needed,
_DONE: Final = "done"  # a share is decoded,
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


def wait_for_digests(builders: Builders | None) -> None:
    """Wait until the first builder has read all files: the others recall from the disk what it found."""
    if builders is not None and builders.rank:
        builders.hear(_DIGESTS, 0)


def build(home: Path, job: Decoding, fill: Callable[[Path, Decoding, str], None] | None = None) -> None:
    """Decode into a folder beside `home`, then rename it.

    Args:
        home: the place of the cache.
        job: the photos.
        fill: writes the files into a folder for a job under a name; None: this process alone does.

    Raises:
        BadImageError: a photo cannot be used and the job is to stop then.
        DataError: the photos' drive has gone away.
        StorageError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(home.parent)
        part = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{home.name}.", suffix=".part"))
        try:
            (fill or _decode)(part, job, home.name)
            _publish(part, home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(home, error) from error


def build_together(builders: Builders, home: Path, job: Decoding, *, is_there: bool) -> None:
    """Have the cache at its place, whoever of the builders decodes what.

    Args:
        builders: the processes, each of which calls this.
        home: the place of the cache.
        job: all photos.
        is_there: whether the first builder has found the cache whole; what the others say does not count.

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
        build(home, job, partial(_decode_shares, builders) if builders.processes > 1 else None)
        builders.tell(_BUILT, "")


def _help(builders: Builders, home: Path, job: Decoding) -> None:
    """Decode the share of a process that is not the first, and wait for the whole."""
    part = builders.hear(_PART, 0)
    if not part:
        return
    try:
        _decode_share(home.parent / part, job, builders.rank, builders)
    except OSError as error:
        raise _cannot_write(home, error) from error
    builders.tell(_DONE, "")
    builders.hear(_BUILT, 0)


def _decode_shares(builders: Builders, part: Path, job: Decoding, name: str) -> None:
    """Decode the share of the first process, check those of the others, and join all."""
    part.chmod(0o755)  # the others may be other users
    builders.tell(_PART, part.name)
    _decode_share(part, job, 0, builders)
    manifests: list[Manifest] = []
    for rank in range(builders.processes):
        share = _share_of(job, rank, builders)
        if rank:
            builders.hear(_DONE, rank)
        manifest = read_manifest(part / str(rank), job.size, len(share.photos))
        if manifest is None:  # damaged, or not seen here
            shutil.rmtree(part / str(rank), ignore_errors=True)
            _decode_share(part, job, rank, builders)
            manifest = read_manifest(part / str(rank), job.size, len(share.photos))
        if manifest is None:
            raise StorageError("data.cannot_write_cache", path=part, reason=PIXELS)
        manifests.append(manifest)
    _join(part, job, name, manifests, builders)


def _decode_share(part: Path, job: Decoding, rank: int, builders: Builders) -> None:
    folder = part / str(rank)
    folder.mkdir()
    _decode(folder, _share_of(job, rank, builders), folder.name)


def _share_of(job: Decoding, rank: int, builders: Builders) -> Decoding:
    """The photos of one builder: neighbors, about equally many for each."""
    own = of_process(len(job.photos), rank, builders.processes)
    chosen = slice(own.start, own.stop)
    return replace(job, photos=job.photos[chosen], contents=job.contents[chosen], workers=builders.workers)


def _join(part: Path, job: Decoding, name: str, manifests: Sequence[Manifest], builders: Builders) -> None:
    """Write shares one after another, and remove their folders."""
    bad: list[tuple[int, str, Any]] = []
    sums: list[NDArray[np.float64]] = []
    with (part / PIXELS).open("wb") as file:
        for rank, manifest in enumerate(manifests):
            before = of_process(len(job.photos), rank, builders.processes).start
            bad.extend((before + position, key, values) for position, key, values in manifest.bad)
            sums.extend(np.load(part / str(rank) / SUMS))
            with (part / str(rank) / PIXELS).open("rb") as share:
                shutil.copyfileobj(share, file, 1 << 20)
            shutil.rmtree(part / str(rank))
        file.flush()
        os.fsync(file.fileno())
    may_pass = any(manifest.may_pass for manifest in manifests)
    write_manifest(part, _facts(name, job), Manifest(len(sums), tuple(bad), may_pass), sums)


def _decode(part: Path, job: Decoding, name: str) -> None:
    def decode_one(photo: Photo) -> tuple[bytes, NDArray[np.float64]] | BadImageError:
        try:
            content = job.source.read(photo.path)
            image_HWC = decode(content, job.size, job.resize, path=photo.path, rendering=job.rendering)
        except BadImageError as error:
            return error
        return image_HWC.tobytes(), channel_sums(image_HWC)

    bad: list[tuple[int, str, dict[str, int | str]]] = []
    may_pass = False
    sums: list[NDArray[np.float64]] = []
    with quiet(), (part / PIXELS).open("wb") as file:
        for position, result in enumerate(in_order(decode_one, job.photos, workers=job.workers)):
            if not isinstance(result, BadImageError):
                file.write(result[0])
                sums.append(result[1])
            elif job.stop:
                raise result
            else:
                if result.key in _LOST and is_gone(job.source.path):
                    raise DataError("data.source_gone", path=job.source.path, done=position, total=len(job.photos))
                bad.append((position, result.key, {name: _plain(value) for name, value in result.values.items()}))
                may_pass |= result.key in _MAY_PASS and job.contents[position] is not None
            if job.progress:
                job.progress(position + 1, len(job.photos))
        file.flush()
        os.fsync(file.fileno())
    write_manifest(part, _facts(name, job), Manifest(len(sums), tuple(bad), may_pass), sums)


def _facts(name: str, job: Decoding) -> dict[str, Any]:
    """What a manifest tells a person who looks at it."""
    return {"cache": name, "decoder": DECODER_VERSION, "size": job.size, "fit": RESIZE_ON_DISK[job.resize]}


def _plain(value: Any) -> int | str:
    """A value of a message, as JSON can store it."""
    return value if isinstance(value, int) else str(value)


def _cannot_write(home: Path, error: OSError) -> StorageError:
    return StorageError("data.cannot_write_cache", path=home, reason=error.strerror or error)


def _publish(part: Path, home: Path) -> None:
    part.chmod(0o755)  # mkdtemp creates private folders; caches may be shared
    try:
        part.rename(home)
    except OSError:
        if not home.exists():  # else another process was faster, with the same content
            raise


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - max(path.stat().st_mtime for path in (part, *part.rglob("*"))) > _ABANDONED_S:
                shutil.rmtree(part, ignore_errors=True)

"""Photos decoded once, as bytes on disk that training maps into memory.

A cache is a folder named after its content: the digests of the photos in the order of their paths, the size, how
photos become squares, the decoder's version and, where the pixels depend on it, the rendering. Splits and labels are
not part of it, so changing them decodes nothing again. `building` decodes it under another name and renames it once
whole.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thalweg._files import cache_folder
from thalweg.data.building import RESIZE_ON_DISK, Decoding, build, build_together, wait_for_digests
from thalweg.data.decoding import DECODER_VERSION, quiet
from thalweg.data.digests import CLEAR, DEEP, contents_of
from thalweg.data.jpeg import QUALITY, VERSION, from_jpeg
from thalweg.data.levels import levels_of, rendering_with
from thalweg.data.manifest import MANIFEST, SUMS, BadImage, Manifest, file_of, pixels_of, read_manifest
from thalweg.data.photos import SPLITS, ImageSet, Photo, Split, natural_key
from thalweg.data.sources import Note
from thalweg.data.unfinished import bytes_left, remove_left_overs
from thalweg.errors import BadImageError, DataError, StorageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thalweg.data.building import Builders
    from thalweg.data.rendering import Rendering, Resize
    from thalweg.data.segmented import Pixels


_SAMPLE = 16  # photos whose size as JPEG is measured
_RESERVE, _RESERVE_BYTES = 0.05, 1e9  # of the free disk, for checkpoints and for other programs


@dataclass(frozen=True, eq=False)
class Cache:
    """The decoded photos of a set.

    Attributes:
        path: the file of pixels, or the first of them.
        size: width and height, in pixels.
        images_NHWC: RGB bytes, of shape (photos, size, size, 3), on disk: one file as a read-only memory map, several
            as `SegmentedPhotos`, which reads the rows that are asked for.
        photos: the photo of each row, without those that cannot be used.
        bad: the photos that cannot be used.
        fingerprint: of pixels, splits and labels, but not of file names.
        rendering: how numbers and transparency became colors.
        notes: what the user should know about how the cache was opened.
        several: number of classes, if a photo may have several; 0: each photo has one.
        limit: most bytes that decoded photos may take in memory.
    """

    path: Path
    size: int
    images_NHWC: Pixels
    photos: tuple[Photo, ...]
    bad: tuple[BadImage, ...]
    fingerprint: str
    rendering: Rendering
    notes: tuple[Note, ...] = ()
    several: int = 0
    limit: float = math.inf

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of red, green and blue over the training split (over all photos if that is empty), in 0 to 1."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of red, green and blue over the same pixels, in 0 to 1."""
        return self._moments[1]

    def rows(self, split: Split) -> NDArray[np.int64]:
        """The rows of a split in natural order of the paths, of shape (photos of the split,)."""
        return self._rows[split]

    def labels(self, split: Split) -> NDArray[np.int64]:
        """The labels of a split, aligned with `rows`; -1 where the label is unknown.

        If a photo may have several, of shape (photos of the split, classes): 1 for each of its classes, 0 for the
        others.
        """
        if self.several:
            return self._label_sets(split)
        found = [self.photos[row].label for row in self.rows(split)]
        return np.array([-1 if label is None else label for label in found], dtype=np.int64)

    def is_labeled(self, split: Split) -> bool:
        """Whether a split has photos, all of them with a label."""
        labels = self.labels(split)
        return len(labels) > 0 and bool((labels >= 0).all())

    def _label_sets(self, split: Split) -> NDArray[np.int64]:
        rows = self.rows(split)
        found_NC = np.zeros((len(rows), self.several), dtype=np.int64)
        for place, row in enumerate(rows):
            photo = self.photos[row]
            found_NC[place, list(photo.all_labels) if photo.is_labeled else slice(None)] = 1 if photo.is_labeled else -1
        return found_NC

    @cached_property
    def _rows(self) -> dict[Split, NDArray[np.int64]]:
        splits = np.array([photo.split for photo in self.photos])
        return {name: np.flatnonzero(splits == name).astype(np.int64) for name in SPLITS}

    @cached_property
    def _moments(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        rows = self.rows("train")
        sums_N2C = np.load(self.path.with_name(SUMS))
        chosen_N2C = sums_N2C[rows] if len(rows) else sums_N2C
        first_C, second_C = chosen_N2C.sum(axis=0) / (len(chosen_N2C) * self.size**2)
        std_C = np.sqrt(np.maximum(second_C - first_C**2, 0))
        return _triple(first_C / 255), _triple(std_C / 255)


def build_cache(
    images: ImageSet,
    *,
    size: int,
    resize: Resize = "stretch",
    on_bad_image: Literal["skip", "stop"] = "skip",
    rendering: Rendering | None = None,
    folder: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    builders: Builders | None = None,
    limit: float | None = None,
) -> Cache:
    """Decode every photo of a set, or open the cache that an earlier call has built.

    Args:
        images: the set.
        size: width and height of the decoded pictures, in pixels; at least 1.
        resize: `stretch` scales both sides to `size`; `center-crop` keeps the aspect ratio and cuts out the middle.
        on_bad_image: `skip` leaves out a photo that cannot be used and lists it in `bad`; `stop` raises.
        rendering: how numbers of more than 8 bits and transparency become colors; by default the levels are chosen from
            all photos of the set.
        folder: where caches are kept; `THALWEG_CACHE` or the user's cache folder by default.
        progress: called with (photos done, photos) while decoding.
        workers: threads; one per core by default.
        builders: the processes that call this together and share a disk, each with its own photos; None: this one.
        limit: bytes that the decoded photos may take. More are kept as JPEG (`thalweg.data.jpeg`), if no `rendering`
            says how. None: what is free on the disk, less a reserve, and without bound for several builders.

    Raises:
        UsageError: the size is below 1.
        BadImageError: a photo cannot be used, and `on_bad_image` is `stop`.
        DataError: no photo at all, or none of the training split, can be used; the photos of another builder differ; or
            the photos' drive has gone away.
        StorageError: the cache cannot be written, or the disk is full; what is decoded stays for the next call.

    Example:
        >>> import tempfile
        >>> from thalweg.data import open_images
        >>> cache = build_cache(open_images("builtin"), size=28, folder=tempfile.mkdtemp())
        >>> cache.images_NHWC.shape, len(cache.rows("train"))
        ((8000, 28, 28, 3), 6000)
    """
    if size < 1:
        raise UsageError("data.size_too_small", size=size)
    folder, choose = Path(folder) if folder else cache_folder(), rendering is None
    photos = sorted(images.photos, key=lambda photo: natural_key(photo.path))
    wait_for_digests(builders)
    contents = contents_of(images.source, [photo.path for photo in photos], folder=folder, workers=workers)
    if rendering is None:
        deep = {
            photo.path: content.digest
            for photo, content in zip(photos, contents, strict=True)
            if content and DEEP in content.traits
        }
        rendering = rendering_with(levels_of(images.source, deep, folder=folder, workers=workers))
    job = Decoding(
        source=images.source,
        photos=photos,
        contents=contents,
        size=size,
        resize=resize,
        rendering=rendering,
        stop=on_bad_image == "stop",
        progress=progress,
        workers=workers,
    )
    choice: tuple[Note, ...] = ()
    if choose:
        job, choice = _as_they_fit(job, folder, limit, builders)
    home = _home(folder, job)
    manifest, notes = _kept(home, job) if builders is None or not builders.rank else (None, ())
    if builders is not None:
        kept = build_together(builders, home, job, is_there=manifest is not None)
    else:
        kept = build(home, job) if manifest is None else 0
    if kept:
        notes = (*notes, Note("data.note_cache_resumed", {"done": kept, "total": len(photos)}))
    manifest = manifest or read_manifest(home, size, len(photos))
    if builders is None or not builders.rank:
        remove_left_overs(home)  # of another build that was cut off meanwhile
    if manifest is None:
        raise StorageError("data.cannot_write_cache", path=home, reason=MANIFEST)
    cache = _open(home, manifest, job, limit)
    cache = replace(cache, notes=(*choice, *notes), several=len(images.classes) if images.several else 0)
    if cache.bad and on_bad_image == "stop":
        raise BadImageError(cache.bad[0].reason.key, **cache.bad[0].reason.values)
    if images.split("train") and not len(cache.rows("train")):
        raise DataError("data.no_usable_image", count=len(cache.bad), first=cache.bad[0])
    return cache


def _kept(home: Path, job: Decoding) -> tuple[Manifest | None, tuple[Note, ...]]:
    """The manifest of the cache that an earlier call has built, if it is whole; what the user should know."""
    existed = home.exists()  # checked first: a folder that another process publishes later is complete and stays
    manifest = read_manifest(home, job.size, len(job.photos)) if existed else None
    notes = (Note("data.note_cache_damaged", {"path": home}),) if existed and manifest is None else ()
    if existed and (manifest is None or manifest.may_pass):
        shutil.rmtree(home, ignore_errors=True)  # damaged, or lacking photos that may be readable by now
        manifest = None
    return manifest, notes


def _open(home: Path, manifest: Manifest, job: Decoding, limit: float | None) -> Cache:
    bad = {
        position: BadImage(path := job.photos[position].path, Note(key, {**values, "path": path}))
        for position, key, values in manifest.bad
    }
    if not manifest.rows:
        raise DataError("data.no_usable_image", count=len(bad), first=next(iter(bad.values())))
    usable = tuple(photo for position, photo in enumerate(job.photos) if position not in bad)
    limit = math.inf if limit is None else limit
    pixels = pixels_of(home, manifest, job.size, ahead_bytes=limit)
    labels = (photo.label if photo.labels is None else photo.labels for photo in usable)
    listing = json.dumps([home.name, [(photo.split, label) for photo, label in zip(usable, labels, strict=True)]])
    fingerprint = blake2b(listing.encode(), digest_size=16).hexdigest()
    lost = tuple(bad.values())
    path = home / file_of(0, manifest.kept)
    return Cache(path, job.size, pixels, usable, lost, fingerprint, job.rendering, limit=limit)


def _room(home: Path, limit: float | None, builders: Builders | None) -> float:
    """Bytes that pixels may take. Processes that build together must choose alike, so their disks do not count."""
    if limit is not None or builders is not None:
        return math.inf if limit is None else limit
    there = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    return free - min(max(_RESERVE_BYTES, _RESERVE * free), free / 2) + bytes_left(home)


def _as_they_fit(
    job: Decoding, folder: Path, limit: float | None, builders: Builders | None
) -> tuple[Decoding, tuple[Note, ...]]:
    """Keep photos as pixels if these fit or are there already, else as JPEG; and say so.

    What is there already does not count for processes that build together: each may have another disk.
    """
    home = _home(folder, job)
    needed, room = 3 * job.size**2 * len(job.photos), _room(home, limit, builders)
    if needed <= room or (builders is None and _is_there(home, job)):
        return job, ()
    remove_left_overs(home)  # of pixels
    if builders is None:
        shutil.rmtree(home, ignore_errors=True)  # damaged
    job = replace(job, rendering=replace(job.rendering, kept="jpeg"))
    share, per_s = _measured(job)
    about = {"needed": needed / 1e9, "room": max(room, 0) / 1e9, "about": share * needed / 1e9, "speed": per_s}
    notes = [Note("data.note_kept_as_jpeg", {"quality": QUALITY, **about})]
    if share * needed > room and (limit is not None or not _is_there(_home(folder, job), job)):
        notes.append(Note("data.note_jpegs_exceed", about))
    return job, tuple(notes)


def _is_there(home: Path, job: Decoding) -> bool:
    return read_manifest(home, job.size, len(job.photos)) is not None


def _measured(job: Decoding) -> tuple[float, float]:
    """The size of some photos as JPEG relative to their pixels, and how many a thread decodes in a second."""
    found = (job.decoded(position) for position in range(0, len(job.photos), max(1, len(job.photos) // _SAMPLE)))
    with quiet():
        rows = [one[0] for one in found if not isinstance(one, BadImageError)]
    began = time.perf_counter()
    for row in rows:
        from_jpeg(row)
    took_s = time.perf_counter() - began
    return sum(map(len, rows)) / max(1, len(rows) * 3 * job.size**2), len(rows) / max(took_s, 1e-9)


def _triple(values_C: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = values_C.tolist()
    return red, green, blue


def _name_of(digests: Sequence[str | None], size: int, resize: Resize, rendering: Sequence[Any] = ()) -> str:
    """The name of the folder for these photos at this size."""
    content = json.dumps([DECODER_VERSION, size, RESIZE_ON_DISK[resize], digests, *rendering])
    return blake2b(content.encode(), digest_size=16).hexdigest()


def _home(folder: Path, job: Decoding) -> Path:
    """The cache's folder; the rendering is part of its name only where these photos depend on it.

    So all other caches, of this version and of older ones, keep their names.
    """
    traits = {trait for content in job.contents if content for trait in content.traits}
    parts: list[Any] = []
    if job.rendering.levels and DEEP in traits:
        parts.append(job.rendering.to_facts()["levels"])
    if job.rendering.ground != "white" and CLEAR in traits:
        parts.append(job.rendering.ground)
    if job.rendering.kept == "jpeg":
        parts.append(VERSION)
    digests = [content and content.digest for content in job.contents]
    return folder / "pixels" / _name_of(digests, job.size, job.resize, parts)

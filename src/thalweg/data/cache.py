"""Photos decoded once, as bytes on the disk that training maps into memory.

Splits and labels are no part of what is kept, so changing them decodes nothing again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thalweg._files import cache_folder
from thalweg.data.digests import digests_of
from thalweg.data.photos import SPLITS, ImageSet, Note, Photo, Split, natural_key
from thalweg.data.pixels import MANIFEST, PIXELS, SUMS, Decoding, decode_into, name_of, read_manifest
from thalweg.errors import BadImageError, DataError, StorageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data.decoding import Fit


@dataclass(frozen=True)
class BadImage:
    """A photo that was left out.

    Attributes:
        path: within the set's root.
        reason: what is wrong with it.
    """

    path: str
    reason: Note

    def __str__(self) -> str:
        return str(self.reason)


@dataclass(frozen=True, eq=False)
class Cache:
    """The decoded photos of a set.

    Attributes:
        path: the file of pixels.
        size: width and height, in pixels.
        images_NHWC: RGB bytes, of shape (photos, size, size, 3); a read-only map of the file.
        photos: what each row shows; photos that cannot be used are left out.
        bad: the photos left out.
        fingerprint: of pixels, splits and labels together, whatever the files are called.
    """

    path: Path
    size: int
    images_NHWC: NDArray[np.uint8]
    photos: tuple[Photo, ...]
    bad: tuple[BadImage, ...]
    fingerprint: str

    @property
    def mean(self) -> tuple[float, float, float]:
        """Mean of red, green and blue over the training split (over all photos if it is empty), in 0 to 1."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviation of red, green and blue over the same pixels, in 0 to 1."""
        return self._moments[1]

    def rows(self, split: Split) -> NDArray[np.int64]:
        """The rows of a split in natural order of the paths, of shape (photos of the split,)."""
        return self._rows[split]

    def labels(self, split: Split) -> NDArray[np.int64]:
        """The labels of a split, aligned with `rows`; -1 where the label is not known."""
        found = [self.photos[row].label for row in self.rows(split)]
        return np.array([-1 if label is None else label for label in found], dtype=np.int64)

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
    fit: Fit = "squash",
    on_bad_image: Literal["skip", "stop"] = "skip",
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> Cache:
    """Decode every photo of a set once, or find that it was done before.

    Args:
        images: the set.
        size: width and height of the decoded pictures, in pixels; at least 1.
        fit: `squash` scales both sides to `size`; `crop` keeps the aspect ratio and cuts the middle square.
        on_bad_image: `skip` leaves a photo that cannot be used out and names it; `stop` raises.
        folder: where caches are kept; `THALWEG_CACHE` or the user's cache folder by default.
        progress: called with (photos done, photos) while decoding.
        workers: threads; one a core by default.

    Raises:
        UsageError: a size below 1.
        BadImageError: a photo cannot be used, and `on_bad_image` is `stop`.
        DataError: none of the photos, or none of the training split's, can be used.
        StorageError: the cache cannot be written, or the disk is full; nothing is left behind.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg.data import open_images
        >>> cache = build_cache(open_images("builtin"), size=28, folder=Path(tempfile.mkdtemp()))
        >>> cache.images_NHWC.shape, len(cache.rows("train"))
        ((8000, 28, 28, 3), 6000)
    """
    if size < 1:
        raise UsageError("data.size_too_small", size=size)
    folder = folder or cache_folder()
    photos = sorted(images.photos, key=lambda photo: natural_key(photo.path))
    digests = digests_of(images.source, [photo.path for photo in photos], folder=folder, workers=workers)
    home = folder / "pixels" / name_of(digests, size, fit)
    manifest = read_manifest(home, size, again=True)
    if manifest is None:
        job = Decoding(
            source=images.source,
            photos=photos,
            digests=digests,
            size=size,
            fit=fit,
            stop=on_bad_image == "stop",
            progress=progress,
            workers=workers,
        )
        decode_into(home, job)
        manifest = read_manifest(home, size, again=False)
    if manifest is None:
        raise StorageError("data.cannot_write_cache", path=home, reason=MANIFEST)
    cache = _open(home, manifest, photos, size)
    if cache.bad and on_bad_image == "stop":
        raise BadImageError(cache.bad[0].reason.key, **cache.bad[0].reason.values)
    if images.split("train") and not len(cache.rows("train")):
        raise DataError("data.no_usable_image", count=len(cache.bad), first=cache.bad[0])
    return cache


def _open(home: Path, manifest: dict[str, Any], photos: Sequence[Photo], size: int) -> Cache:
    bad = {
        position: BadImage(photos[position].path, Note(key, values | {"path": photos[position].path}))
        for position, key, values in manifest["bad"]
    }
    if not manifest["rows"]:
        raise DataError("data.no_usable_image", count=len(bad), first=next(iter(bad.values())))
    usable = tuple(photo for position, photo in enumerate(photos) if position not in bad)
    pixels = np.memmap(home / PIXELS, np.uint8, mode="r", shape=(manifest["rows"], size, size, 3))
    listing = json.dumps([home.name, [(photo.split, photo.label) for photo in usable]])
    fingerprint = blake2b(listing.encode(), digest_size=16).hexdigest()
    return Cache(home / PIXELS, size, pixels, usable, tuple(bad.values()), fingerprint)


def _triple(values_C: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = values_C.tolist()
    return red, green, blue

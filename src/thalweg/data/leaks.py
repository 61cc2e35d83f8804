"""Photos that show the same picture where they should not: in several splits, or under several classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from thalweg.data.duplicates import NearPairs, Pictures, near_pairs
from thalweg.data.findings import Finding
from thalweg.data.hamming import in_blocks
from thalweg.data.photos import SPLITS, ImageSet, Photo, Split


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from thalweg.data.thumbnails import Thumbnails

_PAIRS = 1 << 20  # pairs written out at a time


@dataclass(frozen=True)
class Duplicate:
    """Photos of different splits or classes that show the same picture.

    Attributes:
        paths: which photos.
        splits: the split of each.
        classes: the class of each, or its labels as a table writes them; `None` if unknown.
        correlation: 1 for equal files; for similar pictures the correlation of `near_duplicates`.
        mirrored: whether they are mirror images of each other.
    """

    paths: tuple[str, ...]
    splits: tuple[Split, ...]
    classes: tuple[str | None, ...]
    correlation: float = 1.0
    mirrored: bool = False

    @classmethod
    def of(cls, images: ImageSet, photos: Sequence[Photo], **found: Any) -> Duplicate:
        """Of these photos of a set."""
        classes = tuple(photo.written(images.classes) for photo in photos)
        return cls(tuple(photo.path for photo in photos), tuple(photo.split for photo in photos), classes, **found)

    def findings(self, kind: str) -> Iterator[Finding]:
        """Each photo but the first, beside the first."""
        first, *others = zip(self.paths, self.splits, self.classes, strict=True)
        alike = f"{self.correlation:g}", "yes" * self.mirrored
        for path, split, name in others:
            yield Finding(kind, first[0], first[1], first[2] or "", path, split, name or "", *alike)


class NearLeaks(Sequence[Duplicate]):
    """Nearly equal pictures in different splits, two photos each; 25 bytes a pair, however many there are.

    Args:
        images: the set.
        pairs: rows of `images.photos`.
    """

    def __init__(self, images: ImageSet, pairs: NearPairs) -> None:
        self._images = images
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs.left_P)

    @overload
    def __getitem__(self, place: int) -> Duplicate: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Duplicate, ...]: ...
    def __getitem__(self, place: int | slice) -> Duplicate | tuple[Duplicate, ...]:
        if isinstance(place, slice):
            return tuple(self[at] for at in range(*place.indices(len(self))))
        pairs = self._pairs
        photos = [self._images.photos[pairs.left_P[place]], self._images.photos[pairs.right_P[place]]]
        found = {"correlation": float(pairs.correlation_P[place]), "mirrored": bool(pairs.mirrored_P[place])}
        return Duplicate.of(self._images, photos, **found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment] - as of a list

    def __repr__(self) -> str:
        return f"NearLeaks({len(self)} pairs)"


def same_files(images: ImageSet, digests: Iterable[tuple[Photo, str]]) -> list[Duplicate]:
    """The photos whose files are equal, by file.

    Args:
        images: the set.
        digests: of each photo that can be used.
    """
    by_digest: dict[str, list[Photo]] = defaultdict(list)
    for photo, digest in digests:
        by_digest[digest].append(photo)
    return [Duplicate.of(images, group) for group in by_digest.values() if len(group) > 1]


def near_leaks(images: ImageSet, thumbnails_NHWC: Thumbnails, digests: Sequence[tuple[int, str]]) -> NearLeaks:
    """Find nearly equal pictures in different splits.

    Equal files are compared once, however many copies there are, and are no near leak of each other.

    Args:
        images: the set.
        thumbnails_NHWC: of all photos, of shape (n, 32, 32, 3).
        digests: rows of the photos to compare, and the digest of each.

    Returns:
        The pairs, train with valid, then train with test, then valid with test; the most similar first.
    """
    copies: dict[Split, dict[str, list[int]]] = {split: defaultdict(list) for split in SPLITS}
    for row, digest in digests:
        copies[images.photos[row].split][digest].append(row)
    pictures = {
        split: Pictures(thumbnails_NHWC, np.array([rows[0] for rows in files.values()], dtype=np.int64))
        for split, files in copies.items()
    }
    found = []
    for one, other in combinations(SPLITS, 2):
        pairs = near_pairs(pictures[one], pictures[other])
        names, twins = list(copies[one]), list(copies[other])
        kept = np.array([names[a] != twins[b] for a, b in zip(pairs.left_P, pairs.right_P, strict=True)], dtype=bool)
        found.append(_with_copies(pairs.at(kept), list(copies[one].values()), list(copies[other].values())))
    return NearLeaks(images, NearPairs.joined(found))


def _with_copies(pairs: NearPairs, left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> NearPairs:
    """The pairs of all copies of the files; rows of the set instead of numbers of files."""
    left_counts, right_counts = (np.array([len(rows) for rows in files], dtype=np.int64) for files in (left, right))
    left_rows, right_rows = (
        np.array([row for rows in files for row in rows], dtype=np.int64) for files in (left, right)
    )
    left_starts, right_starts = np.cumsum(left_counts) - left_counts, np.cumsum(right_counts) - right_counts
    parts = []
    for pair, number in in_blocks(left_counts[pairs.left_P] * right_counts[pairs.right_P], _PAIRS):
        one, other = pairs.left_P[pair], pairs.right_P[pair]
        row, column = np.divmod(number, right_counts[other])
        rows = left_rows[left_starts[one] + row], right_rows[right_starts[other] + column]
        parts.append(NearPairs(*rows, pairs.correlation_P[pair], pairs.mirrored_P[pair]))
    return NearPairs.joined(parts).sorted()

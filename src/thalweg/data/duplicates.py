"""Photos that show the same picture in different files: saved again, resized, brightened, mirrored.

Two stages. A difference hash (Krawetz, 2013, https://www.hackerfactor.com/blog/?/archives/529-Kind-of-Like-That.html)
of 64 bits, one for each pair of neighbors in a picture of 9 × 8, finds candidates: at most `MAX_DISTANCE` bits apart.
Then the details must agree: two thumbnails of 32 × 32, minus their blur of 4 × 4, have a correlation of at least
`MIN_CORRELATION`. The blur is subtracted because it makes one blue sky look like another.

The thresholds come from measurements on 300 photos of Food-101 and 300 of Imagenette. Saved again at quality 50, at
half the size, 20 % brighter or with 20 % less contrast, 99 of 100 correlate above 0.97 with the original. Among
Imagenette's 13,394 photos, the most similar pair of different photos that passes the hash has 0.77, or 0.90 if one is
mirrored (two golf balls on black): hence two thresholds. A photo cropped by 5 % on each side is seldom found.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thalweg.data.hamming import Groups, close_pairs, in_blocks
from thalweg.data.thumbnails import THUMBNAIL


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from thalweg.data.thumbnails import Thumbnails

MAX_DISTANCE = 10
MIN_CORRELATION = 0.8
MIN_CORRELATION_MIRRORED = 0.95

_LUMA_C = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_ROWS, _COLUMNS, _BLUR = 8, 9, 4
_PAIRS = 1024  # pairs compared at a time: the details of their photos take 25 MB
_PHOTOS = 1024  # photos hashed at a time
_SHADES = 10_000  # correlations are rounded to four digits


class NearPairs(NamedTuple):
    """Pairs of rows that show the same picture, the most similar first.

    Attributes:
        left_P: rows of the first set.
        right_P: rows of the second set.
        correlation_P: of the details, rounded to four digits.
        mirrored_P: whether one is the mirror image of the other.
    """

    left_P: NDArray[np.int64]
    right_P: NDArray[np.int64]
    correlation_P: NDArray[np.float64]
    mirrored_P: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[NearPairs]) -> NearPairs:
        """The pairs of all parts, in their order."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(part.left_P for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.right_P for part in parts)]),
            np.concatenate([np.empty(0, np.float64), *(part.correlation_P for part in parts)]),
            np.concatenate([np.empty(0, np.bool_), *(part.mirrored_P for part in parts)]),
        )

    def at(self, places: NDArray[Any]) -> NearPairs:
        """Some of the pairs: by place, or by a mask."""
        return NearPairs(self.left_P[places], self.right_P[places], self.correlation_P[places], self.mirrored_P[places])

    def sorted(self) -> NearPairs:
        """The most similar first, then by row."""
        return self.at(np.lexsort((self.right_P, self.left_P, -self.correlation_P)))


class Pictures:
    """Thumbnails with their hashes, which are computed when they are needed first.

    Args:
        thumbnails_NHWC: of shape (n, 32, 32, 3).
        rows_M: those to compare; by default all.
    """

    def __init__(self, thumbnails_NHWC: Thumbnails, rows_M: NDArray[np.int64] | None = None) -> None:
        self._thumbnails_NHWC = thumbnails_NHWC
        self._rows_M = np.arange(len(thumbnails_NHWC)) if rows_M is None else rows_M

    def __len__(self) -> int:
        return len(self._rows_M)

    def take(self, places_P: NDArray[np.int64], *, mirrored: bool = False) -> NDArray[np.uint8]:
        """Some of the thumbnails, of shape (p, 32, 32, 3)."""
        taken_NHWC = self._thumbnails_NHWC[self._rows_M[places_P]]
        return taken_NHWC[:, :, ::-1] if mirrored else taken_NHWC

    @cached_property
    def plain(self) -> Groups:
        """The thumbnails by their hash."""
        return _by_hash(self, mirrored=False)

    @cached_property
    def mirrored(self) -> Groups:
        """The thumbnails by the hash of their mirror image."""
        return _by_hash(self, mirrored=True)


def near_duplicates(left_NHWC: NDArray[np.uint8], right_NHWC: NDArray[np.uint8], *, mirrored: bool = True) -> NearPairs:
    """Find pairs across two sets that show the same picture.

    Args:
        left_NHWC: thumbnails, of shape (n, 32, 32, 3).
        right_NHWC: thumbnails, of shape (m, 32, 32, 3).
        mirrored: whether to find mirror images, too.

    Returns:
        The pairs, the most similar first. A pair that matches both as it is and mirrored is not called mirrored.

    Example:
        >>> noise_NHWC = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        >>> pairs = near_duplicates(noise_NHWC, noise_NHWC[1:2, :, ::-1])
        >>> pairs.left_P, pairs.right_P, pairs.correlation_P, pairs.mirrored_P
        (array([1]), array([0]), array([1.]), array([ True]))
    """
    return near_pairs(Pictures(left_NHWC), Pictures(right_NHWC), mirrored=mirrored)


def near_pairs(left: Pictures, right: Pictures, *, mirrored: bool = True) -> NearPairs:
    """As `near_duplicates`, for pictures that are compared with more than one set."""
    if not len(left) or not len(right):
        return NearPairs.joined([])
    parts = list(_matches(left, right, MIN_CORRELATION, mirrored=False))
    if mirrored:
        parts += _matches(left, right, MIN_CORRELATION_MIRRORED, mirrored=True)
    found = NearPairs.joined(parts)
    _, first = np.unique(found.left_P * len(right) + found.right_P, return_index=True)  # unmirrored matches come first
    return found.at(first).sorted()


def difference_hash(thumbnails_NHWC: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """One bit for each pair of neighbors of a 9 × 8 picture: whether the right one is brighter.

    Args:
        thumbnails_NHWC: of shape (n, 32, 32, 3).

    Returns:
        64 bits each, of shape (n,).
    """
    gray_NHW = thumbnails_NHWC.astype(np.float32) @ _LUMA_C
    small_NHW = _averages(THUMBNAIL, _ROWS) @ gray_NHW @ _averages(THUMBNAIL, _COLUMNS).T
    bits_NB = (small_NHW[:, :, 1:] > small_NHW[:, :, :-1]).reshape(len(gray_NHW), 64)
    return np.packbits(bits_NB, axis=1).view(np.uint64)[:, 0]


def details(thumbnails_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails minus their blur, scaled to mean 0 and length 1; zeros if nothing is left.

    Args:
        thumbnails_NHWC: of shape (n, 32, 32, 3).

    Returns:
        Of shape (n, 3072); the dot product of two rows is their correlation.
    """
    planes_NCHW = np.moveaxis(thumbnails_NHWC.astype(np.float32), 3, 1)
    blur = _interpolation(_BLUR, THUMBNAIL) @ _averages(THUMBNAIL, _BLUR)
    details_ND = (planes_NCHW - blur @ planes_NCHW @ blur.T).reshape(len(thumbnails_NHWC), -1)
    details_ND -= details_ND.mean(axis=1, keepdims=True)
    length_N1 = np.linalg.norm(details_ND, axis=1, keepdims=True)
    return details_ND / np.where(length_N1 > 1, length_N1, np.inf)


def _matches(left: Pictures, right: Pictures, enough: float, *, mirrored: bool) -> Iterator[NearPairs]:
    """The pairs of one orientation of the right pictures."""
    for one, other in _candidates(left.plain, right.mirrored if mirrored else right.plain):
        correlation_P = (_details_of(left, one) * _details_of(right, other, mirrored=mirrored)).sum(axis=1)
        same = correlation_P >= enough
        rounded_P = np.rint(correlation_P[same].astype(np.float64) * _SHADES) / _SHADES
        yield NearPairs(one[same], other[same], rounded_P, np.full(len(rounded_P), mirrored))


def _by_hash(pictures: Pictures, *, mirrored: bool) -> Groups:
    """The places of pictures by their hash, without those that match nothing.

    All plain pictures have one hash: 10,000 white pages would make a hundred million candidates.
    """
    places = np.arange(len(pictures))
    hashes_N = np.concatenate([difference_hash(pictures.take(part, mirrored=mirrored)) for part in _parts(places)])
    groups = Groups.of(hashes_N, places)
    shared = groups.rows[np.repeat(groups.counts > 1, groups.counts)]
    plain = [part[~details(pictures.take(part)).any(axis=1)] for part in _parts(shared)]
    if not plain:
        return groups
    kept = np.setdiff1d(places, np.concatenate(plain), assume_unique=True)
    return Groups.of(hashes_N[kept], kept)


def _candidates(left: Groups, right: Groups) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of rows with close hashes, a few at a time."""
    for one, other in close_pairs(left.hashes, right.hashes, MAX_DISTANCE):
        for pair, number in in_blocks(left.counts[one] * right.counts[other], _PAIRS):
            a, b = one[pair], other[pair]
            row, column = np.divmod(number, right.counts[b])
            yield left.rows[left.starts[a] + row], right.rows[right.starts[b] + column]


def _details_of(pictures: Pictures, places_P: NDArray[np.int64], *, mirrored: bool = False) -> NDArray[np.float32]:
    """The details of some pictures; those of one that comes often are computed once."""
    distinct, where = np.unique(places_P, return_inverse=True)
    return details(pictures.take(distinct, mirrored=mirrored))[where]


def _parts(places_N: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (places_N[start : start + _PHOTOS] for start in range(0, len(places_N), _PHOTOS))


def _averages(source: int, target: int) -> NDArray[np.float32]:
    """The matrix, of shape (target, source), that averages `source` pixels to `target`."""
    edges = np.linspace(0, source, target + 1)
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(overlap, 0, None) * target / source).astype(np.float32)


def _interpolation(source: int, target: int) -> NDArray[np.float32]:
    """The matrix, of shape (target, source), that interpolates `source` pixels linearly to `target`."""
    places = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    return np.clip(1 - np.abs(places[:, None] - np.arange(source)), 0, None).astype(np.float32)

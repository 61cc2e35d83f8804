"""Hashes of 64 bits that differ in few bits, found without comparing each with each.

Multi-index hashing (Norouzi, Punjani, Fleet, 2012, https://www.cs.toronto.edu/~norouzi/research/papers/multi_index_hashing.pdf).
A hash is cut into four chunks of 16 bits. If two hashes differ in at most 10 bits, then at most 2 of them lie in the
first chunk, or in the second, or in the third, or at most 1 in the fourth: 3 + 3 + 3 + 2 bits would be 11. So each
chunk has a table from its 65,536 values to the hashes that have it, and a search looks only at values that near: 428
in all. Every hash found there is compared in full. The search is exact.

Which bits form a chunk decides the speed alone. The bits of a difference hash are an image of 8 × 8, where neighbors
mostly agree; a chunk of two rows would have few values. Each chunk takes one bit of every block of 2 × 2 instead: on
13,394 photos of Imagenette, 3 times as many hashes share a chunk as if bits were independent; 7 to 16 times with rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHUNKS, _BITS = 4, 16
_AT_A_TIME = 1 << 18  # candidates compared at a time: some arrays of 2 MB, which fit in a cache
_QUERIES = 1 << 16  # hashes looked up at a time
# The 64 bits, chunk after chunk: of every block of 2 × 2 one bit.
_ORDER = np.arange(64).reshape(4, 2, 4, 2).transpose(1, 3, 0, 2).ravel()


class Groups(NamedTuple):
    """Rows by their hash.

    Attributes:
        hashes: distinct hashes, of shape (u,).
        counts: rows that have each, of shape (u,).
        rows: all rows, those of one hash behind those of the one before, of shape (n,).
        starts: where in `rows` each hash begins, of shape (u,).
    """

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, hashes_N: NDArray[np.uint64], rows_N: NDArray[np.int64]) -> Groups:
        """Group rows by their hashes."""
        hashes, inverse, counts = np.unique(hashes_N, return_inverse=True, return_counts=True)
        return cls(hashes, counts, rows_N[np.argsort(inverse, kind="stable")], np.cumsum(counts) - counts)


def close_pairs(
    left_N: NDArray[np.uint64], right_M: NDArray[np.uint64], distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Find all pairs of hashes that differ in few bits.

    Args:
        left_N: of shape (n,).
        right_M: of shape (m,).
        distance: the number of bits, 0 to 64, by which a pair may differ. The search looks at all values of a chunk
            that near: beyond 20 bits, comparing each with each is faster.

    Yields:
        Rows of `left_N` and of `right_M`, two arrays of one length, a few at a time; each pair once, in no order.

    Example:
        >>> hashes = np.array([0b0000, 0b0111, 0b1111], dtype=np.uint64)
        >>> [(left.tolist(), right.tolist()) for left, right in close_pairs(hashes[:1], hashes, 3)]
        [([0], [0]), ([0], [1])]
    """
    if len(left_N) > len(right_M):  # the table holds the many, the search asks for the few
        yield from ((left, right) for right, left in close_pairs(right_M, left_N, distance))
        return
    left_NC, right_MC = _chunks(left_N), _chunks(right_M)
    radii = _radii(distance)
    for chunk, radius in enumerate(radii):
        table = Groups.of(right_MC[:, chunk].astype(np.uint64), np.arange(len(right_M)))
        for start in range(0, len(left_N), _QUERIES):
            asked = left_NC[start : start + _QUERIES, chunk]
            for query, candidate in _near_in(table, asked, radius):
                near = np.bitwise_count(left_N[query + start] ^ right_M[candidate]) <= distance
                left, right = query[near] + start, candidate[near]
                differ_PC = np.bitwise_count(left_NC[left] ^ right_MC[right])[:, :chunk]
                fresh = (differ_PC > np.array(radii[:chunk], dtype=np.int64)).all(axis=1)  # no earlier chunk found it
                if fresh.any():
                    yield left[fresh], right[fresh]


def in_blocks(counts_N: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Number the members of groups, at most `size` at a time.

    Args:
        counts_N: members of each group.
        size: the most members of a block.

    Yields:
        The group of each member, and its number within the group.

    Example:
        >>> [(group.tolist(), number.tolist()) for group, number in in_blocks(np.array([2, 0, 3]), 4)]
        [([0, 0, 2, 2], [0, 1, 0, 1]), ([2], [2])]
    """
    ends = np.cumsum(counts_N)
    begins = ends - counts_N
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, size):
        stop = min(start + size, total)
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        inside = np.minimum(ends[first : last + 1], stop) - np.maximum(begins[first : last + 1], start)
        group = np.repeat(np.arange(first, last + 1), inside)
        yield group, np.arange(start, stop) - begins[group]


def _near_in(
    table: Groups, asked_Q: NDArray[np.uint16], radius: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs whose values of one chunk differ in at most `radius` bits, each once."""
    starts, counts = np.zeros((2, 1 << _BITS), dtype=np.int64)
    starts[table.hashes.astype(np.int64)], counts[table.hashes.astype(np.int64)] = table.starts, table.counts
    for mask in _masks(radius):
        values = asked_Q ^ mask
        for left, number in in_blocks(counts[values], _AT_A_TIME):
            yield left, table.rows[starts[values[left]] + number]


def _radii(distance: int) -> list[int]:
    """How many bits of each chunk may differ: beyond all of them, more than `distance` bits differ; −1: ask nothing."""
    least, more = divmod(distance - _CHUNKS + 1, _CHUNKS)
    return [min(least + (chunk < more), _BITS) for chunk in range(_CHUNKS)]


def _masks(radius: int) -> NDArray[np.uint16]:
    """The values of a chunk with at most `radius` bits."""
    values = np.arange(1 << _BITS, dtype=np.uint16)
    return values[np.bitwise_count(values) <= radius] if radius >= 0 else values[:0]


def _chunks(hashes_N: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """The four chunks of each hash, of shape (n, 4)."""
    bits_NB = np.unpackbits(np.ascontiguousarray(hashes_N).view(np.uint8).reshape(-1, 8), axis=1)
    return np.packbits(np.ascontiguousarray(bits_NB[:, _ORDER]), axis=1).view(np.uint16)

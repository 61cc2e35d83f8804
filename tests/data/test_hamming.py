import numpy as np
import pytest

from thalweg.data import hamming
from thalweg.data.hamming import close_pairs, in_blocks


def pairs_of(left, right, distance):
    found = [
        pair
        for one, other in close_pairs(left, right, distance)
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert len(found) == len(set(found))  # each once
    return set(found)


def all_pairs(left, right, distance):
    return {
        (a, b)
        for a, one in enumerate(left.tolist())
        for b, other in enumerate(right.tolist())
        if (one ^ other).bit_count() <= distance
    }


def flipped(rng, hashes, most):
    """The hashes with up to `most` bits flipped each, anywhere."""
    masks = [sum(1 << int(bit) for bit in rng.choice(64, rng.integers(most + 1), replace=False)) for _ in hashes]
    return hashes ^ np.array(masks, dtype=np.uint64)


def around(rng, count):
    """Hashes around few centers, as photos of a kind have: many pairs near the limit."""
    return flipped(rng, np.repeat(rng.integers(0, 2**64, 5, dtype=np.uint64), count // 5), 9)


def in_one_chunk(rng, count):
    """Hashes that differ in the bits of one chunk only: one bucket in each of three tables."""
    bits = rng.integers(0, 2, (count, 16), dtype=np.uint64)
    places = hamming._ORDER[:16]  # of the bits, from the first byte's highest
    shifts = np.uint64(8) * (places // 8).astype(np.uint64) + np.uint64(7) - (places % 8).astype(np.uint64)
    return (bits << shifts).sum(axis=1, dtype=np.uint64)


def equal(rng, count):
    return np.full(count, rng.integers(0, 2**64, dtype=np.uint64))


def random(rng, count):
    return rng.integers(0, 2**64, count, dtype=np.uint64)


@pytest.mark.parametrize("make", [around, in_one_chunk, equal, random])
@pytest.mark.parametrize("distance", [0, 3, 10, 17])
def test_the_pairs_are_those_of_comparing_each_with_each(make, distance):
    rng = np.random.default_rng(distance)
    left, right = make(rng, 40), make(rng, 60)
    right[:10] = flipped(rng, left[:10], 12)
    expected = all_pairs(left, right, distance)
    assert pairs_of(left, right, distance) == expected
    assert pairs_of(right, left, distance) == {(b, a) for a, b in expected}  # whichever is the table


def test_every_way_to_spread_ten_bits_over_the_chunks_is_found():
    rng = np.random.default_rng(0)
    chunks = hamming._ORDER.reshape(4, 16)
    masks = []
    for first in range(11):
        for second in range(11 - first):
            for third in range(11 - first - second):
                counts = (first, second, third, 10 - first - second - third)
                bits = np.zeros(64, dtype=np.uint8)
                for chunk, count in zip(chunks, counts, strict=True):
                    bits[rng.choice(chunk, count, replace=False)] = 1
                masks.append(np.packbits(bits).view(np.uint64)[0])
    left = rng.integers(0, 2**64, 1, dtype=np.uint64)
    assert pairs_of(left, left ^ np.array(masks), 10) == {(0, row) for row in range(len(masks))}


def test_small_blocks_lose_no_pair(monkeypatch):
    rng = np.random.default_rng(4)
    left, right = around(rng, 100), around(rng, 100)
    expected = all_pairs(left, right, 10)
    monkeypatch.setattr(hamming, "_AT_A_TIME", 3)
    monkeypatch.setattr(hamming, "_QUERIES", 7)
    assert pairs_of(left, right, 10) == expected


def test_no_hashes_have_no_pairs():
    nothing = np.empty(0, dtype=np.uint64)
    assert pairs_of(nothing, nothing, 10) == set()
    assert pairs_of(nothing, np.ones(3, dtype=np.uint64), 10) == set()


def test_members_are_numbered_group_by_group():
    counts = np.random.default_rng(1).integers(0, 5, 30)
    expected = [(group, number) for group, count in enumerate(counts.tolist()) for number in range(count)]
    for size in (1, 3, 7, 1000):
        blocks = list(in_blocks(counts, size))
        assert all(len(group) <= size for group, _ in blocks)
        found = [pair for block in blocks for pair in zip(*(one.tolist() for one in block), strict=True)]
        assert found == expected


def test_hashes_may_be_any_view_of_an_array():
    hashes = around(np.random.default_rng(5), 100)
    assert pairs_of(hashes[::2], hashes[::-3], 10) == all_pairs(hashes[::2], hashes[::-3], 10)

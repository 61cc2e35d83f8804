import numpy as np
import pytest
from PIL import Image

from thalweg.data.duplicates import (
    MAX_DISTANCE,
    MIN_CORRELATION,
    MIN_CORRELATION_MIRRORED,
    details,
    difference_hash,
    near_duplicates,
)


def scene(seed):
    """A thumbnail with detail at every scale, as photos have."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((32, 32)), dtype=float)
        for n in (3, 6, 12, 24)
    ]
    return (sum(layers) / 4).astype(np.uint8)


@pytest.fixture(scope="module")
def scenes():
    return np.stack([scene(seed) for seed in range(40)])


def rows_of(pairs):
    return list(zip(*(column.tolist() for column in pairs), strict=True))


def all_pairs(left, right):
    """What `near_duplicates` finds, by comparing each with each."""
    found = {}
    for variant, enough, mirrored in (
        (right, MIN_CORRELATION, False),
        (right[:, :, ::-1], MIN_CORRELATION_MIRRORED, True),
    ):
        near = np.bitwise_count(difference_hash(left)[:, None] ^ difference_hash(variant)) <= MAX_DISTANCE
        for a, b in np.argwhere(near).tolist():
            correlation = float((details(left[a : a + 1]) * details(variant[b : b + 1])).sum())
            if correlation >= enough:
                found.setdefault((a, b), (a, b, round(correlation, 4), mirrored))
    return sorted(found.values(), key=lambda pair: (-pair[2], pair[:2]))


def noisy(thumbnails, levels, seed=0):
    noise = np.random.default_rng(seed).integers(-levels, levels + 1, thumbnails.shape)
    return np.clip(thumbnails.astype(int) + noise, 0, 255).astype(np.uint8)


def test_the_pairs_are_those_of_comparing_each_with_each(scenes):
    left = np.concatenate([scenes[:20], scenes[:3], np.full((4, 32, 32, 3), 255, dtype=np.uint8)])
    right = np.concatenate([noisy(scenes[5:25], 12), scenes[2:6, :, ::-1], scenes[:3], left[-4:]])
    expected = all_pairs(left, right)
    assert len({pair[3] for pair in expected}) == 2
    assert len(expected) > 20
    assert rows_of(near_duplicates(left, right)) == expected
    assert rows_of(near_duplicates(left, right, mirrored=False)) == [pair for pair in expected if not pair[3]]


def test_a_symmetric_picture_is_not_called_mirrored(scenes):
    symmetric = np.concatenate([scenes[:1, :, :16], scenes[:1, :, 15::-1]], axis=2)
    assert rows_of(near_duplicates(symmetric, symmetric)) == [(0, 0, 1.0, False)]


def test_many_plain_pictures_cost_nothing(monkeypatch):
    """All have one hash: without a guard, 3,000 white pages beside 3,000 make nine million comparisons."""
    compared = []
    monkeypatch.setattr("thalweg.data.duplicates._details_of", lambda *_, **__: compared.append(1))
    white = np.full((3000, 32, 32, 3), 255, dtype=np.uint8)
    assert rows_of(near_duplicates(white, white)) == []
    assert compared == []


def test_no_pictures_have_no_pairs(scenes):
    assert rows_of(near_duplicates(scenes[:0], scenes)) == rows_of(near_duplicates(scenes, scenes[:0])) == []

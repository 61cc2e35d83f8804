"""A rehearsal is judged on photos that it left out, and every class stays in what it trains on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.training.parts import MOST_LEFT_OUT, PARTS, parts_of
from thalweg.training.rate import CANDIDATES, Rounds


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 2**32 - 1))
def test_parts_share_no_photo_and_leave_every_class(labels, seed):
    labels = np.array(labels)
    parts = parts_of(labels, seed)
    assert len(parts) == PARTS
    dealt = np.concatenate(parts)
    assert len(np.unique(dealt)) == len(dealt)
    for part in parts:
        assert set(np.delete(labels, part)) == set(labels)
        for label in range(5):
            assert abs((labels[part] == label).sum() - (labels == label).sum() / PARTS) < 2


def test_of_many_photos_a_part_is_a_bounded_sample_of_all_classes():
    parts = parts_of(np.repeat([0, 1, 2], [9000, 900, 100]), seed=0)
    assert max(map(len, parts)) <= MOST_LEFT_OUT
    assert all((np.bincount(np.repeat([0, 1, 2], [9000, 900, 100])[part]) > 0).all() for part in parts)


@pytest.mark.parametrize("most", [10, 60, 600])
@pytest.mark.parametrize("total", [1, 8, 80, 86, 500, 10_000])
def test_no_rehearsal_is_longer_than_the_training_and_all_fit_into_the_search(total, most):
    rounds = Rounds.of(total, most)
    assert 1 <= rounds.short <= rounds.long <= total
    work = len(CANDIDATES) * rounds.short + (rounds.short < rounds.long) * rounds.candidates * rounds.long
    assert work <= max(most, len(CANDIDATES) + rounds.candidates)

"""Who wins, from losses photo by photo: the given rate, unless another is surely better."""

import numpy as np
import pytest

from thalweg.rate.choice import Choice, choose, still_in


GUESSING = np.full(100, 1.0)
RANDOM = np.random.default_rng(0)
HARD = RANDOM.normal(0.5, 0.3, 100)  # photos differ more among themselves than the rates do


def noise(spread):
    return RANDOM.permutation(np.linspace(-spread, spread, 100))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({0: HARD, 1: HARD - 0.02 + noise(0.01)}, Choice(1, "better")),  # photo by photo, a small gain is sure
        ({0: HARD, 1: HARD - 0.02 + noise(1.0)}, Choice(0, "kept")),  # a gain within one standard error
        ({0: HARD, 1: HARD + 0.02}, Choice(0, "kept")),
        ({0: HARD, 1: np.full(100, np.inf)}, Choice(0, "kept")),
        ({0: np.full(100, np.inf), -1: HARD}, Choice(-1, "better")),
        ({0: GUESSING + 0.5, 1: GUESSING - 0.02 + noise(1.0)}, Choice(0, "cannot_tell")),
        ({0: np.full(100, np.inf), 1: np.full(100, np.inf)}, Choice(0, "cannot_tell")),
    ],
)
def test_the_given_rate_wins_unless_another_is_surely_better(losses, expected):
    assert choose(losses, GUESSING) == expected


def test_one_photo_decides_nothing():
    one = np.array([0.1])
    assert choose({0: one * 9, 1: one}, np.array([1.0])) == Choice(0, "cannot_tell")


def test_only_the_hopeless_are_given_up_and_the_given_rate_never():
    losses = {0: HARD + 0.5, 1: HARD, 2: HARD + 0.01 + noise(1.0), 3: np.full(100, np.inf)}
    assert still_in(losses) == [1, 2, 0]

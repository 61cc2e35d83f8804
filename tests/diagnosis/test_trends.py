"""What a validation loss says: a rise is one, scatter is none."""

import numpy as np
import pytest

from thalweg.diagnosis.measures.trends import trends, validation_trends


STEP = np.linspace(0, 1, 20)


def test_one_low_value_is_no_lowest():
    loss_V = np.full(20, 0.5)
    loss_V[10] = 0.1
    assert validation_trends({"loss": loss_V}, 0.1)["valid_rise"] == 0


def test_a_rise_is_seen_in_full():
    loss_V = 1 + 4 * (STEP - 0.5) ** 2
    found = validation_trends({"loss": loss_V}, 0.1)
    assert found["valid_rise"] == pytest.approx(loss_V[-2] / np.sort(loss_V)[1] - 1, rel=0.01)


@pytest.mark.parametrize("losses", [[0.5], [0.5, 0.7], [np.nan, 0.5]])
def test_one_or_two_values_are_taken_as_they_are(losses):
    found = validation_trends({"loss": np.array(losses)}, 0.1)
    assert found["valid_rise"] == 0
    assert found["valid_last"] == pytest.approx(np.nanmedian(losses))


def test_without_values_nothing_is_said():
    assert validation_trends({"loss": np.array([np.nan])}, 0.1) == {}


def test_of_losses_of_both_signs_no_share_of_the_first_is_left():
    """A policy gradient's loss scatters around zero; a likelihood's passes it once and is a loss still."""
    scatter = np.random.default_rng(0).normal(0.01, 0.1, 200)
    assert "left" not in trends({"loss": np.r_[0.1, scatter]})
    assert trends({"loss": np.r_[0.1, np.abs(scatter)]})["left"] > 0
    assert trends({"loss": np.linspace(3.0, -2.0, 200)})["left"] < 0


SECOND = np.arange(400)
SCATTER = np.random.default_rng(1).normal(0, 0.02, 400)


def of_decay(rate_S, loss_S):
    found = trends({"loss": loss_S + SCATTER, "lr": rate_S})
    return found["lr_gone"], found.get("fell_before")


def test_a_rate_that_fell_to_nothing_while_the_loss_was_falling():
    """A plateau is looked for in the wrong direction, every twenty steps."""
    gone, fell = of_decay(3e-3 * 0.1 ** (np.maximum(SECOND - 20, 0) // 20), np.exp(-np.minimum(SECOND, 40) / 20))
    assert gone > 0.5
    assert fell > 0.2


def test_a_rate_that_fell_when_the_loss_was_flat():
    gone, fell = of_decay(np.where(SECOND < 150, 1.0, 1e-4), 0.2 + np.exp(-SECOND / 15))
    assert gone > 0.5
    assert fell == 0


@pytest.mark.parametrize(
    "rate_S",
    [
        np.ones(400),
        (1 + np.cos(np.pi * SECOND / 400)) / 2,
        0.1 ** (SECOND // 100),
        1e-4 ** (SECOND / 400),
        np.where(SECOND < 250, 1e-6, 1.0),
    ],
    ids=["constant", "cosine", "steps", "exponential", "long warm-up"],
)
def test_schedules_that_keep_a_rate_for_most_of_their_steps(rate_S):
    assert of_decay(rate_S, np.exp(-SECOND / 100))[0] < 0.3


def test_a_rate_of_zero_throughout_has_not_fallen():
    assert "lr_gone" not in trends({"loss": np.ones(50), "lr": np.zeros(50)})
    assert "fell_before" not in trends({"loss": np.ones(50), "lr": np.r_[np.ones(5), np.zeros(45)]}), "too few to tell"


@pytest.mark.parametrize("count", [20, 25, 40, 200])
def test_scatter_of_a_short_training_is_no_rise(count):
    """Losses that fall and scatter, of two to twenty to a tenth."""
    generator = np.random.default_rng(0)
    fall = 0.4 * np.exp(-np.arange(count) / 5) + 0.3
    risen = [trends({"loss": fall + generator.normal(0, 0.05, count)})["above_lowest"] for _ in range(500)]
    assert np.mean(np.array(risen) > 0) < 0.01


def test_a_rise_of_a_short_training_is_seen():
    fall_and_rise = np.r_[np.linspace(1, 0.2, 12), np.linspace(0.2, 0.9, 13)]
    assert trends({"loss": fall_and_rise})["above_lowest"] > 0.5


def burst(norm_S, loss_S):
    return trends({"loss": np.asarray(loss_S), "gradient_norm": np.asarray(norm_S)}).get("gradient_burst")


def test_a_gradient_that_bursts_before_the_loss_does():
    norm_S, loss_S = np.full(50, 2.0), np.r_[np.ones(40), np.full(10, np.nan)]
    norm_S[39] = 120.0
    assert burst(norm_S, loss_S) == 60
    norm_S[39] = np.inf
    assert burst(norm_S, loss_S) == np.inf
    risen_S = loss_S.copy()
    risen_S[39] = 3.0
    assert burst(norm_S, risen_S) == 1, "the loss rose first, as at a rate that is too large"
    norm_S[39], norm_S[45] = 2.0, 1e9
    assert burst(norm_S, loss_S) == 1, "after the loss was lost, no gradient tells anything"
    assert burst(norm_S[:10], loss_S[:10]) is None

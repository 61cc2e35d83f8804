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

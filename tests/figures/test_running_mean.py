import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.figures.run_curves import smooth, window_of


def naive(values, window, mean=np.mean):
    found = []
    for index in range(len(values)):
        near = values[max(0, index - window // 2) : index + window // 2 + 1]
        near = near[np.isfinite(near)]
        found.append(mean(near) if len(near) else np.nan)
    return np.array(found)


@settings(deadline=None)  # a shared machine is slow at times
@given(
    st.lists(st.one_of(st.floats(-100, 100), st.just(np.nan), st.just(np.inf)), max_size=60),
    st.sampled_from([1, 3, 5, 25, 101]),
)
def test_smoothing_is_the_mean_of_the_finite_neighbors(values, window):
    values = np.array(values, dtype=float)
    np.testing.assert_allclose(smooth(values, window), naive(values, window), atol=1e-9)


def test_the_geometric_mean_leaves_out_what_has_no_logarithm():
    values = np.array([1.0, 100.0, 0.0, -1.0, np.nan, 10.0, 1000.0])
    positive = np.where(values > 0, values, np.nan)
    expected = naive(positive, 3, mean=lambda near: np.prod(near) ** (1 / len(near)))
    np.testing.assert_allclose(smooth(values, 3, mean="geometric"), expected)


def test_a_huge_value_does_not_reach_beyond_its_window():
    values = np.full(1000, 0.125)
    values[100] = 1e300
    assert smooth(values, 21)[111:].tolist() == [0.125] * 889


@pytest.mark.parametrize("count", [0, 1, 99, 100, 12_345, 10**6])
def test_the_window_is_odd_and_about_two_percent(count):
    window = window_of(count)
    assert window % 2 == 1
    assert window == 1 if count < 100 else 0.015 < window / count < 0.035

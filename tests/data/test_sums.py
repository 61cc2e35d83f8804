"""Sums of channels, compiled and not, against whole numbers of Python."""

import numpy as np
import pytest

from thalweg.data import sums
from thalweg.data.sums import channel_sums


@pytest.fixture(scope="module")
def kernel():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "_loaded", [])
        sums.load.__wrapped__()
        return sums._loaded[0]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (192, 192), (2, 700)])
def test_sums_are_exact(shape, compiled, kernel, monkeypatch):
    monkeypatch.setattr(sums, "_loaded", [kernel] if compiled else [])
    image_HWC = np.random.default_rng(shape).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = [
        [sum(int(value) ** power for value in image_HWC[..., channel].flat) for channel in range(3)] for power in (1, 2)
    ]
    assert channel_sums(image_HWC).tolist() == expected
    assert channel_sums(image_HWC[:, ::-1]).tolist() == expected
    assert channel_sums(image_HWC).dtype == np.float64


def test_sums_of_many_white_rows_do_not_overflow(kernel, monkeypatch):
    monkeypatch.setattr(sums, "_loaded", [kernel])
    rows = 2 * 32768 + 5
    image_HWC = np.full((rows, 2, 3), 255, dtype=np.uint8)
    assert channel_sums(image_HWC).tolist() == [[rows * 2 * 255] * 3, [rows * 2 * 255**2] * 3]

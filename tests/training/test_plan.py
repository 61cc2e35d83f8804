"""What a plan settles before anything is trained."""

import pytest

from thalweg.data.parallel import cores
from thalweg.training.plan import usable_threads


@pytest.mark.parametrize(("allowed", "expected"), [("3", 3), ("", cores()), ("0", cores()), ("many", cores())])
def test_threads_are_as_many_as_openmp_is_allowed(monkeypatch, allowed, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    assert usable_threads() == expected

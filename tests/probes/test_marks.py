"""What is seen of the inputs of a pass: whether they hold NaN or infinity."""

import pytest
import torch

from thalweg.probes.marks import Given, is_nonfinite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wrong", [(), (torch.nan,), (torch.inf,), (-torch.inf,), (torch.inf, -torch.inf), (1e4, -1e4)])
def test_one_value_that_is_not_finite_is_found(dtype, wrong):
    inputs_NF = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).to(dtype).t()  # not contiguous
    for at, value in enumerate(wrong):
        inputs_NF[7 + at, 2] = value
    given = Given()
    given.look(inputs_NF)
    assert is_nonfinite(given.ends) == (not inputs_NF.isfinite().all())
    given.look(torch.zeros(3, 2))
    assert is_nonfinite(given.ends) == (not inputs_NF.isfinite().all())  # one pass of the step is enough
    given.clear()
    assert not given.ends


def test_numbers_of_words_and_empty_batches_are_not_asked():
    given = Given()
    given.look(torch.tensor([[1, 2]]))
    given.look(torch.empty(0, 3))
    assert not given.ends

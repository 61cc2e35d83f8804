"""Targets of kept samples where the given batch shows little of them."""

import pytest
import torch
from torch.nn.functional import mse_loss

from thalweg.diagnosis.measures.recovered import recovered
from thalweg.probes.kept import Rows


DRAW = torch.Generator().manual_seed(0)
NUMBERS_N1 = 3 * torch.randn(60, 1, generator=DRAW)


def rows_of(divided_by):
    """Sixty samples in batches of two; the loss of the loop may be divided, which the given function does not show."""
    found = []
    for at in range(0, 60, 2):
        outputs = torch.randn(2, 1, generator=DRAW, requires_grad=True)
        (mse_loss(outputs, NUMBERS_N1[at : at + 2]) / divided_by).backward()
        found.append(Rows((torch.arange(at, at + 2.0)[:, None],), outputs.detach(), 1.0, outputs.grad))
    return found


@pytest.mark.parametrize("apart", [0.4, 4.0])
def test_two_numbers_that_lie_close_by_chance_do_not_hide_the_others(apart):
    given = torch.tensor([[1.3], [1.3 + apart]])  # a spread of 0.2 or 2 where that of all is 3
    found = recovered(rows_of(1.0), mse_loss, given)
    assert torch.allclose(found.targets, NUMBERS_N1, atol=1e-4)


def test_of_a_whole_batch_the_spread_must_fit():
    """A loss that the loop divides by eight gives numbers of another spread."""
    assert recovered(rows_of(1.0), mse_loss, NUMBERS_N1[:32]) is not None
    assert recovered(rows_of(8.0), mse_loss, NUMBERS_N1[:32]) is None

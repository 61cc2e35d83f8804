"""Targets of kept samples where the given batch shows little of them."""

import pytest
import torch
from torch.nn.functional import huber_loss, l1_loss, mse_loss, smooth_l1_loss

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


@pytest.mark.parametrize("loss_fn", [huber_loss, smooth_l1_loss, lambda one, other: 3 * smooth_l1_loss(one, other)])
def test_numbers_near_the_outputs_are_read_where_those_far_away_pull_all_alike(loss_fn):
    numbers = torch.randn(200, 2, generator=DRAW)
    outputs = torch.zeros(200, 2, requires_grad=True)
    loss_fn(outputs, numbers).backward()
    found = recovered(
        [Rows((torch.arange(200.0)[:, None],), outputs.detach(), 1.0, outputs.grad)], loss_fn, numbers[:32]
    )
    near = (numbers.abs() < 0.98).all(dim=1)
    assert len(found.targets) == pytest.approx(int(near.sum()), abs=5)
    assert torch.allclose(found.targets, numbers[found.inputs[:, 0].long()], atol=1e-3)


def test_absolute_errors_tell_no_number():
    numbers = torch.randn(60, 1, generator=DRAW)
    outputs = torch.zeros(60, 1, requires_grad=True)
    l1_loss(outputs, numbers).backward()
    rows = [Rows((torch.arange(60.0)[:, None],), outputs.detach(), 1.0, outputs.grad)]
    assert recovered(rows, l1_loss, numbers[:32]) is None

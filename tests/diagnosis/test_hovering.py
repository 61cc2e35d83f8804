"""What the noise of SGD's steps adds to a loss, against long trainings and the least squares they hover around."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.hovering import FEWEST, hovering_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS_NF = torch.randn(600, 5, generator=DRAW)
TARGETS_N1 = INPUTS_NF @ torch.randn(5, 1, generator=DRAW) + torch.randn(600, 1, generator=DRAW)
LEAST = float((TARGETS_N1 - INPUTS_NF @ torch.linalg.lstsq(INPUTS_NF, TARGETS_N1).solution).square().mean())


def hovering(optimizer_of, size, steps=4000):
    """A line at its floor, its optimizer, and the mean loss of the second half of the steps."""
    torch.manual_seed(0)
    model = nn.Linear(5, 1, bias=False)
    optimizer, losses = optimizer_of(model.parameters()), []
    for _ in range(steps):
        rows = torch.randint(600, (size,))
        optimizer.zero_grad()
        mse_loss(model(INPUTS_NF[rows]), TARGETS_N1[rows]).backward()
        optimizer.step()
        with torch.no_grad():
            losses.append(float(mse_loss(model(INPUTS_NF), TARGETS_N1)))
    return model, optimizer, sum(losses[steps // 2 :]) / (steps - steps // 2)


@pytest.mark.parametrize(
    ("rate", "momentum", "size"),
    [
        (0.05, 0.0, 2),
        (0.005, 0.9, 4),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((0.01, 0.0, 2), (0.02, 0.5, 4), (0.05, 0.0, 32))),
    ],
)
def test_the_share_is_what_the_loss_exceeds_least_squares_by(rate, momentum, size):
    model, optimizer, loss = hovering(lambda p: torch.optim.SGD(p, lr=rate, momentum=momentum), size)
    with torch.no_grad():  # the theory holds around the minimum, wherever the last step has led
        model.weight.copy_(torch.linalg.lstsq(INPUTS_NF, TARGETS_N1).solution.T)
    found = hovering_measures(Copy.of(model, optimizer, mse_loss), Batch(INPUTS_NF, TARGETS_N1), size)
    excess = (loss - LEAST) / LEAST
    assert found["noise_share"] == pytest.approx(excess, rel=0.4, abs=0.005)


def test_of_other_optimizers_and_few_samples_nothing_is_said():
    model, samples = nn.Linear(5, 1), Batch(INPUTS_NF, TARGETS_N1)
    adam = Copy.of(model, torch.optim.Adam(model.parameters()), mse_loss)
    assert hovering_measures(adam, samples, 2) == {}
    plain = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), mse_loss)
    assert hovering_measures(plain, None, 2) == {}
    few = Batch(INPUTS_NF[: 2 * FEWEST - 1], TARGETS_N1[: 2 * FEWEST - 1])
    assert hovering_measures(plain, few, 2) == {}
    assert hovering_measures(plain, samples, 2, most=FEWEST - 1) == {}
    assert hovering_measures(plain, samples, 0) == {}


def test_sparse_gradients_scatter_as_dense_ones_do():
    words, targets = torch.randint(30, (400, 3), generator=DRAW), torch.randn(400, 4, generator=DRAW)
    shares = []
    for sparse in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.EmbeddingBag(30, 4, sparse=sparse))
        copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.5), mse_loss)
        shares.append(hovering_measures(copied, Batch(words, targets), 8)["noise_share"])
    assert shares[0] == pytest.approx(shares[1])
    gradients_KP = []
    for at in range(0, 256, 8):
        (one,) = torch.autograd.grad(
            mse_loss(model(words[at : at + 8]), targets[at : at + 8]), list(model.parameters())
        )
        gradients_KP.append(one.to_dense().reshape(-1))
    with torch.no_grad():
        losses = [float(mse_loss(model(words[at : at + 8]), targets[at : at + 8])) for at in range(0, 256, 8)]
    spread = float(torch.stack(gradients_KP).var(dim=0).sum())
    assert shares[0] == pytest.approx(0.5 * spread / 4 / (sum(losses) / len(losses)), rel=1e-4)


def test_a_floor_is_named_only_where_steps_go_nowhere():
    flat = {"falling": 0.0, "to_constant": 0.14, "left": 0.08, "steps": 800.0, "decrease_possible": 0.005}
    flat |= {"noise_share": 0.5, "cosine": -0.1}
    assert judge(flat | {"tried_longer": -0.1}).code == "noise_floor"
    assert judge(flat | {"tried_longer": 0.06}).code == "converged"
    assert judge(flat | {"cosine": 0.2}).code == "converged"
    assert judge(flat | {"noise_share": 0.1}).code == "converged"
    assert judge(flat | {"lr_left": 0.01}).code == "converged"
    few = flat | {"noise_share": 0.27, "cosine": 0.13}  # of batches of two, the cosine itself is noise
    assert judge(few | {"batch_size": 2.0}).code == "noise_floor"
    assert judge(few | {"batch_size": 32.0}).code == "converged"

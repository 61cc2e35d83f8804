"""What a binary cross-entropy cannot take, however it is wrapped, and losses that look like one and mean it so."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.binary import of_binary
from thalweg.probes.batches import Batch


N = 24
THREE = torch.arange(N) % 3
SIGNS = 1 - 2 * (torch.arange(N) % 2)
MANY = (torch.arange(4 * N).reshape(N, 4) % 5 == 0).float()
LOGITS = torch.randn(N, 1, generator=torch.Generator().manual_seed(0))
bce = functional.binary_cross_entropy_with_logits


def squeezed(outputs, targets):
    return bce(outputs.squeeze(1), targets.float())


def by_hand(outputs, targets):
    p, t = outputs.reshape(-1).clamp(1e-7, 1 - 1e-7), targets.float()
    return -(t * p.log() + (1 - t) * (1 - p).log()).sum()


def weighted(outputs, targets):
    return bce(outputs.squeeze(1), targets.float(), pos_weight=torch.tensor(5.0))


def focal(outputs, targets):
    losses = bce(outputs, targets, reduction="none")
    return ((0.25 + 0.5 * targets) * (1 - (-losses).exp()).square() * losses).mean()


@pytest.mark.parametrize(("loss_fn", "squashed"), [(squeezed, False), (weighted, False), (by_hand, True)])
@pytest.mark.parametrize(
    ("targets", "below", "above"),
    [
        (THREE, 0, 1 / 3),
        (THREE.float(), 0, 1 / 3),
        (THREE % 2 + 1, 0, 1 / 3),
        (torch.linspace(0, 100, N), 0, 23 / 24),
        (SIGNS, 1 / 2, 0),
        (THREE - 1, 1 / 3, 0),
        (THREE % 2, 0, 0),
        (torch.linspace(0, 1, N), 0, 0),
        (torch.linspace(-0.1, 1.1, N), 0, 0),  # a mask that was resized overshoots
    ],
    ids=["0 1 2", "0 1 2 as numbers", "1 and 2", "percentages", "-1 and 1", "-1 0 1", "0 and 1", "shares", "resized"],
)
def test_targets_beyond_zero_and_one(loss_fn, squashed, targets, below, above):
    outputs = LOGITS.sigmoid() if squashed else LOGITS
    found = of_binary(outputs, targets, loss_fn, "sigmoid" if squashed else "none")
    assert found.get("targets_below_zero", 0) == pytest.approx(below)
    assert found.get("targets_above_one", 0) == pytest.approx(above)


@pytest.mark.parametrize(
    ("loss_fn", "targets"),
    [
        (lambda o, t: squeezed(o, t == 2), THREE),
        (lambda o, t: squeezed(o, (t > 0).float()), THREE),
        (lambda o, t: squeezed(o, t / 2), THREE),
        (lambda o, t: squeezed(o, t - 1), THREE % 2 + 1),
        (lambda o, t: functional.soft_margin_loss(o.squeeze(1), t.float()), SIGNS),
        (lambda o, t: (bce(o.squeeze(1), (t > 0).float(), reduction="none") * (t >= 0)).mean(), THREE - 1),  # left out
        (lambda o, t: (bce(o.squeeze(1), (t > 0).float(), reduction="none") * t.clamp(min=1)).mean(), THREE),  # counts
        (lambda o, t: functional.poisson_nll_loss(o.squeeze(1), t.float()), THREE),
        (lambda o, t: functional.mse_loss(o.squeeze(1), t.float()), THREE),
        (lambda o, t: functional.mse_loss(o.sigmoid().squeeze(1), t.float()), THREE),
        (lambda o, t: -(functional.logsigmoid(o.squeeze(1)) * t).mean(), SIGNS.float()),  # a policy's advantages
    ],
)
def test_targets_that_the_loss_means_so(loss_fn, targets):
    assert of_binary(LOGITS, targets, loss_fn, "none") == {}


def test_three_classes_and_one_output_are_named_though_the_loss_falls():
    model = nn.Linear(5, 1)
    found = of_batch(model, squeezed, [Batch(torch.randn(N, 5), THREE)])
    learning = {"steps": 200.0, "loss_first": 0.6, "loss_last": -140.0, "falling": 0.6, "left": -200.0}
    verdict = judge(learning | found)
    assert verdict.code == "bad_targets"
    assert verdict.fixes[0].code == "zero_to_one"
    assert "above 1" in verdict.text


@pytest.mark.parametrize("shape", [(N, 1), (N, 4), (6, 1, 4, 4)])
def test_logits_behind_a_relu(shape):
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).relu()
    targets = (torch.arange(outputs.numel()).reshape(shape) % 4 == 0).float()
    for loss_fn in (bce, focal, lambda o, t: bce(o, t, pos_weight=torch.tensor(3.0), reduction="sum")):
        assert of_binary(outputs, targets, loss_fn, "relu") == {"negatives_cut": 0.75}
        assert of_binary(outputs, targets, loss_fn, "none") == {}
        assert of_binary(outputs, torch.ones(shape), loss_fn, "relu") == {}


@pytest.mark.parametrize(
    "loss_fn",
    [
        functional.mse_loss,
        lambda o, t: bce(o - 3, t),
        lambda o, t: bce(o - 1, t, pos_weight=torch.tensor(9.0)),
        lambda o, t: bce(3 - o, t),
        lambda o, t: functional.binary_cross_entropy(1 - (-o).exp(), t),  # of a rate: no event is 0
        lambda o, t: ((1 - t) * o.square() + t * functional.relu(2 - o).square()).mean(),
    ],
    ids=["squared", "shifted", "shifted and weighted", "distances", "rates", "contrastive"],
)
def test_losses_that_a_relu_fits(loss_fn):
    assert of_binary(MANY + 0.1, MANY, loss_fn, "relu") == {}


def test_the_verdict_on_logits_behind_a_relu():
    stalled = {"steps": 120.0, "loss_constant": 0.4, "loss_last": 0.64, "falling": 0.0, "left": 0.83}
    verdict = judge(stalled | {"negatives_cut": 0.9})
    assert verdict.code == "wrong_loss"
    assert [fix.code for fix in verdict.fixes] == ["no_last_relu"]
    assert judge(stalled | {"negatives_cut": 0.01}).code != "wrong_loss"

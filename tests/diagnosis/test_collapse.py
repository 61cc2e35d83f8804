"""Outputs that all come to point one way, for a loss of cosines: two branches that pull each other."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy, mse_loss, normalize

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.collapse import collapse_measures
from thalweg.i18n import speaking
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


SAMPLES = torch.randn(128, 12, generator=torch.Generator().manual_seed(0)).abs()
STEPS = 120
PULLED = {"steps": 200.0, "loss_first": -0.1, "loss_last": -0.99, "left": -9.9, "falling": 0.001}


class Branches(nn.Module):
    """Two views of each sample, their projections, and predictions of one from the other."""

    def __init__(self, *, stop=True, norm=True, unit=False):
        super().__init__()
        norms = [nn.BatchNorm1d(24), nn.BatchNorm1d(16, affine=False)] if norm else [nn.Identity(), nn.Identity()]
        self.encoder = nn.Sequential(nn.Linear(12, 24), norms[0], nn.ReLU(), nn.Linear(24, 16), norms[1])
        self.predictor = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
        self.stop, self.unit = stop, unit

    def forward(self, rows):
        one, two = (self.encoder(rows + 0.1 * torch.randn_like(rows)) for _ in range(2))
        said = self.predictor(one), self.predictor(two)
        outputs = (*said, two.detach(), one.detach()) if self.stop else (*said, two, one)
        return tuple(normalize(part, dim=-1) for part in outputs) if self.unit else outputs


class Slow(Branches):
    """The projections come from a slow copy of the encoder."""

    def __init__(self):
        super().__init__(norm=True)
        self.slow = copy.deepcopy(self.encoder).requires_grad_(False)

    def forward(self, rows):
        views = [rows + 0.1 * torch.randn_like(rows) for _ in range(2)]
        with torch.no_grad():
            for own, other in zip(self.slow.parameters(), self.encoder.parameters(), strict=True):
                own.lerp_(other, 0.02)
        said = [self.predictor(self.encoder(view)) for view in views]
        return (*said, self.slow(views[1]), self.slow(views[0]))


def agreeing(outputs, _):
    return -(cosine_similarity(outputs[0], outputs[2]).mean() + cosine_similarity(outputs[1], outputs[3]).mean()) / 2


def dotted(outputs, _):
    return -(outputs[0] * outputs[2]).sum(dim=1).mean()


def squared(outputs, _):
    return sum(mse_loss(normalize(outputs[at], dim=1), normalize(outputs[at + 2], dim=1)) for at in (0, 1))


def told_apart(outputs, _):
    """InfoNCE: every other sample is a negative."""
    one, two = (normalize(outputs[at], dim=1) for at in (2, 3))
    return cross_entropy(one @ two.T / 0.2, torch.arange(len(one)))


def measured(model, loss_fn, targets=None, *, steps=STEPS):
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    targets = torch.zeros(len(SAMPLES)) if targets is None else targets
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model(SAMPLES), targets).backward()
        optimizer.step()
    return collapse_measures(Copy.of(model, optimizer, loss_fn), start, Batch(SAMPLES, targets))


@pytest.mark.parametrize(
    ("model", "loss_fn"),
    [
        (lambda: Branches(stop=False, norm=False), agreeing),
        (lambda: Branches(stop=False, norm=False, unit=True), dotted),
        (lambda: Branches(stop=False, norm=False), squared),
        (lambda: Branches(stop=True, norm=False), agreeing),  # the method needs its norms, too
        (lambda: Branches(stop=True, norm=True), agreeing),
        (lambda: Branches(stop=True, norm=True, unit=True), dotted),
        (Slow, agreeing),
        (lambda: Branches(stop=False, norm=False), told_apart),
    ],
)
def test_branches_that_agree_on_one_answer(model, loss_fn):
    torch.manual_seed(0)
    model = model()
    collapses = isinstance(model.encoder[1], nn.Identity) and loss_fn is not told_apart
    found = measured(model, loss_fn)
    assert (judge(PULLED | found).code == "inputs_ignored") == collapses


def test_closed_forms():
    """Vectors of a circle have no mean; those of one line have their direction."""
    identity = nn.Linear(2, 2, bias=False)
    nn.init.eye_(identity.weight)
    copied = Copy.of(identity, torch.optim.SGD(identity.parameters(), lr=0.1), circle)
    angles = torch.arange(16.0) * torch.pi / 8
    around = torch.stack([angles.cos(), angles.sin()], dim=1)
    for inputs, apart in ((around, 1.0), (around[:1] * torch.arange(1.0, 17.0)[:, None], 0.0)):
        assert collapse_measures(copied, {}, Batch(inputs, angles)) == {
            "directions_apart": pytest.approx(apart, abs=1e-3)
        }


def circle(outputs, _):
    return -cosine_similarity(outputs, outputs.roll(1, 0)).mean()


def standardized(outputs, _):
    """Barlow Twins: an offset that all outputs share is not seen."""
    one, two = ((part - part.mean(dim=0)) / part.std(dim=0) for part in outputs[2:])
    return (one.T @ two / len(one) - torch.eye(16)).square().mean()


def to_labels(outputs, labels):
    return cross_entropy(normalize(outputs[0], dim=1), labels)


@pytest.mark.parametrize(
    "loss_fn", [standardized, to_labels, lambda outputs, _: (outputs[0] - outputs[2]).square().mean()]
)
def test_losses_that_see_more_than_directions(loss_fn):
    torch.manual_seed(0)
    assert measured(Branches(stop=False, norm=False), loss_fn, torch.arange(128) % 4, steps=2) == {}


def test_the_verdict():
    collapsed = PULLED | {"directions_apart": 0.04, "directions_left": 0.09, "inputs_seen": 1.0}
    assert judge(collapsed).code == "inputs_ignored"
    assert [fix.code for fix in judge(collapsed).fixes] == ["stop_gradient"]
    for other in ({"directions_apart": 0.3}, {"directions_left": 0.9}, {"steps": 30.0}):
        assert judge(collapsed | other).code != "inputs_ignored"
    for language, words in (("en", "same way"), ("zh-CN", "同一方向")):
        with speaking(language):
            assert words in judge(collapsed).text

"""A constant's loss where no output can be held constant: networks that return their loss, or several outputs."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear, normalize

from thalweg.diagnosis import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.blind import blind_measures
from thalweg.diagnosis.measures.mixing import mixing_of
from thalweg.diagnosis.measures.widening import WIDE, enlarge
from thalweg.probes.batches import Batch, loss_function
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
ROWS_NF = torch.randn(64, 6, generator=DRAW) * torch.tensor([2.0, 1.0, 1.0, 1.0, 0.5, 0.5]) + 1.0
LABELS_N = (torch.rand(64, generator=DRAW) < 0.25).long()
VARIANCE = float((ROWS_NF - ROWS_NF.mean(0)).square().sum(1).mean())
SHARE = float(LABELS_N.float().mean())
ENTROPY = -SHARE * math.log(SHARE) - (1 - SHARE) * math.log(1 - SHARE)


class Mixing(nn.Module):
    """A `view` where a transpose was meant."""

    def forward(self, x):
        return x.transpose(0, 1).reshape(x.shape)


class Variational(nn.Module):
    """Returns what was rebuilt, and mean and log-variance of the code."""

    def __init__(self, *middle):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), *middle)
        self.mean, self.logvar = nn.Linear(16, 2), nn.Linear(16, 2)
        self.decode = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 6))

    def forward(self, x):
        hidden = self.encode(x)
        mean, logvar = self.mean(hidden), self.logvar(hidden)
        return self.decode(mean + torch.randn_like(mean) * (0.5 * logvar).exp()), mean, logvar


def elbo(outputs, x):
    rebuilt, mean, logvar = outputs
    divergence = 0.5 * (logvar.exp() + mean.square() - 1 - logvar).sum(1).mean()
    return (rebuilt - x).square().sum(1).mean() + 0.5 * divergence


class Classifying(nn.Module):
    """Takes labels, and returns its loss."""

    def __init__(self, *middle, width=16):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(6, width), nn.ReLU(), *middle), nn.Linear(width, 2)

    def forward(self, rows, labels):
        logits = self.head(self.body(rows))
        return {"loss": cross_entropy(logits, labels), "logits": logits}


class Contrasting(nn.Module):
    """Two views of each sample, one after the other; the similarities of all pairs are among the outputs."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x):
        codes = normalize(self.body(x), dim=1)
        similar = (5 * codes @ codes.T).masked_fill(torch.eye(len(x), dtype=torch.bool), -1e9)
        return cross_entropy(similar, torch.arange(len(x)).roll(len(x) // 2)), similar


class Agreeing(nn.Module):
    """Two halves of a batch that shall have the same code: blind is best."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, x):
        codes = normalize(self.body(x), dim=1)
        return (codes - codes.roll(len(x) // 2, 0).detach()).square().sum(1).mean(), codes


class WithoutLayers(nn.Module):
    """A product that no layer computes."""

    def __init__(self):
        super().__init__()
        self.matrix, self.head = nn.Parameter(torch.randn(8, 6)), nn.Linear(8, 1)

    def forward(self, x):
        return (self.head(linear(x, self.matrix)) - x).square().mean(), x


def _first(outputs, _targets):
    return outputs[0]


LABELED = Batch({"rows": ROWS_NF, "labels": LABELS_N}, LABELS_N)
PLAIN = Batch(ROWS_NF, ROWS_NF)


def constant(model, loss_fn, batch):
    def new():
        return Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_function(loss_fn))

    return blind_measures(new, [batch]).get("loss_constant", math.nan)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "loss_fn", "batch", "expected"),
    [
        (Variational, elbo, PLAIN, VARIANCE),
        (Classifying, None, LABELED, ENTROPY),
        (Contrasting, _first, PLAIN, math.log(63)),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_constants_loss_is_that_of_the_closed_form(model, loss_fn, batch, expected, scale):
    torch.manual_seed(0)
    model = model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    assert constant(model, loss_fn, batch) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("model", [Agreeing, WithoutLayers])
def test_nothing_where_blindness_is_best_or_cannot_be_had(model):
    assert math.isnan(constant(model(), _first, PLAIN))


def test_nothing_where_outputs_are_one_tensor():
    assert math.isnan(constant(nn.Linear(6, 6), nn.functional.mse_loss, PLAIN))


@pytest.mark.parametrize(("middle", "mixed"), [((), False), ((Mixing(),), True)])
def test_samples_mixed_before_a_layer_of_a_network_with_its_own_loss(middle, mixed):
    torch.manual_seed(0)
    for model, batch in ((Variational(*middle), PLAIN), (Classifying(*middle), LABELED)):
        assert (mixing_of(model, batch)["samples_mixed"] > 0.01) == mixed


def test_similarities_among_the_outputs_mix_no_samples():
    assert mixing_of(Contrasting(), PLAIN) == {"samples_mixed": 0.0}


def test_a_network_that_returns_its_loss_becomes_wide():
    model = Classifying(nn.Linear(16, 1), nn.Linear(1, 16))
    assert enlarge(Copy.of(model, torch.optim.SGD(model.parameters()), loss_function(None)), LABELED)
    copied = Copy.of(model, torch.optim.SGD(model.parameters()), loss_function(None))
    enlarge(copied, LABELED)
    assert copied.model.get_submodule("body.2").out_features == WIDE


AT_CONSTANT = {"steps": 200.0, "loss_first": 70.0, "loss_last": 34.0, "loss_constant": 34.0, "left": 0.49}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"gradient_first_to_last": 1e-7, "falling": 0.015}, "vanishing_gradients"),
        ({"gradient_first_to_last_start": 1e-6, "gradient_first_to_last": 0.04, "falling": 0.0}, "vanishing_gradients"),
        ({"frozen_at_random": 0.97, "tried_unfrozen": 0.24, "falling": 0.08}, "untrained_parameters"),
    ],
)
def test_what_holds_a_network_at_the_constants_loss(more, code):
    assert judge(AT_CONSTANT | more).code == code
    learned = AT_CONSTANT | {"loss_last": 17.0, "left": 0.24, "falling": 0.1}
    assert judge(more | learned).code == "healthy"


def test_a_constant_that_was_fitted_accuses_no_targets():
    """Masked words in few sentences: a blind network knows some of them by their places."""
    slow = AT_CONSTANT | {"falling": 0.0, "tried_best": 0.95, "fit_left": 0.1, "update_ratio": 0.01}
    assert judge(slow).code == "targets_unrelated"
    assert judge(slow | {"constant_fitted": 1.0}).code == "unsure"


def test_an_optimizer_is_not_blamed_for_a_gradient_of_zero():
    still = {"steps": 300.0, "standstill": 0.3, "left": 1.0, "gradient_last": 0.1}
    dead = {"matrix_gradient_first": 0.0, "dead_units_first": 1.0, "gradient_last": 0.0}
    assert judge(still).code == "optimizer_not_stepping"
    assert judge(still | dead).code == "dead_units"


RAISED = {"tried_standardized": 1.2, "above_lowest": 0.4, "lr_left": 1e-5, "tried_lower_rate": 0.0}
RAISED |= {"gain_lr_most": 1.5, "gain_same": 1e-4, "cosine": 0.9, "falling": 0.0}


@pytest.mark.parametrize(("full", "code"), [(2.0, "decayed_too_early"), (0.05, "bad_inputs")])
def test_a_rate_that_was_decayed_too_early_is_no_fault_of_the_inputs(full, code):
    measures = AT_CONSTANT | RAISED | {"tried_full_rate": full, "tried_best": 0.1, "loss_last": 50.0, "left": 0.7}
    assert judge(measures).code == code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("middle", "code"),
    [
        ((), "healthy"),
        ((Mixing(),), "samples_mixed"),
        ((nn.Dropout(0.98),), "dropout_too_strong"),
        (tuple(layer for _ in range(8) for layer in (nn.Linear(16, 16), nn.Sigmoid())), "vanishing_gradients"),
    ],
)
def test_the_cause_in_a_network_with_several_outputs(middle, code):
    torch.manual_seed(0)
    model = Variational(*middle)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    axes = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0))).Q[:2]
    x = ROWS_NF
    with watch(model, optimizer) as watching:
        for _ in range(200):
            x = 3 * torch.randn(64, 2) @ axes + 0.1 * torch.randn(64, 6)
            optimizer.zero_grad()
            loss = elbo(model(x), x)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    assert watching.diagnose(batch=(x, x), loss_fn=elbo).code == code

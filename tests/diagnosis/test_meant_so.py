"""What a program does on purpose is no fault: a game of two networks, an equation's residual, a batch's statistics."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.graph import rival_measures
from thalweg.diagnosis.measures.mixing import mixing_of
from thalweg.diagnosis.measures.rounding import rounding_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS = torch.randn(24, 6, generator=DRAW)
LABELS = torch.arange(24) % 2
STUCK = {"steps": 200.0, "loss_first": 1.0, "loss_constant": 1.0, "loss_last": 1.0, "falling": 0.0, "left": 1.0}


def net(*sizes):
    torch.manual_seed(0)
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def train(model, optimizer, loss_fn, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model(INPUTS), LABELS).backward()
        optimizer.step()


def rival(other, *, trained):
    model = net(6, 8, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if trained:
        train(other, torch.optim.SGD(other.parameters(), lr=0.1), functional.cross_entropy, 12)
    return rival_measures(model, optimizer, lambda outputs, _: -other(outputs).mean())["rival"]


def test_a_loss_that_another_optimizer_trains():
    assert rival(net(6, 8, 2), trained=True) == 1
    assert rival(net(6, 8, 2), trained=False) == 0  # a network that was loaded, for features
    assert rival(nn.Identity(), trained=False) == 0


def test_a_loss_with_weights_of_the_same_optimizer_is_no_rival():
    model, center = net(6, 2), net(2, 2)
    optimizer = torch.optim.SGD([*model.parameters(), *center.parameters()], lr=0.1)

    def loss_fn(outputs, labels):
        return functional.cross_entropy(center(outputs), labels)

    train(model, optimizer, loss_fn, 12)
    assert rival_measures(model, optimizer, loss_fn)["rival"] == 0


def test_a_generator_is_known_by_its_loss_where_nobody_gives_a_batch():
    """Its loss is computed with a critic that another optimizer trains, so that it may rise as long as that gains."""
    maker, critic = net(6, 8, 6), net(6, 8, 1)
    pairs = [(model, torch.optim.SGD(model.parameters(), lr=0.1)) for model in (maker, critic)]
    with watch(*pairs[0]) as watching:
        for _ in range(24):
            for (_, optimizer), sign in zip(pairs, (-1, 1), strict=True):
                optimizer.zero_grad()
                loss = sign * critic(maker(INPUTS)).mean()
                loss.backward()
                optimizer.step()
                if sign < 0:
                    watching.step(loss)
    found = watching.measures()
    assert found["rival_seen"] == 1
    risen = {"steps": 300.0, "above_lowest": 0.3, "left": 0.8, "falling": 0.1}
    assert judge(risen | {"rival_seen": found["rival_seen"]}).code != "lr_too_large"


def test_two_optimizers_of_one_model_are_no_rivals():
    model = net(6, 8, 2)
    first, last = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (model[0], model[2]))
    with watch(model, first) as watching:
        for _ in range(24):
            model.zero_grad()
            loss = functional.cross_entropy(model(INPUTS), LABELS)
            loss.backward()
            first.step()
            last.step()
            watching.step(loss)
    assert watching.measures()["rival_seen"] == 0


@pytest.mark.parametrize("side", ["rival", "unused_passes"], ids=["generator", "discriminator"])
def test_a_game_of_two_accuses_nobody_by_its_loss(side):
    beaten = STUCK | {"fit_left": 1.0, "tried_larger": 0.5}
    assert judge(beaten).code == "model_too_small"
    assert judge(beaten | {side: 1.0}).code == "unsure"
    risen = STUCK | {"rise": 1e4}
    assert judge(risen).code == "diverged"
    assert judge(risen | {side: 1.0}).code == "unsure"
    assert judge(risen | {side: 1.0, "nonfinite_step": 9.0}).code == "diverged"
    assert judge(beaten | {side: 1.0, "gradless": 1.0}).code == "untrained_parameters"


def test_a_critic_at_the_balance_is_not_accused_by_it_and_is_by_its_steps():
    at_balance = STUCK | {"fit_left": 0.4, "tried_best": 0.95, "update_ratio": 0.01}
    assert judge(at_balance).code == "targets_unrelated"
    driven = {"driven_passes": 0.05}  # it steps several times for each step of the generator
    assert judge(at_balance | driven).code == "unsure"
    held = STUCK | {"penalty_to_gradient": 0.7, "to_constant": 1.0}
    assert judge(held).code == "weight_decay_too_strong"
    assert judge(held | driven).code == "unsure"
    tiny = {"update_ratio": 1e-5, "gain_tenfold": 0.5, "gain_same": 0.01, "lr_left": 1.0}
    assert judge(at_balance | driven | tiny).code == "lr_too_small"


class Better(nn.Module):
    """By how much the score of the first of two is above that of the second."""

    def __init__(self, *, sign=-1.0):
        super().__init__()
        self.score, self.sign = net(3, 8, 1), sign

    def forward(self, pair):
        return self.score(pair[:, 0]) + self.sign * self.score(pair[:, 1])


@pytest.mark.parametrize(("sign", "meant"), [(-1.0, True), (0.5, False)])
def test_the_first_of_two_may_always_be_the_better_one(sign, meant):
    """Targets of one kind are bad where a constant answer is right for all; a difference of scores has none."""
    points = torch.randn(2, 256, 3, generator=torch.Generator().manual_seed(4))
    first_is_better = (points[0].sum(dim=1) > points[1].sum(dim=1))[:, None]
    pairs = torch.stack(
        [torch.where(first_is_better, points[0], points[1]), torch.where(first_is_better, *points.flip(0))], 1
    )
    torch.manual_seed(0)
    model = Better(sign=sign)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    ones = torch.ones(64, 1)
    with watch(model, optimizer) as watching:
        for step in range(120):
            batch = pairs[64 * (step % 4) : 64 * (step % 4) + 64]
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(model(batch), ones)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    verdict = watching.diagnose((batch, ones), functional.binary_cross_entropy_with_logits, seconds=3.0)
    assert (verdict.code in {"healthy", "converged"}) == meant
    assert (verdict.code == "bad_targets") == (not meant)


class Residual(nn.Module):
    """u' - u, which is to be zero."""

    def __init__(self):
        super().__init__()
        self.u = net(1, 8, 1)

    def forward(self, at):
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            u = self.u(at)
            (slope,) = torch.autograd.grad(u.sum(), at, create_graph=True)
        return slope - u + at.sin()


class WithConditions(Residual):
    """Residuals of u'' + u = 0, u(0) = 0 and u'(0) = 1, beside one another: of a constant u, each is a constant."""

    def forward(self, at):
        with torch.enable_grad():
            at, zero = at.detach().requires_grad_(), torch.zeros(1, 1, requires_grad=True)
            u, u_at_zero = self.u(at), self.u(zero)
            slope, slope_at_zero = (
                torch.autograd.grad(of.sum(), by, create_graph=True)[0] for of, by in ((u, at), (u_at_zero, zero))
            )
            (bend,) = torch.autograd.grad(slope.sum(), at, create_graph=True)
        one = torch.ones_like(u)
        return torch.cat([bend + u, u_at_zero * one, (slope_at_zero - 1) * one], dim=1)


def kinds(model, inputs, targets):
    return of_batch(model, functional.mse_loss, [Batch(inputs, targets)]).get("targets_kinds")


def test_an_equation_s_residual_is_to_be_zero_everywhere():
    at = torch.linspace(0, 1, 24)[:, None]
    assert kinds(Residual(), at, torch.zeros(24, 1)) is None
    assert kinds(WithConditions(), at, torch.zeros(24, 3)) is None
    assert kinds(net(1, 8, 1), at, torch.zeros(24, 1)) == 1
    assert kinds(net(1, 8, 1), at, torch.full((24, 1), 3.0)) == 1
    assert kinds(Residual(), at, at) == 24


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(8, track_running_stats=False), nn.BatchNorm1d(8), nn.LayerNorm(8)])
def test_a_norm_that_takes_the_statistics_of_the_batch_on_purpose(norm):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, 2))
    assert mixing_of(model, Batch(INPUTS, LABELS)) == {"samples_mixed": 0.0}
    mixing = nn.Sequential(model, nn.Softmax(dim=0))
    assert mixing_of(mixing, Batch(INPUTS, LABELS))["samples_mixed"] > 0.5


def test_that_the_optimizer_stands_still_is_no_near_cause_of_a_training_that_moves():
    measured = STUCK | {"standstill": 0.0, "lr_left": 1.0, "stepped": 1.0}
    assert "optimizer_not_stepping" not in [code for code, _ in judge(measured).alternatives]
    assert judge(measured | {"standstill": 0.5}).code == "optimizer_not_stepping"


class Narrow(torch.optim.Optimizer):
    """Gradient descent on bfloat16 weights, in one of three ways."""

    def __init__(self, parameters, way):
        super().__init__(parameters, {"lr": 1e-3})
        self.way = way

    @torch.no_grad()
    def step(self):
        for parameter in self.param_groups[0]["params"]:
            if self.way == "plain":
                parameter.add_(parameter.grad, alpha=-1e-3)
            elif self.way == "kahan":
                kept = self.state[parameter].setdefault("kept", torch.zeros_like(parameter))
                kept.add_(parameter.grad, alpha=-1e-3)
                rounded = parameter + kept
                kept.add_(parameter - rounded)
                parameter.copy_(rounded)
            else:
                exact = (parameter.float() - 1e-3 * parameter.grad.float()).view(torch.int32)
                drawn = torch.randint(0, 1 << 16, exact.shape, dtype=torch.int32)
                parameter.copy_(((exact + drawn) & -65536).view(torch.float32).bfloat16())


@pytest.mark.parametrize(("way", "lost"), [("plain", True), ("kahan", False), ("stochastic", False)])
def test_small_steps_that_add_up_are_not_lost(way, lost):
    model = net(6, 64, 2).bfloat16()
    optimizer = Narrow(list(model.parameters()), way)

    def loss_fn(outputs, labels):
        return functional.cross_entropy(outputs.float(), labels)

    for _ in range(40):
        optimizer.zero_grad()
        loss_fn(model(INPUTS.bfloat16()), LABELS).backward()
        optimizer.step()
    pair = [Copy.of(model, optimizer, loss_fn) for _ in "ab"]
    assert (rounding_measures(*pair, Batch(INPUTS.bfloat16(), LABELS))["rounded_away"] > 0.5) == lost


@pytest.mark.parametrize(("start", "code"), [(1e-5, "vanishing_gradients"), (0.1, "weight_decay_too_strong")])
def test_weights_that_shrink_because_no_gradient_reaches_them(start, code):
    shrunk = {"decay_to_gradient": 1.0, "weight_norm": 1.0, "weight_norm_first": 4.0}
    verdict = judge(STUCK | shrunk | {"gradient_first_to_last_start": start})
    assert verdict.code == code


@pytest.mark.parametrize(
    ("start", "moved", "code"),
    [
        ({"gradient_first_to_last_start": 1e-4}, 0.02, "vanishing_gradients"),
        ({"gradient_first_to_last_start": 0.2}, 0.02, "lr_too_large"),
        ({"gradient_first_to_last_start": 0.2}, 1e-3, "unsure"),  # something else took it away
        ({}, 0.02, "vanishing_gradients"),  # a log, without its first step
    ],
)
def test_a_gradient_that_the_first_layers_had_and_lost(start, moved, code):
    lost = {"gradient_first_to_last": 1e-6, "update_ratio_first": moved, "weight_norm": 1.0, "weight_norm_first": 1.0}
    assert judge(STUCK | lost | start).code == code


def measured(model, optimizer, steps):
    with watch(model, optimizer) as watching:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(INPUTS), LABELS)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    return watching.measures()


@pytest.mark.parametrize("seed", range(3))
def test_steps_that_are_too_long_lose_the_gradient_of_the_first_layers(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(6, 6), nn.Tanh())], nn.Linear(6, 2))
    with torch.no_grad():
        for layer in model[::2]:
            nn.init.orthogonal_(layer.weight)
    found = measured(model, torch.optim.Adam(model.parameters(), lr=5), steps=100)
    assert found["gradient_first_to_last"] < 1e-3
    assert found["gradient_first_to_last_start"] > 0.1


def test_the_first_gradients_of_deep_layers():
    found = {}
    for depth in (2, 20):
        model = net(6, *[8] * depth, 2)
        measures = measured(model, torch.optim.SGD(model.parameters(), lr=0.1), steps=3)
        found[depth] = measures["gradient_first_to_last_start"]
    assert found[20] < 1e-3 < found[2]

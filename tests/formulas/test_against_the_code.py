"""Every formula, computed, is what the code computes: optimizers, schedules, softmax and the losses."""

import numpy as np
import pytest
import torch

from thalweg import formulas, optimizers, schedules
from thalweg.formulas import formula_of_optimizer, formula_of_schedule
from thalweg.formulas.evaluation import Scope, evaluate
from thalweg.lessons._measures import softmax
from thalweg.schedules import parse
from thalweg.training.losses import losses_of
from thalweg.training.muon import ITERATIONS, Muon, orthogonal


STEPS = 12
TOLERANCE = {"rtol": 1e-10, "atol": 1e-13}

# Each optimizer as it comes, and with every setting that adds to its formula.
SETTINGS = [
    *((name, {}) for name in optimizers.names()),
    *((name, {"maximize": True}) for name in optimizers.names()),
    *((name, {"weight_decay": 0.3}) for name in optimizers.names() if name != "rprop"),
    *((name, {"weight_decay": 0.3, "decoupled_weight_decay": True}) for name in ("adam", "amsgrad", "nadam", "radam")),
    ("sgd", {"momentum": 0.8}),
    ("sgd", {"momentum": 0.8, "dampening": 0.3}),
    ("sgd", {"momentum": 0.8, "nesterov": True}),
    ("adagrad", {"lr_decay": 0.2}),
    ("adagrad", {"initial_accumulator_value": 0.7}),
    ("adagrad", {"lr_decay": 0.2, "initial_accumulator_value": 0.7, "eps": 0.1}),
    ("rmsprop", {"momentum": 0.8, "alpha": 0.7, "eps": 0.1}),
    ("rmsprop", {"momentum": 0.8, "centered": True}),
    ("adam", {"betas": (0.5, 0.6), "eps": 0.1}),
    ("adam", {"betas": (0.0, 0.0)}),
    ("radam", {"betas": (0.9, 0.5)}),  # never trusts its scale
    ("rprop", {"step_sizes": (0.05, 0.06)}),
    ("sign_sgd", {"momentum": 0.8}),
]
SCHEDULES = [
    *("constant", "constant(0.3)", "cosine", "cosine(0.2)", "linear", "linear(0.3, 2)", "polynomial(2.5, 0.1)"),
    *("exponential(0.7)", "exponential(0.5, 20%)", "step(15%)", "step(7, 0.5)", "multi_step(3, 50%, 75%)"),
    *("inverse_time", "inverse_time(7)", "inverse_sqrt", "inverse_sqrt(30%)", "warmup(10%)", "warmup(3, 0.5)"),
    *("cosine_restarts(9)", "cosine_restarts(4, mult=2, end=0.1)", "cosine_restarts(10%, mult=3)"),
    *("one_cycle", "one_cycle(anneal=linear)", "one_cycle(phases=3)", "one_cycle(up=1)", "one_cycle(up=0, phases=3)"),
    *("one_cycle(up=100%)", "one_cycle(up=60%, phases=3, anneal=linear)", "wsd", "wsd(shape=sqrt, end=0.2)"),
    *("wsd(warmup=0)", "wsd(decay=0)", "wsd(warmup=0, decay=0)", "linear over 50%", "cosine over 7"),
    *("warmup(10%) > cosine", "warmup(3) > inverse_sqrt", "warmup(0) > linear", "constant over 30% > wsd"),
    *("warmup(10%) > constant over 20% > linear(1, 0.2) over 5 > cosine", "warmup(200) > linear"),
    *("cosine_restarts(4, mult=2) over 50% > cosine_restarts(3)", "warmup(5) > linear over 10"),
    *("one_cycle over 40% > one_cycle(anneal=linear)", "warmup(20%) > step(10%, 0.5)"),
]


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=lambda value: str(value) if value else "")
def test_an_optimizer_s_formula_is_its_step(name, settings):
    """θ after every step on random gradients of a factor 100 between them, some zero, at a rate that changes."""
    optimizer = optimizers.get(name, **settings)
    formula = formula_of_optimizer(optimizer)
    random = np.random.default_rng(3)
    slopes = random.normal(size=STEPS) * 10 ** random.uniform(-1, 1, STEPS)
    slopes[5] = 0.0
    lr = 0.07
    rates = lr * np.linspace(1.0, 0.2, STEPS)
    coupled, decoupled = optimizer.decays
    clocks = np.stack(optimizer.clock(np.arange(1.0, STEPS + 1)), axis=1).tolist()
    theta, state = 0.8, optimizer.start(lr)
    starts = {**formula.start, "s": lr} if name == "rprop" else formula.start
    history = {line.key: {0: starts.get(line.key, np.nan)} for line in formula.stepped}
    history |= {"g": {}, "θ": {0: theta}, "η": dict(enumerate(rates.tolist(), 1)), "η0": lr}
    for t, (slope, rate, clock) in enumerate(zip(slopes.tolist(), rates.tolist(), clocks, strict=True), 1):
        g = (-1.0 if optimizer.maximize else 1.0) * slope + coupled * theta
        m, sigma, state = optimizer.step(g, state, tuple(clock), optimizer.hyper())
        history["g"][t] = slope
        formula.step({**history, "∇L": lambda _, slope=slope: slope}, t)
        theta = theta * (1.0 - rate * decoupled) - rate * m / sigma
        np.testing.assert_allclose([history["θ"][t], history["g"][t]], [theta, g], **TOLERANCE)


@pytest.mark.parametrize("spec", SCHEDULES)
def test_a_schedule_s_formula_is_its_factor(spec):
    schedule, steps = parse(spec), 37
    formula = formula_of_schedule(schedule, steps)
    got = [float(formula.value(t=t)) for t in range(steps)]
    np.testing.assert_allclose(got, schedules.factors(schedule, steps), **TOLERANCE)


@pytest.mark.parametrize(
    "arguments",
    ["", "patience=1", "patience=0, cooldown=2", "mode=max, threshold=0.3, patience=1", "lowest=0.2, patience=0",
     "threshold_mode=abs, threshold=0.5, patience=1", "threshold_mode=abs, mode=max, patience=0"],
)  # fmt: skip
def test_plateau_s_formula_is_its_factor_after_every_value(arguments):
    schedule = parse(f"plateau({arguments})")
    formula = formula_of_schedule(schedule, 100)
    values = np.random.default_rng(1).normal(size=30).round(1).tolist()
    values[7] = np.nan
    history = {line.key: {0: formula.start.get(line.key, np.nan)} for line in formula.stepped}
    history["v"] = dict(enumerate(values, 1))
    for seen in range(1, len(values) + 1):
        formula.step(history, seen)
        assert history["F"][seen] == pytest.approx(schedule(50, 100, values[:seen]), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["cross-entropy", "mse"])
def test_a_loss_s_formula_is_the_loss_of_training(name, smoothing):
    random = np.random.default_rng(2)
    logits_NC, labels_N = random.normal(scale=3, size=(6, 5)).astype(np.float32), np.arange(6) % 5
    wanted_N = losses_of(name, torch.from_numpy(logits_NC), torch.from_numpy(labels_N), smoothing)
    formula = {"cross-entropy": formulas.cross_entropy, "mse": formulas.mse}[name](smoothing)
    for logits_C, label, wanted in zip(logits_NC.astype(np.float64), labels_N, wanted_N.tolist(), strict=True):
        target = dict(enumerate(np.eye(5)[label], 1))
        numbers = {"y": dict(enumerate(logits_C, 1)), "C": 5, ("o" if smoothing else "t"): target}
        assert float(formula.value(**numbers)) == pytest.approx(wanted, rel=1e-5)  # training's is in float32


def test_softmax_s_formula_is_softmax():
    logits_C = np.array([3.0, 1.0, -3.0, 0.5])
    got = [float(formulas.get("softmax").value(y=dict(enumerate(logits_C, 1)), C=4, c=c)) for c in (1, 2, 3, 4)]
    np.testing.assert_allclose(got, softmax(logits_C), **TOLERANCE)
    pair = float(formulas.get("sigmoid").value(y={1: 3.0, 2: 1.0}))
    np.testing.assert_allclose(pair, softmax([3.0, 1.0])[0], **TOLERANCE)


def five_times(matrix):
    """The matrix with the formula's f, five times, on each singular value, relative to the norm."""
    left, values, right = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    f = Scope({}, formulas.muon().lines)["f"]
    for _ in range(ITERATIONS):
        values = f(values)
    return (left * values) @ right


@pytest.mark.parametrize("shape", [(3, 5), (6, 2)])
def test_muon_s_formula_is_its_step(shape):
    random = np.random.default_rng(0)
    theta, gradients = random.normal(size=shape), random.normal(size=(4, *shape))
    parameter = torch.nn.Parameter(torch.tensor(theta, dtype=torch.float32))
    step = Muon([parameter], [{"params": [torch.nn.Parameter(torch.zeros(2))]}], lr=0.1, weight_decay=0.3, momentum=0.8)
    formula = formulas.muon(0.8, 0.3)
    lines = {line.key: line for line in formula.lines}
    moment = np.zeros(shape)
    for t, gradient in enumerate(gradients, start=1):
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        step.step()
        numbers = {"t": t, "g": {t: gradient}, "η": {t: 0.1}, "m": {t - 1: moment}, "θ": {t - 1: theta}, "R": shape[0],
                   "K": shape[1], **formula.settings}  # fmt: skip
        moment = evaluate(lines["m"].right, Scope(numbers))
        numbers["O"] = {t: five_times(gradient + 0.8 * moment)}
        theta = evaluate(lines["θ"].right, Scope(numbers))
        np.testing.assert_allclose(parameter.detach().numpy(), theta, atol=2e-5)
    np.testing.assert_allclose(orthogonal(torch.tensor(gradient)).numpy(), five_times(gradient), atol=1e-5)

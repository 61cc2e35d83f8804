"""The docstrings state the formula that the tree writes, so no formula is typed twice without a test that sees both."""

import re

import pytest

from thalweg import formulas, optimizers
from thalweg.formulas import formula_of_optimizer, formula_of_schedule
from thalweg.optimizers.catalogue import OPTIMIZERS
from thalweg.schedules import parse
from thalweg.schedules.catalogue import SCHEDULES
from thalweg.training.losses import loss_of
from thalweg.training.muon import Muon, orthogonal


# What an optimizer's docstring says of its settings, besides the formula as it comes.
ALSO = [
    ("sgd", {"momentum": 0.9}, slice(None)),
    ("sgd", {"momentum": 0.9, "dampening": 0.5}, slice(0, 1)),
    ("sgd", {"momentum": 0.9, "nesterov": True}, slice(1, 2)),
    ("adagrad", {"initial_accumulator_value": 1.0}, slice(0, 1)),
    ("adagrad", {"lr_decay": 1.0}, slice(0, 1)),
    ("rmsprop", {"momentum": 0.9}, slice(2, 4)),
    ("rmsprop", {"centered": True}, slice(1, 3)),
    ("sign_sgd", {"momentum": 0.9}, slice(None)),
]
SPECS = {
    **{name: name for name in SCHEDULES},
    "exponential": "exponential(0.5)",
    "multi_step": "multi_step(50%)",
    "step": "step(30%)",
    "warmup": "warmup(5%)",
    "cosine_restarts": "cosine_restarts(5)",
}


def plain(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", optimizers.names())
def test_an_optimizer_s(name):
    assert formula_of_optimizer(optimizers.get(name)).text in plain(OPTIMIZERS[name].__doc__)


@pytest.mark.parametrize(("name", "settings", "lines"), ALSO)
def test_an_optimizer_s_with_settings(name, settings, lines):
    said = "; ".join(formula_of_optimizer(optimizers.get(name, **settings)).texts[lines])
    assert said in plain(OPTIMIZERS[name].__doc__)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_s(name):
    assert formula_of_schedule(parse(SPECS[name])).text in plain(SCHEDULES[name].__doc__)


@pytest.mark.parametrize("spec", ["cosine_restarts(5, mult=2)", "one_cycle(anneal=linear)"])
def test_a_schedule_s_with_settings(spec):
    schedule = parse(spec)
    for line in formula_of_schedule(schedule).texts[-1:]:
        assert line in plain(SCHEDULES[schedule.name].__doc__)


def test_the_losses():
    said = plain(loss_of.__doc__)
    assert formulas.cross_entropy(0.1).text in said
    assert formulas.mse().texts[0] in said


def test_muon():
    moment, f, step = formulas.muon().texts
    assert f"{moment}; {step}" in plain(Muon.__doc__)
    assert f in plain(orthogonal.__doc__)

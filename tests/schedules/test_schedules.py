"""Schedules are pure functions of the step, whatever their parts are."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest

from thalweg.errors import UsageError
from thalweg.schedules import Chain, Constant, Cosine, Linear, Over, Percent, Plateau, Warmup, factors, names, parse
from thalweg.schedules.catalogue import SCHEDULES


EVERY = [
    "constant",
    "constant(0.3)",
    "cosine",
    "cosine(end=0.1)",
    "cosine_restarts(7%)",
    "cosine_restarts(13, mult=1.5)",
    "exponential(0.5, every=10%)",
    "inverse_sqrt",
    "inverse_sqrt(25)",
    "inverse_time",
    "linear",
    "linear(0.2, 0.8)",
    "multi_step(30, 60%)",
    "one_cycle",
    "one_cycle(10, anneal=linear, phases=3)",
    "one_cycle(0)",
    "plateau",
    "polynomial(power=0.5)",
    "step(30%)",
    "warmup(5%)",
    "warmup(0)",
    "wsd",
    "wsd(5, 50%, shape=sqrt, end=0.1)",
    "wsd(0, 0)",
    "warmup(500) > inverse_sqrt",
    "warmup(10%) > constant over 60% > linear",
    "linear over 0 > cosine over 100% > constant(0.1)",
]


def test_every_schedule_is_tried():
    assert {spec.split("(")[0].split()[0] for spec in EVERY} == set(names())


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize("steps", [1, 2, 97, 1000])
def test_all_steps_at_once_are_each_step_alone(spec, steps):
    schedule = parse(spec)
    together = factors(schedule, steps)
    assert together.shape == (steps,)
    # numpy's powers of one number and of many may differ in the last digit
    np.testing.assert_allclose(together, [schedule(step, steps) for step in range(steps)], rtol=1e-14)
    assert np.isfinite(together).all()
    assert (together >= 0).all()
    assert (together <= 1).all()


@pytest.mark.parametrize("spec", EVERY)
def test_a_fraction_of_a_step_is_fine_and_the_ends_hold(spec):
    schedule = parse(spec)
    assert 0 <= schedule(33.7, 80.25) <= 1
    assert schedule(-5, 80) == schedule(0, 80)
    assert schedule(85, 80) == schedule(80, 80)


CONTINUOUS = [spec for spec in EVERY if not any(word in spec for word in ("step(", "restarts", "constant"))]


@pytest.mark.parametrize("spec", CONTINUOUS)
def test_percentages_make_the_shape_independent_of_the_length(spec):
    """Between neighboring steps of a long training little happens, so nothing jumps where a part ends."""
    assert np.abs(np.diff(factors(parse(spec), 100_000)[1000:])).max() < 0.01


@pytest.mark.parametrize(
    ("spec", "step", "expected"),
    [
        ("inverse_time(100)", 300, 1 / 4),
        ("inverse_sqrt", 99, 1 / 10),
        ("inverse_sqrt(25)", 75, 1 / 2),
        ("warmup(400) > inverse_sqrt", 800, np.sqrt(400 / 800)),  # the Transformer's: 1 / √t, scaled to 1 at its top
        ("warmup(400) > inverse_sqrt(100)", 700, 1 / 2),
        ("exponential(0.5, every=20%)", 400, 1 / 4),
        ("polynomial(power=3, end=0.2)", 500, 0.2 + 0.8 / 8),
        ("wsd(10%, 20%)", 50, 0.01 + 0.99 / 2),
        ("wsd(10%, 20%)", 799, 1),
        ("wsd(10%, 20%)", 900, 1 / 2),
        ("wsd(10%, 20%, shape=sqrt)", 850, 1 / 2),
        ("warmup(10%) > constant over 60% > linear", 850, 1 / 2),
        ("warmup(20%) > step(30%, 0.5)", 499, 1),
        ("warmup(20%) > step(30%, 0.5)", 500, 1 / 2),
    ],
)
def test_closed_forms(spec, step, expected):
    assert parse(spec)(step, 1000) == pytest.approx(expected, rel=1e-14)


PARTS = [
    "cosine",
    "linear(0.3, 0.9)",
    "step(7, 0.5)",
    "exponential(0.9)",
    "polynomial(2)",
    "cosine_restarts(5, mult=2)",
]


@pytest.mark.parametrize("first", PARTS)
@pytest.mark.parametrize("second", PARTS)
def test_a_chain_is_its_parts_one_after_the_other(first, second):
    """Unlike torch's SequentialLR, whose parts share the rate that they change (pytorch#162591)."""
    whole = factors(parse(f"warmup(5) > {first} over 20 > {second}"), 60)
    alone = [factors(parse("warmup(5)"), 5), factors(parse(first), 20), factors(parse(second), 35)]
    np.testing.assert_allclose(whole, np.concatenate(alone), rtol=1e-13)


def test_a_chain_longer_than_the_training_is_cut():
    chain = Chain((Warmup(500), Cosine()))
    assert chain(100, 100) == Warmup(500)(100, 1000)
    assert [part.steps for part in chain.spans(100)] == [100, 0]
    assert [part.steps for part in chain.spans(2000)] == [500, 1500]


def test_only_plateau_looks_at_the_values():
    values = [1.0] * 50
    for spec in EVERY:
        changed = parse(spec)(50, 100, values) != parse(spec)(50, 100)
        assert changed == ("plateau" in spec), spec
    assert parse("warmup(5) > plateau(patience=2)")(50, 100, values) == Plateau(patience=2)(50, 100, values)


@pytest.mark.parametrize("spec", EVERY)
def test_a_schedule_is_a_value(spec):
    schedule = parse(spec)
    assert schedule == parse(str(schedule))
    assert hash(schedule) == hash(parse(str(schedule)))
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301 - as a worker process gets it
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, dataclasses.fields(schedule)[0].name, 1)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Cosine(end=-0.1), "schedules.bad_argument"),
        (lambda: Cosine(end=float("nan")), "schedules.bad_argument"),
        (lambda: Constant(value=True), "schedules.bad_argument"),
        (lambda: Warmup(Percent(101)), "schedules.bad_argument"),
        (lambda: Warmup(-1), "schedules.bad_argument"),
        (lambda: Over(Chain((Warmup(1), Linear())), 5), "schedules.nested"),
        (lambda: Over(Over(Linear(), 5), 5), "schedules.nested"),
        (lambda: Over(Linear(), -5), "schedules.bad_length"),
        (lambda: Chain((Linear(),)), "schedules.nested"),
        (lambda: Chain((Warmup(1), Chain((Warmup(1), Linear())))), "schedules.nested"),
        (lambda: Chain((Linear(), Cosine())), "schedules.no_length"),
        (lambda: Chain((Over(Linear(), Percent(60)), Over(Linear(), Percent(60)))), "schedules.more_than_all"),
        (lambda: Linear()(1, 0), "schedules.bad_steps"),
        (lambda: Linear()(1, float("nan")), "schedules.bad_steps"),
        (lambda: Linear()(float("nan"), 1), "schedules.bad_step"),
        (lambda: factors(Linear(), 0), "schedules.bad_steps"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, key):
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.key == key
    assert str(caught.value)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=lambda schedule: schedule.name)
def test_a_schedule_is_documented(schedule):
    document = schedule.__doc__
    assert "f(t) =" in document or schedule.name in {"one_cycle", "plateau"}
    for field in dataclasses.fields(schedule):
        assert f"        {field.name}: " in document
    for section in ("Args:", "Example:", "Source:"):
        assert section in document


def test_no_torch_is_imported():
    code = "import sys, thalweg.schedules as s; s.parse('warmup(5%) > cosine')(1, 2); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

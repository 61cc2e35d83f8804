"""A diagnosis keeps to its seconds: a slow network is asked less, a fast one everything. The clock is a fake."""

import math
import time

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg import watch
from thalweg.diagnosis.measures.budget import (
    ENOUGH_LABELS,
    FEWEST_SAMPLES,
    FOR_RUNS,
    Budget,
    Sizes,
    timed_on,
)
from thalweg.diagnosis.measures.gains import FACTORS, Gains
from thalweg.probes.batches import Batch
from thalweg.probes.copies import BUSY, own_clock


SAMPLES, A_STEP = 64, 3.0  # a pass with a gradient, in passes without


class Clock:
    """Stands still but for what a network takes."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow(nn.Sequential):
    """A perceptron each of whose samples takes some time."""

    def __init__(self, clock, seconds):
        super().__init__(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
        self.told = clock, seconds

    def forward(self, inputs):
        clock, seconds = self.told
        clock.now += len(inputs) * seconds * (A_STEP if torch.is_grad_enabled() else 1.0)
        return super().forward(inputs)

    def __deepcopy__(self, memo):
        twin = Slow(*self.told)
        memo[id(self)] = twin
        for mine, its in zip(self.parameters(), twin.parameters(), strict=True):
            its.data.copy_(mine.data)
            memo[id(mine)] = its
        return twin


def diagnosed(monkeypatch, seconds_a_sample, seconds=10.0, rate=0.1):
    """The verdict of a training, and how long it took by the fake clock."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(time, "process_time", clock)
    torch.manual_seed(0)
    model = Slow(clock, seconds_a_sample)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    inputs_NF = torch.randn(4 * SAMPLES, 6)
    labels_N = (inputs_NF[:, 0] > 0).long() + (inputs_NF[:, 1] > 0).long()
    batches = list(zip(inputs_NF.split(SAMPLES), labels_N.split(SAMPLES), strict=True))
    with watch(model, optimizer) as watching:
        for step in range(40):
            inputs, labels = batches[step % 4]
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    began = clock.now
    verdict = watching.diagnose(batch=batches, loss_fn=cross_entropy, seconds=seconds)
    return verdict, clock.now - began


def test_a_fast_network_is_asked_everything(monkeypatch):
    verdict, _ = diagnosed(monkeypatch, 0.0)
    assert {f"gain_{name}" for name in FACTORS} | {"fit_left", "tried_longer"} <= set(verdict.measures)
    assert not [name for name in verdict.unchecked if name.endswith("too_slow")]


@pytest.mark.parametrize(("seconds_a_step", "seconds"), [(0.1, 10.0), (0.5, 10.0), (0.5, 30.0), (1.5, 30.0)])
def test_a_slow_network_gets_its_verdict_in_the_seconds(monkeypatch, seconds_a_step, seconds):
    verdict, took = diagnosed(monkeypatch, seconds_a_step / (A_STEP * SAMPLES), seconds)
    assert took < 1.1 * seconds
    assert {"gain_same", "gain_tenth", "gain_tenfold", "fit_left"} <= set(verdict.measures)


def test_more_seconds_ask_more_of_a_slow_network(monkeypatch):
    asked = [len(diagnosed(monkeypatch, 0.5 / (A_STEP * SAMPLES), seconds)[0].measures) for seconds in (10.0, 200.0)]
    assert asked[0] < asked[1]


def test_a_network_that_is_far_too_slow_is_told_so_and_its_exact_faults_are_still_found(monkeypatch):
    verdict, took = diagnosed(monkeypatch, 10.0 / (A_STEP * SAMPLES))
    assert {"curvature_too_slow", "short_runs_too_slow"} <= set(verdict.unchecked)
    assert "short_runs" not in verdict.unchecked
    assert "inputs_seen" in verdict.measures
    assert took < 300  # what the questions of one pass take: not one of 60 short runs of 20 steps of 10 s


def test_what_the_questions_before_take_leaves_a_part_for_the_short_runs():
    clock = Clock()
    budget = Budget(10.0, clock)
    clock.now = 3.0
    assert budget.left() == 7.0
    budget.begin_runs()
    assert budget.left() == 7.0
    clock.now = 9.0
    budget.begin_runs()
    assert budget.left() == FOR_RUNS * 10.0
    assert budget.affords(4.0)
    assert not budget.affords(4.1)
    clock.now = 20.0
    assert budget.left() == 0.0
    assert budget.affords(0.4)  # hardly anything


def test_the_time_of_other_programs_does_not_count(monkeypatch):
    passed, own = Clock(), Clock()
    monkeypatch.setattr(time, "perf_counter", passed)
    monkeypatch.setattr(time, "process_time", own)
    clock = own_clock()
    passed.now, own.now = 6.0, 4.0  # a busy machine
    assert clock() == 4.0
    own.now = 12.0  # two threads
    assert clock() == 6.0
    passed.now, own.now = 60.0, 12.0  # another device works
    assert clock() == 60.0 / BUSY


def test_batches_keep_their_samples_where_they_cannot_be_divided():
    batches = [Batch(torch.ones(SAMPLES, 2), torch.zeros(SAMPLES))] * 3
    slow = Sizes.of(batches, 100.0, 10.0, divides=lambda batch: batch.size < SAMPLES)
    assert [one.size for one in slow.steps] == 3 * [FEWEST_SAMPLES]
    assert [one.size for one in slow.seen] == 3 * [ENOUGH_LABELS]
    whole = Sizes.of(batches, 100.0, 10.0, divides=lambda _: False)
    assert [one.size for one in whole.steps] == 3 * [SAMPLES]
    assert timed_on(batches[0], 0.01).size == SAMPLES
    assert timed_on(batches[0], 0.4).size == SAMPLES / 4


def test_a_slow_network_is_not_tried_at_rates_beyond_one_that_gains_less():
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    batches = [Batch(torch.randn(32, 6), torch.arange(32) % 3)]
    for rate, beyond in ((1.0, False), (1e-6, True)):
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        gains = Gains(model, optimizer, cross_entropy, batches, math.log(3), a_step=0.05)
        assert gains.spares
        found = gains.measures({})
        assert ("gain_hundredfold" in found) is beyond
        assert found["gain_same"] < math.inf
        assert math.isfinite(found["fit_left"])


def test_no_short_run_begins_when_the_time_is_up():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    left = iter([1.0, 1.0, *[0.0] * 20])
    batches = [Batch(torch.randn(32, 6), torch.arange(32) % 3)]
    found = Gains(model, optimizer, cross_entropy, batches, 1.0, left=lambda: next(left)).measures({})
    assert [name for name, value in found.items() if math.isfinite(value)] == ["gain_same", "gain_tenth"]

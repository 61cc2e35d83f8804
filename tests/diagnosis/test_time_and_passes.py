"""Layers that take the batch for time, and gradients of several passes that are summed before a step."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.accumulation import accumulation_measures
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.mixing import mixing_measures
from thalweg.i18n import speaking
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


LEARNING = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.2, "falling": 0.3, "left": 0.2}
STUCK = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 1.0, "falling": 0.0, "left": 1.0}
DRAW = torch.Generator().manual_seed(0)
SEQUENCES, KINDS = torch.randn(12, 7, 5, generator=DRAW), torch.arange(12) % 3


class Last(nn.Module):
    """The state after the last step of time; each sample is a sequence."""

    def __init__(self, layer, *, turn=False):
        super().__init__()
        self.layer, self.out, self.turn = layer, nn.Linear(5, 3), turn

    def forward(self, steps):
        steps = steps.transpose(0, 1) if self.turn else steps
        attends = isinstance(self.layer, nn.MultiheadAttention)
        hidden = self.layer(steps, steps, steps)[0] if attends else self.layer(steps)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        return self.out(hidden[-1] if self.turn else hidden[:, -1])


LAYERS = [
    lambda first: nn.LSTM(5, 5, batch_first=first),
    lambda first: nn.GRU(5, 5, batch_first=first),
    lambda first: nn.MultiheadAttention(5, 1, batch_first=first),
    lambda first: nn.TransformerEncoderLayer(5, 1, 8, batch_first=first),
]


def mixed(model, inputs=SEQUENCES, targets=KINDS):
    torch.manual_seed(0)
    return mixing_measures(
        Copy.of(model, torch.optim.SGD(model.parameters(), 0.1), functional.cross_entropy), Batch(inputs, targets), 1.0
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_that_takes_the_batch_for_time(layer):
    found = mixed(Last(layer(False)))
    assert found["samples_mixed"] > 0.01
    assert found["batch_as_time"] == 1
    assert judge(LEARNING | found).code == "samples_mixed"
    for language, words in (("en", "the steps of one sequence"), ("zh-CN", "时间步")):
        with speaking(language):
            assert words in judge(LEARNING | found).text


@pytest.mark.parametrize("layer", LAYERS)
def test_time_in_its_place(layer):
    assert mixed(Last(layer(True))) == {"samples_mixed": 0.0}
    assert mixed(Last(layer(False), turn=True)) == {"samples_mixed": 0.0}


class Stream(nn.Module):
    """One long sequence, whose steps are the rows; a target for each."""

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.LSTM(5, 8), nn.Linear(8, 3)

    def forward(self, steps):
        return self.out(self.layer(steps.view(len(steps), 1, -1))[0][:, 0])


class Tags(nn.Module):
    """Time first, a target for each step of each sequence."""

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.LSTM(5, 8), nn.Linear(8, 3)

    def forward(self, steps):
        return self.out(self.layer(steps)[0]).movedim(2, 1)


def test_steps_that_are_the_rows_on_purpose():
    assert mixed(Stream(), SEQUENCES[:, 0])["batch_as_time"] == 0
    assert mixed(Tags(), SEQUENCES, torch.zeros(12, 7, dtype=torch.long))["batch_as_time"] == 0


def accumulated(k, *, divided, rate=0.1, steps=16, each=False, clip=0.0, kind=torch.optim.SGD):
    """Train on k small batches for each step, and measure."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    centers = torch.randn(4, 10, generator=draw)
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), lr=rate, **options)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    watching = watch(model, optimizer)
    with watching:
        for _ in range(steps):
            optimizer.zero_grad()
            for part in range(k):
                labels = torch.randint(4, (8,), generator=draw)
                inputs = centers[labels] + torch.randn(8, 10, generator=draw)
                loss = functional.cross_entropy(model(inputs), labels)
                (loss / k if divided else loss).backward()
                if each and part < k - 1:
                    watching.step(loss)
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            watching.step(loss)
    known = watching.measures()
    gains = Gains(model, optimizer, functional.cross_entropy, [Batch(inputs, labels)], 1.386)
    return known | accumulation_measures(gains, known, start)


@pytest.mark.parametrize("k", [4, 16])
def test_gradients_that_are_summed(k):
    found = accumulated(k, divided=False)
    assert found["passes"] == k
    assert 0.4 < found["summed_passes"] < 1.1
    assert "tried_divided" in found
    assert accumulated(k, divided=True)["summed_passes"] < 0.2


def test_a_record_for_each_pass_counts_the_same():
    found = accumulated(8, divided=False, each=True)
    assert found["passes"] == pytest.approx(8, rel=0.01)
    assert found["summed_passes"] > 0.4


def test_a_rate_that_the_sum_makes_too_large():
    found = accumulated(16, divided=False, rate=0.2)
    measured = STUCK | {
        name: found[name] for name in ("summed_passes", "tried_divided", "update_ratio_first", "passes")
    }
    verdict = judge(measured)
    assert verdict.code == "gradients_not_averaged"
    assert [fix.code for fix in verdict.fixes] == ["divide_loss"]
    assert str(verdict.fixes[0]) == "Divide the loss by 16, the number of backward passes before a step."
    assert "summed" in verdict.text


def test_sums_that_hinder_nothing():
    known = {"summed_passes": 0.8, "tried_divided": 0.0, "update_ratio_first": 0.02, "passes": 16.0}
    assert judge(LEARNING | known | {"tried_divided": 0.5}).code == "healthy"
    assert judge(STUCK | known).code not in ("gradients_not_averaged", "lr_too_large")
    adam = accumulated(8, divided=False, rate=3e-2, kind=torch.optim.Adam)
    assert adam["summed_passes"] > 0.4
    assert adam["update_ratio_first"] > 0.05
    assert abs(adam["tried_divided"]) < 0.01  # Adam takes the same steps
    assert judge(adam | STUCK).code not in ("gradients_not_averaged", "lr_too_large")


def test_what_is_not_asked():
    assert "summed_passes" not in accumulated(1, divided=True)
    assert "summed_passes" not in accumulated(8, divided=False, clip=0.1, steps=24)
    rising = [accumulated(k, divided=False, steps=10)["passes"] for k in (1, 2, 3)]
    assert all(one < other for one, other in pairwise(rising))


def seldom(*, each=10, clears="before", to_none=True, epochs=8, rate=0.1):
    """Train with one step for several batches, and measure; `clears` says where the loop calls zero_grad."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    watching = watch(model, optimizer)
    with watching:
        for _ in range(epochs):
            for part in range(each):
                if clears == "before":
                    optimizer.zero_grad(to_none)
                loss = functional.cross_entropy(model(torch.randn(8, 10)), torch.randint(4, (8,)))
                loss.backward()
                if part == each - 1:
                    optimizer.step()
                    optimizer.zero_grad(to_none)
                elif clears == "after":
                    optimizer.zero_grad(to_none)
                watching.step(loss)
    return watching.measures()


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("clears", ["before", "after"])
def test_gradients_that_are_cleared_unused(clears, to_none):
    found = seldom(clears=clears, to_none=to_none)
    assert found["dropped"] == 1
    assert found["stepped"] == 0.1
    verdict = judge(STUCK | found)
    assert verdict.code == "optimizer_not_stepping"
    assert [fix.code for fix in verdict.fixes] == ["step_each_batch"]
    assert "cleared unused" in verdict.text
    rare = {name: found[name] for name in ("dropped", "stepped")}
    assert judge(LEARNING | rare).code == "optimizer_not_stepping", "the few steps learn all the same"
    assert judge(LEARNING | rare | {"stepped": 0.5}).code == "healthy"


def test_a_step_after_the_loop_over_the_batches():
    """Its record comes before it: the first pass of the next epoch stands between the step and the next record."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watching = watch(model, optimizer)
    with watching:
        for _ in range(4):
            for _ in range(20):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(torch.randn(8, 10)), torch.randint(4, (8,)))
                loss.backward()
                watching.step(loss)
            optimizer.step()
    verdict = watching.diagnose()
    assert verdict.measures["unused_passes"] == 1, "as of a network that plays against another"
    assert verdict.code == "optimizer_not_stepping"


def test_gradients_that_are_accumulated_or_used():
    assert seldom(clears="never")["dropped"] == 0
    assert judge(STUCK | seldom(clears="never")).code != "optimizer_not_stepping"
    assert "dropped" not in judge(seldom(each=1, epochs=40)).measures or math.isnan(seldom(each=1)["dropped"])

"""Samples that come class by class, or through a buffer that is far too small, and those that do not."""

from itertools import combinations

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

import thalweg
from made import train_watched
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.order import forgotten_measures, order_measures, spread_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy
from thalweg.probes.kept import Rows


CLASSES, EACH, SIZE = 10, 120, 32
STEPS = torch.tensor([*range(1, 11), *range(21, 300, 20)])
IN_ORDER = torch.arange(CLASSES).repeat_interleave(EACH)


def draw_of(seed):
    return torch.Generator().manual_seed(seed)


def through_buffer(capacity, draw):
    """The numbers of the samples, in order, through a shuffle buffer."""
    held, given = list(range(capacity)), []
    for coming in range(capacity, capacity + SIZE * int(STEPS[-1])):
        place = int(torch.randint(capacity, (1,), generator=draw))
        given.append(held[place])
        held[place] = coming % len(IN_ORDER)
    return torch.tensor(given)


def shuffled(draw):
    epochs = range(SIZE * int(STEPS[-1]) // len(IN_ORDER) + 1)
    return torch.cat([torch.randperm(len(IN_ORDER), generator=draw) for _ in epochs])


def few_classes(draw, classes):
    """Each step draws a few classes anew, as metric learning wants them."""
    steps = range(int(STEPS[-1]))
    chosen = [torch.randperm(CLASSES, generator=draw)[:classes].repeat(SIZE // classes) for _ in steps]
    return torch.cat(chosen) * EACH


def measured(numbers):
    labels_SN = IN_ORDER[numbers[: SIZE * int(STEPS[-1])]].reshape(-1, SIZE)[STEPS - 1]
    return spread_measures(nn.functional.one_hot(labels_SN, CLASSES).sum(dim=1), STEPS)


def is_named(found):
    return judge({"steps": 300.0, "left": 0.9, "falling": 0.01, **found}).code == "not_shuffled"


@pytest.mark.parametrize("capacity", [1, 30, 120])
def test_samples_in_order_and_a_buffer_that_is_too_small(capacity):
    found = measured(through_buffer(capacity, draw_of(capacity)))
    assert found["kinds_together"] < 0.5
    assert found["kinds_carried"] > 5
    assert is_named(found)


def test_fewer_deviations_decide_where_nothing_was_learned():
    found = {"kinds_together": 0.41, "kinds_carried": 3.3, "loss_constant": 2.3, "loss_last": 2.4}
    assert is_named(found)
    assert not is_named(found | {"loss_last": 1.0})
    assert not is_named(found | {"kinds_together": 0.9})
    assert not is_named(found | {"kinds_carried": 1.0})


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_samples_and_few_classes_drawn_anew(seed):
    for numbers in (shuffled(draw_of(seed)), few_classes(draw_of(seed), 2), few_classes(draw_of(seed), 4)):
        assert not is_named(measured(numbers))
    assert measured(shuffled(draw_of(seed)))["kinds_together"] == pytest.approx(1, abs=0.05)


def test_steps_that_are_all_the_same_and_balanced_batches():
    counts_SC = torch.full((10, 4), 8)
    found = spread_measures(counts_SC, torch.arange(10))
    assert found == pytest.approx({"kinds_together": 1.0, "kinds_carried": 0.0}, abs=1e-3)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_classes_of_a_random_draw(size):
    """All ways to draw so many of the samples, counted one by one."""
    labels = torch.arange(7 * size) % 4
    labels_SN = labels[torch.randperm(len(labels), generator=draw_of(size))].clamp(max=2).reshape(7, size)
    draws = [len(set(draw)) for draw in combinations(labels_SN.reshape(-1).tolist(), size)][:: 1 if size < 5 else 37]
    own = sum(len(set(step)) for step in labels_SN.tolist())
    found = spread_measures(nn.functional.one_hot(labels_SN, 3).sum(dim=1), torch.arange(7))
    exact = 1e-4 if size < 5 else 2e-2
    assert found["kinds_together"] == pytest.approx(own / 7 / (sum(draws) / len(draws)), rel=exact)


def rows_of(labels_SN, loss_fn, outputs):
    rows = []
    for step, labels_N in enumerate(labels_SN, start=1):
        given = torch.randn(len(labels_N), *outputs, generator=draw_of(step), requires_grad=True)
        loss_fn(given, labels_N).backward()
        rows.append(Rows(None, given.detach(), 1.0, given.grad, step))
    return rows


def test_classes_are_read_from_the_gradient():
    labels_SN = torch.arange(4).repeat_interleave(24).reshape(12, 8)
    found = order_measures(cross_entropy, rows_of(labels_SN, cross_entropy, (4,)), Batch(None, labels_SN[:, 0]))
    counts_SC = nn.functional.one_hot(labels_SN, 4).sum(dim=1)
    assert found == spread_measures(counts_SC, torch.arange(1, 13))
    yes_SN = (labels_SN > 1).float()[:, :, None]
    rows = rows_of(yes_SN, binary_cross_entropy_with_logits, (1,))
    found = order_measures(binary_cross_entropy_with_logits, rows, Batch(None, yes_SN[0]))
    assert 0.5 < found["kinds_together"] < 0.7


def test_numbers_few_steps_and_no_rows_tell_nothing():
    numbers_SN = torch.rand(12, 8, 1, generator=draw_of(0))
    assert order_measures(mse_loss, rows_of(numbers_SN, mse_loss, (1,)), Batch(None, numbers_SN[0])) == {}
    labels_SN = torch.arange(4).repeat_interleave(8).reshape(4, 8)
    assert order_measures(cross_entropy, rows_of(labels_SN, cross_entropy, (4,)), Batch(None, labels_SN[:, 0])) == {}
    assert order_measures(cross_entropy, [], Batch(None, labels_SN[0])) == {}
    assert order_measures(cross_entropy, [], Batch(None, None)) == {}
    one = torch.zeros(12, 8, dtype=torch.long)
    assert order_measures(cross_entropy, rows_of(one, cross_entropy, (4,)), Batch(None, one[0])) == {
        "one_kind_seen": 1.0
    }


@pytest.mark.parametrize("in_order", [True, False])
def test_the_program_is_told_to_shuffle(in_order):
    torch.manual_seed(0)
    labels = torch.arange(6).repeat_interleave(96)
    inputs = torch.randn(6, 4)[labels] + torch.randn(len(labels), 4)
    model = nn.Linear(4, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    numbers = through_buffer(40, draw_of(0)) % len(labels) if in_order else torch.randint(len(labels), (3200,))
    steps = numbers[:3200].split(32)
    with thalweg.watch(model, optimizer) as watch:
        train_watched(watch, model, optimizer, inputs, labels, cross_entropy, steps)
    rows = steps[-1]
    verdict = watch.diagnose(batch=(inputs[rows], labels[rows]), loss_fn=cross_entropy, seconds=0.2)
    assert (verdict.code == "not_shuffled") == in_order
    if in_order:
        assert verdict.measures["targets_kinds"] > 1
        assert verdict.fixes[0].code == "shuffle"
        assert "step before" in str(verdict)


SORTED = torch.linspace(-2, 2, 12 * 16)[:, None]  # of a table that is sorted by its target
EPOCHS = torch.arange(12).repeat(2)  # batches, each of which comes twice


def rows_of_numbers(targets_K, batches, *, told=0.0):
    """Rows of the batches of a table; `told`: by how much the target of a sample rises with each step."""
    rows = []
    for step, batch in enumerate(batches.tolist(), start=1):
        places = torch.arange(16) + 16 * batch
        given = torch.randn(16, *targets_K.shape[1:], generator=draw_of(step), requires_grad=True)
        mse_loss(given, targets_K[places] + told * step).backward()
        rows.append(Rows((places[:, None].float(),), given.detach(), 1.0, given.grad, step))
    return rows


def test_numbers_in_order_are_told_from_numbers_in_random_order():
    batch = Batch(None, SORTED[::12])
    found = order_measures(mse_loss, rows_of_numbers(SORTED, EPOCHS), batch)
    assert found["quantiles_together"] < 0.3
    assert found["quantiles_carried"] > 4
    mixed = SORTED[torch.randperm(len(SORTED), generator=draw_of(1))]
    found = order_measures(mse_loss, rows_of_numbers(mixed, EPOCHS), batch)
    assert found["quantiles_together"] == pytest.approx(1, abs=0.1)
    blocks = torch.cat([torch.randperm(12, generator=draw_of(seed)) for seed in (2, 3)])
    found = order_measures(mse_loss, rows_of_numbers(SORTED, blocks), batch)
    assert found["quantiles_together"] < 0.3
    assert found["quantiles_carried"] < 2.5


def test_numbers_of_a_narrow_batch_and_of_several_columns():
    narrow = Batch(None, SORTED[-16:])
    found = order_measures(mse_loss, rows_of_numbers(SORTED, EPOCHS), narrow)
    assert found["quantiles_carried"] > 4
    mixed = SORTED[torch.randperm(len(SORTED), generator=draw_of(1))]
    columns = torch.cat([mixed, SORTED, torch.zeros_like(SORTED)], dim=1)
    several = order_measures(mse_loss, rows_of_numbers(columns, EPOCHS), Batch(None, columns[::12]))
    assert several == pytest.approx(found, rel=0.05)
    flat = order_measures(mse_loss, rows_of_numbers(SORTED[:, 0], EPOCHS), Batch(None, SORTED[-16:, 0]))
    assert flat == pytest.approx(found, rel=0.05)


def test_targets_that_rise_with_the_steps_and_samples_that_come_once_are_not_asked():
    assert order_measures(mse_loss, rows_of_numbers(SORTED, EPOCHS, told=0.1), Batch(None, SORTED[::12])) == {}
    assert order_measures(mse_loss, rows_of_numbers(SORTED, EPOCHS[:12]), Batch(None, SORTED[::12])) == {}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_what_is_forgotten_is_the_loss_above_that_of_the_last_steps(reduction):
    model, kept = nn.Linear(1, 1), Batch(SORTED, SORTED)
    nn.init.zeros_(model.weight)
    nn.init.constant_(model.bias, 2.0)

    def loss_fn(outputs, targets):
        return mse_loss(outputs, targets, reduction=reduction)

    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    variance = float(SORTED.var(correction=0))
    last = 0.1 if reduction == "mean" else 0.1 * 16
    found = forgotten_measures(copied, kept, last, 16)["forgotten"]
    assert found == pytest.approx((variance + 4 - 0.1) / variance, rel=1e-3)
    assert forgotten_measures(copied, kept, float("nan"), 16) == {}
    assert forgotten_measures(copied, None, last, 16) == {}
    assert forgotten_measures(copied, Batch(SORTED, torch.zeros(192, 20)), last, 16) == {}


def test_numbers_in_order_that_are_still_known_are_no_fault():
    found = {"quantiles_together": 0.2, "quantiles_carried": 3.7, "forgotten": 2.0}
    assert is_named(found)
    assert is_named(found | {"learns": 1.0})
    for other in ({"forgotten": 0.1}, {"quantiles_carried": 1.5}, {"quantiles_together": 0.8}):
        assert not is_named(found | other)


@pytest.mark.parametrize("in_order", [True, False])
def test_a_table_that_is_sorted_by_its_target(in_order):
    torch.manual_seed(0)
    inputs = torch.randn(640, 4)
    targets = inputs.sum(dim=1, keepdim=True) + inputs[:, :1] * inputs[:, 1:2]
    order = targets[:, 0].argsort()
    inputs, targets = inputs[order], targets[order] / 2
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    steps = torch.cat([torch.arange(640) if in_order else torch.randperm(640) for _ in range(10)]).split(16)
    with thalweg.watch(model, optimizer) as watch:
        train_watched(watch, model, optimizer, inputs, targets, mse_loss, steps)
    rows = steps[-1]
    verdict = watch.diagnose(batch=(inputs[rows], targets[rows]), loss_fn=mse_loss, seconds=0.2)
    assert (verdict.code == "not_shuffled") == in_order
    if in_order:
        assert "order of their targets" in " ".join(str(verdict).split())

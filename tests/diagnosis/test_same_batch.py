"""Every step has the same samples: seen by the inputs' mark, and told by the program's line or by another batch."""

import weakref

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.repeated import redrawn_measures
from thalweg.probes.batches import Batch
from thalweg.probes.kept import Rows
from thalweg.probes.marks import mark_of


STEPS = 80


def data():
    generator = torch.Generator().manual_seed(0)
    inputs_NF = torch.randn(200, 6, generator=generator)
    return inputs_NF, (inputs_NF[:, 0] > 0).long()


def parts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 2))
    return model, torch.optim.Adam(model.parameters(), lr=1e-2)


def test_a_loader_that_begins_anew_in_every_step():
    inputs_NF, labels_N = data()
    model, optimizer = parts()
    loader = DataLoader(TensorDataset(inputs_NF, labels_N), batch_size=20)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(STEPS):
            x, y = next(iter(loader))
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=next(iter(loader)), loss_fn=cross_entropy, seconds=2)
    assert verdict.code == "same_batch"
    assert "next(batches)" in str(verdict)
    assert "batches = iter(loader)" in str(verdict)


def test_a_function_that_begins_the_loader_anew():
    inputs_NF, labels_N = data()
    model, optimizer = parts()
    loader = DataLoader(TensorDataset(inputs_NF, labels_N), batch_size=20)

    def get_batch():
        x, y = next(iter(loader))
        return x, y

    with thalweg.watch(model, optimizer) as watch:
        for _ in range(30):
            x, y = get_batch()
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    assert watch.measures()["batches_seen"] == 1
    verdict = watch.diagnose()
    assert verdict.code == "same_batch"
    assert "`batches = iter(loader)` before the loop" in str(verdict)


def test_a_batch_that_is_only_looked_at():
    """All of the data at once; a function of the loop opens a loader of others, and gives the loop a number."""
    inputs_NF, labels_N = data()
    model, optimizer = parts()
    loader = DataLoader(TensorDataset(inputs_NF, labels_N), batch_size=20)

    def looked_at():
        x, y = next(iter(loader))
        with torch.no_grad():
            return float(cross_entropy(model(x), y))

    with thalweg.watch(model, optimizer) as watch:
        for _ in range(30):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs_NF), labels_N)
            loss.backward()
            optimizer.step()
            watch.step(loss)
            looked_at()
    assert watch.measures()["batches_seen"] == 1
    assert watch.measures()["reopened"] == 0


def test_a_loader_at_hand_that_has_other_batches():
    inputs_NF, labels_N = data()
    model, optimizer = parts()
    loader = DataLoader(TensorDataset(inputs_NF, labels_N), batch_size=20)
    x, y = inputs_NF[:20], labels_N[:20]
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=loader, loss_fn=cross_entropy, seconds=2)
    assert verdict.code == "same_batch"
    assert verdict.measures["among_others"] == 1.0


def trained_on(batch_of, held, steps=STEPS):
    """A function that holds samples, and takes its batches from them."""
    model, optimizer = parts()
    with thalweg.watch(model, optimizer) as watch:
        for step in range(steps):
            x, y = batch_of(step)
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    assert held is not None
    return watch


@pytest.mark.parametrize("kind", [torch.Tensor.clone, lambda tensor: tensor.double().numpy()], ids=["tensor", "array"])
def test_a_function_that_has_many_more_samples(kind):
    inputs_NF, labels_N = data()
    rows = torch.arange(20, 40)
    taken = lambda _: (inputs_NF[rows], labels_N[rows])  # noqa: E731 - in each step, as a loop over the data does
    verdict = trained_on(taken, kind(inputs_NF)).diagnose()
    assert verdict.code == "same_batch"
    assert verdict.text.endswith("If a few were meant, all is well.")
    for held in (kind(inputs_NF[:60]), kind(inputs_NF + 1), kind(inputs_NF[:, :5])):  # few, others, of another shape
        assert trained_on(taken, held).measures()["at_hand"] == 0
    moving = trained_on(lambda step: (inputs_NF[step : step + 20], labels_N[step : step + 20]), kind(inputs_NF))
    assert "at_hand" not in moving.measures()


@pytest.mark.parametrize("shape", [lambda x: x, lambda x: x.to("cpu"), lambda x: x.requires_grad_(False)])
def test_a_few_samples_that_are_taken_once_are_meant(shape):
    inputs_NF, labels_N = data()
    x, y = inputs_NF[:20], labels_N[:20]
    assert trained_on(lambda _: (shape(x), y), inputs_NF).measures()["at_hand"] == 0
    few = inputs_NF[:20].clone()  # dropped between the steps
    assert trained_on(lambda _: (few.clone(), y), inputs_NF).measures()["at_hand"] == 1


def test_variables_that_were_looked_at_are_freed():
    inputs_NF, labels_N = data()
    model, optimizer = parts()
    made = []
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs_NF[:20]), labels_N[:20])
            loss.backward()
            optimizer.step()
            watch.step(loss)
            made.append(weakref.ref(loss))
    assert watch.measures()["at_hand"] == 1
    assert [one() is None for one in made] == [True] * (STEPS - 1) + [False]


def test_a_few_samples_on_purpose_may_look_the_same_so_that_it_is_not_exact():
    assert judge({"steps": 100.0, "batches_seen": 1.0, "at_hand": 1.0}).confidence < 0.99


@pytest.mark.parametrize(("size", "at_hand"), [(20, 1.0), (10, 0.0)])
def test_a_loader_of_such_batches_that_a_caller_has(size, at_hand):
    inputs_NF, labels_N = data()
    loader = DataLoader(TensorDataset(inputs_NF, labels_N), batch_size=size, shuffle=True)
    first = (inputs_NF[:20], labels_N[:20])
    before = torch.get_rng_state()
    assert trained_on(lambda _: first, "nothing", steps=40).measures()["at_hand"] == at_hand
    assert len(loader.dataset) == 200
    torch.set_rng_state(before)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_draw_that_is_seeded_in_every_step(fixed):
    inputs_NF, labels_N = data()
    model, optimizer = parts()
    generator = torch.Generator().manual_seed(5)

    def draw(step):
        generator.manual_seed(step)
        rows = torch.randint(0, 200, (20,), generator=generator)
        return inputs_NF[rows], labels_N[rows]

    def draw_alike():
        generator.manual_seed(42)
        rows = torch.randint(0, 200, (20,), generator=generator)
        return inputs_NF[rows], labels_N[rows]

    with thalweg.watch(model, optimizer) as watch:
        for step in range(STEPS):
            x, y = draw(step) if fixed else draw_alike()
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=draw(0), loss_fn=cross_entropy, seconds=2)
    assert (verdict.code == "same_batch") == (not fixed)
    assert fixed or "generator.manual_seed(42)` out of the loop" in str(verdict)


@pytest.mark.parametrize(
    ("trained_on", "given", "expected"),
    [
        (slice(0, 20), slice(20, 40), True),
        (slice(0, 20), slice(0, 20), False),  # nothing says that there are other samples
        (slice(0, 200), slice(100, 120), False),  # all of the data at once; the given batch is a part of it
    ],
)
def test_another_batch_tells(trained_on, given, expected):
    inputs_NF, _ = data()
    labels_N = torch.randint(0, 2, (len(inputs_NF),), generator=torch.Generator().manual_seed(1))
    model, optimizer = parts()
    x, y = inputs_NF[trained_on], labels_N[trained_on]
    batch = (inputs_NF[given], labels_N[given])
    del inputs_NF  # what the function holds tells, too
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=batch, loss_fn=cross_entropy, seconds=2)
    assert (verdict.code == "same_batch") == expected


def test_a_seed_before_the_loop_is_no_seed_in_it():
    """The loop calls `model.train()`, and stands in a function of that name."""

    def train():
        torch.manual_seed(0)
        rows = torch.randperm(200)
        x, y = data()[0][rows], data()[1][rows]
        model, optimizer = parts()
        with thalweg.watch(model, optimizer) as watch:
            for _ in range(STEPS):
                model.train()
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                watch.step(loss)
        return watch.measures()

    measures = train()
    assert measures["batches_seen"] == 1
    assert measures["reseeded"] == 0


def test_another_batch_tells_where_outputs_are_one_number_each():
    inputs_NF, labels_N = data()[0][:40], torch.arange(40) % 2
    rows = [Rows((inputs_NF[:20],), torch.zeros(20), 1.0)] * 10
    assert redrawn_measures(Batch(inputs_NF[20:], labels_N[20:]), rows) == {}


def test_a_mark_tells_batches_apart():
    inputs_NF, _ = data()
    marks = {float(mark_of(inputs_NF[at : at + 20])) for at in range(0, 180, 20)}
    assert len(marks) == 9
    assert mark_of({"ids": torch.arange(6).reshape(2, 3)}) == mark_of([torch.arange(6).reshape(2, 3)])
    assert mark_of("text") is None
    assert mark_of(torch.tensor(1.0)) is None


def four_kinds():
    inputs_NF = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    return inputs_NF, inputs_NF[:, :4].argmax(dim=1)


def redrawn(inputs_NF, labels_N, *, noise=0.0, outputs=4):
    """Ten batches of 16, drawn with replacement; `outputs` for each sample."""
    draw = torch.Generator().manual_seed(0)
    drawn = [torch.randint(len(labels_N), (16,), generator=draw) for _ in range(10)]
    labels_B = torch.where(torch.rand(16, generator=draw) < noise, 1 - labels_N[drawn[0]], labels_N[drawn[0]])
    rows = [Rows((inputs_NF[at_B],), torch.zeros(16, outputs), 1.0) for at_B in drawn]
    return redrawn_measures(Batch(inputs_NF[drawn[0]], labels_B), rows).get("redrawn")


def test_a_sampler_that_draws_a_few_samples_only():
    inputs_NF, labels_N = four_kinds()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    sampler = WeightedRandomSampler([0.5, 0.2], 640)  # of two classes
    loader = DataLoader(TensorDataset(inputs_NF, labels_N), batch_size=16, sampler=sampler)
    with thalweg.watch(model, optimizer) as watch:
        for x, y in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(x, y), loss_fn=cross_entropy, seconds=1)
    assert verdict.measures["redrawn"] == 8
    assert verdict.code == "same_batch"
    assert [fix.code for fix in verdict.fixes] == ["weigh_samples"]
    assert "targets_in_column" not in verdict.measures, "two samples show no leak"


def test_samples_that_come_again_on_purpose():
    inputs_NF, labels_N = four_kinds()
    assert redrawn(inputs_NF[:4], labels_N[:4]) == 4
    assert redrawn(inputs_NF, labels_N) is None
    assert redrawn(inputs_NF[:5], labels_N[:5], outputs=5) > 3
    assert redrawn(inputs_NF[:5], labels_N[:5], outputs=4) is None  # more samples than classes: all that there are
    bits_NF = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert redrawn(bits_NF, torch.tensor([0, 1, 1, 0])) is None
    assert redrawn(torch.eye(6), torch.arange(6) % 4) is None
    assert redrawn(inputs_NF[:4, :3], labels_N[:4]) is None  # as many samples as they have numbers, or more
    assert redrawn(inputs_NF[:4], labels_N[:4], noise=0.5) is None


def test_one_batch_that_is_learned_by_heart_while_others_are_not():
    found = {"steps": 250.0, "falling": 0.07, "left": 0.004, "batches_seen": 1.0, "batch_size": 64.0}
    found |= {"valid_gap": 0.99, "valid_last": 1.8, "valid_rise": 0.38, "loss_first": 2.3}
    verdict = judge(found)
    assert verdict.code == "same_batch"
    assert verdict.alternatives[0][0] == "overfitting"
    assert "overfitting" in str(verdict)
    assert judge(found | {"batch_size": 120.0}).code == "overfitting"  # all that there is
    assert judge(found | {"batches_seen": 9.0}).code == "overfitting"
    assert judge(found | {"valid_gap": 0.2}).code == "healthy"
    alone = {name: value for name, value in found.items() if not name.startswith("valid")}
    verdict = judge(alone)
    assert verdict.code == "same_batch"
    assert "by heart" in verdict.text
    assert judge(alone | {"left": 0.05}).code == "healthy"
    assert judge(alone | {"batch_size": 120.0}).code == "healthy"

"""What a watch keeps of its first steps: copies of a few samples, and the gradient at their outputs."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import thalweg
from thalweg.probes import kept
from thalweg.probes.kept import Kept, marks_of


def trained(model, feed, loss_fn=mse_loss, steps=24):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(steps):
            inputs, targets = feed(step)
            optimizer.zero_grad()
            loss = loss_fn(model(*inputs) if isinstance(inputs, tuple) else model(inputs), targets)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    assert not watch.problems
    return watch._probe.kept


def pairs(step, count=20):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(count, 3, generator=generator), torch.randn(count, 2, generator=generator)


def test_samples_of_the_steps_that_are_measured_in_full():
    held = trained(nn.Linear(3, 2), pairs)
    assert list(held.marks) == [*range(1, 11), 21]
    assert len(held.rows) == len(held.marks)
    for step, rows in zip(held.marks, held.rows, strict=True):
        inputs, targets = pairs(step - 1)
        assert torch.equal(rows.inputs[0], inputs)
        assert torch.allclose(rows.gradient, 2 * (rows.outputs - targets) / targets.numel())


def test_no_more_than_the_limits(monkeypatch):
    monkeypatch.setattr(kept, "MOST_ROWS", 30)
    held = trained(nn.Linear(3, 2), pairs)
    assert [len(rows.outputs) for rows in held.rows] == [20, 10]
    assert held.rows[0].share == 1
    assert held.rows[1].share == 0.5
    monkeypatch.setattr(kept, "MOST_ROWS", 1000)
    monkeypatch.setattr(kept, "MOST_BYTES", 7 * 4 * 25)
    held = trained(nn.Linear(3, 2), pairs)
    assert sum(len(rows.outputs) for rows in held.rows) == 25
    monkeypatch.setattr(kept, "MOST_MARKS", 40)
    assert list(trained(nn.Linear(3, 2), pairs).marks) == [1, 2]


def test_answers_after_the_last_inputs(monkeypatch):
    monkeypatch.setattr(kept, "MOST_ROWS", 50)
    held = trained(nn.Linear(3, 2), pairs)
    assert [len(rows.outputs) for rows in held.rows] == [20, 20, 10]
    assert [rows.step for rows in held.told] == list(held.marks)
    assert len(held.answers) == len(held.marks) - 3
    for rows in held.answers:
        assert rows.inputs is None
        assert torch.allclose(rows.gradient, 2 * (rows.outputs - pairs(rows.step - 1)[1]) / 40)
    monkeypatch.setattr(kept, "MOST_ANSWERS", 30)
    assert [len(rows.outputs) for rows in trained(nn.Linear(3, 2), pairs).answers] == [20, 10]
    monkeypatch.setattr(kept, "MOST_ANSWERS", 1000)
    monkeypatch.setattr(kept, "MOST_BYTES", 16 * 25)
    held = trained(nn.Linear(3, 2), pairs)
    assert sum(len(rows.outputs) for rows in held.answers) == 25


def test_no_answers_of_pictures_as_outputs(monkeypatch):
    monkeypatch.setattr(kept, "MOST_ROWS", 0)
    images = torch.randn(8, 1, 6, 6)
    held = trained(nn.Conv2d(1, 2, 3), lambda _step: (images, torch.zeros(8, 2, 4, 4)))
    assert held.told == []
    assert len(held.marks) == 11


def test_the_copies_do_not_follow_the_batch():
    buffer = torch.empty(20, 3)

    def feed(step):
        inputs, targets = pairs(step)
        return buffer.copy_(inputs), targets

    held = trained(nn.Linear(3, 2), feed)
    assert torch.equal(held.rows[0].inputs[0], pairs(0)[0])


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, one, other):
        return self.left(one) + self.right(other)


def test_several_inputs():
    held = trained(Two(), lambda step: ((pairs(step)[0], pairs(step + 9)[0]), pairs(step)[1]))
    assert len(held.rows[0].inputs) == 2


@pytest.mark.parametrize("kind", ["two passes", "no gradient"])
def test_what_has_no_row_for_each_sample_is_left_out(kind):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(12):
            inputs, targets = pairs(step)
            optimizer.zero_grad()
            outputs = model(inputs)
            if kind == "two passes":
                outputs = outputs + model(inputs)
            loss = mse_loss(outputs if kind != "no gradient" else outputs.detach() + model.bias, targets)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    assert not watch._probe.kept.rows


def test_a_broken_input_reaches_nobody():
    held = Kept()
    for inputs in ((), ("text",), (torch.tensor(1.0),), ({"a": torch.ones(2, 1), "b": torch.ones(3, 1)},)):
        held.enter(inputs)
        held.leave(torch.ones(2, requires_grad=True))
        held.leave(None)
        held.close(1)
    assert not held.rows
    assert not held.marks


def test_a_parameter_that_is_the_output_keeps_no_hook():
    class Picture(nn.Module):
        def __init__(self):
            super().__init__()
            self.picture = nn.Parameter(torch.zeros(1, 3))

        def forward(self, _noise):
            return self.picture

    model = Picture()
    assert not trained(model, lambda _step: (torch.ones(1, 2), torch.ones(1, 3))).rows
    assert not model.picture._backward_hooks


def test_marks_tell_rows_apart():
    rows = torch.randn(500, 40, generator=torch.Generator().manual_seed(0))
    assert len(set(marks_of(torch.cat([rows, rows])).tolist())) == 500
    words = torch.randint(50, (500, 12), generator=torch.Generator().manual_seed(0))
    assert len(set(marks_of(words).tolist())) == len(words.unique(dim=0))


def test_watching_changes_no_weight():
    ends = []
    for watched in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 4))
        optimizer = torch.optim.Adam(model.parameters())
        watch = thalweg.watch(model, optimizer)
        if watched:
            watch.__enter__()
        for _ in range(30):
            optimizer.zero_grad()
            loss = cross_entropy(model(torch.randn(16, 3)), torch.randint(4, (16,)))
            loss.backward()
            optimizer.step()
            watch.step(loss) if watched else None
        ends.append([one.clone() for one in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))

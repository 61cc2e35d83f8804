"""One adapter for every form of a batch: the same data are the same batch, and what cannot be read is named."""

from collections import UserDict
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import thalweg
from thalweg.errors import UsageError
from thalweg.probes.batches import Batch, read_batch, read_batches


class Named(NamedTuple):
    label: torch.Tensor
    image: torch.Tensor


class Two(nn.Module):
    def forward(self, left, right):
        return left + 2 * right


class Whole(nn.Module):
    """As models of transformers do: it takes the labels, too, and computes the loss."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, image, labels=None):
        return {"loss": cross_entropy(self.layer(image), labels)}


def data(size=64):
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(size, 8, generator=generator)
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()


def forms(x, y):
    return {
        "tuple": (x, y),
        "list": [x, y],
        "named tuple": Named(y, x),
        "dict": {"image": x, "label": y},
        "mapping": UserDict(y=y, x=x),
        "list of pairs": [(x, y)],
        "list of lists": [[x, y]],
        "generator": (pair for pair in [(x, y)]),
        "loader": DataLoader(TensorDataset(x, y), batch_size=len(x)),
    }


@pytest.fixture(scope="module")
def watched():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    x, y = data()
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch, watch.diagnose(batch=(x, y), loss_fn=cross_entropy)


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [form if form in {"list", "loader"} else pytest.param(form, marks=pytest.mark.slow) for form in forms(*data())],
)
def test_every_form_of_the_same_data_gets_the_same_verdict(watched, form):
    watch, expected = watched
    verdict = watch.diagnose(batch=forms(*data())[form], loss_fn=cross_entropy)
    assert expected.code == verdict.code == "lr_too_small"
    assert verdict.unchecked == expected.unchecked
    assert "batch" not in verdict.unchecked
    assert verdict.measures["loss_batch"] == expected.measures["loss_batch"]
    assert verdict.measures["largest_eigenvalue"] == pytest.approx(expected.measures["largest_eigenvalue"])


def test_a_batch_that_cannot_be_read_is_named(watched):
    watch, _ = watched
    for given in (object(), "text", [], 3):
        assert "batch_unreadable" in watch.diagnose(batch=given, loss_fn=cross_entropy).unchecked
    assert "no_loss_fn" in watch.diagnose(batch=data()).unchecked
    with pytest.raises(UsageError, match="pair"):
        read_batches("text", watch.model)


def test_inputs_of_several_arguments():
    x, y = data()
    expected = x + 2 * x
    for given in ((x, x, y), ((x, x), y), ({"left": x, "right": x}, y), {"right": x, "target": y, "left": x}):
        batch = read_batch(given, Two())
        assert torch.equal(batch.outputs(Two()), expected)
        assert batch.targets is y
        assert batch.size == len(x)


def test_a_model_that_takes_its_targets_gets_the_dict_whole():
    x, y = data()
    model, given = Whole(), {"image": x, "labels": y}
    batch = read_batch(given, model)
    assert set(batch.inputs) == set(batch.targets) == {"image", "labels"}
    assert batch.loss(model, lambda outputs, _: outputs["loss"]).ndim == 0


def test_lists_that_hold_batches_and_lists_that_are_one():
    x, y = data()
    model = nn.Linear(8, 3)
    several = [[(x, y)] * 3, ((x, y), (x, y)), [{"x": x, "y": y}] * 2, [x[:, None].unbind(1)] * 2, [Named(y, x)] * 2]
    assert [len(read_batches(given, model)) for given in several] == [3, 2, 2, 2, 2]
    one = [[x, y], [x], x, ({"x": x}, {"y": y}), Batch(x, y), [[x, x], y]]
    assert [len(read_batches(given, model)) for given in one] == [1] * 6
    assert len(read_batches([(x, y)] * 20, model, most=8)) == 8
    assert read_batches(None, model) == []


def test_a_loader_is_left_as_it_was():
    x, y = data()
    loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(1))
    again = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(1))
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        watch.step(1.0)
    watch.diagnose(batch=loader, loss_fn=cross_entropy)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(loader, again, strict=True))

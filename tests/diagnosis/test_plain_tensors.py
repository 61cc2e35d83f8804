"""Tensors that ask for a gradient and are no parameters are found wherever they are kept, unless trained by hand."""

import pytest
import torch
from torch import nn

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.graph import graph_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


ROWS = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
ELSEWHERE = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()


class Projected(nn.Module):
    """A layer with 15 parameters behind a weight of 24 values, which is made and read in a given way."""

    def __init__(self, make, read=lambda model, rows: rows @ model.weight):
        super().__init__()
        torch.manual_seed(0)
        self.out, self.read = nn.Linear(4, 3), read
        make(self)

    def forward(self, rows):
        return self.out(torch.tanh(self.read(self, rows)))


def held(value):
    return lambda model: setattr(model, "weight", value())


def trained(model, steps=3, extra=lambda _model: None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(ROWS).square().mean().backward()
        optimizer.step()
        extra(model)
    return model, optimizer


def measured(model, optimizer):
    copied = Copy.of(model, optimizer, nn.MSELoss())
    return graph_measures(copied, Batch(ROWS, torch.zeros(16, 3)), model, optimizer)["plain_tensors"]


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (held(lambda: nn.Parameter(torch.randn(6, 4).double()).float()), lambda m, x: x @ m.weight),
        (held(lambda: nn.Parameter(torch.randn(4, 6)).t()), lambda m, x: x @ m.weight),
        (held(lambda: [torch.randn(6, 4, requires_grad=True)]), lambda m, x: x @ m.weight[0]),
        (held(lambda: {"first": nn.Parameter(torch.randn(6, 4)).clone()}), lambda m, x: x @ m.weight["first"]),
        (lambda m: m.register_buffer("weight", nn.Parameter(torch.randn(4, 6)).t()), lambda m, x: x @ m.weight),
        (held(lambda: None), lambda _, x: x @ ELSEWHERE),
    ],
    ids=[
        "converted",
        "transposed",
        "a plain tensor in a list",
        "a clone in a dict",
        "a buffer",
        "a weight of the program",
    ],
)
def test_what_asks_for_a_gradient_and_is_no_parameter(make, read):
    model, optimizer = trained(Projected(make, read))
    assert measured(model, optimizer) == pytest.approx(24 / 39)


def by_hand(model):
    with torch.no_grad():
        model.weight -= 0.1 * model.weight.grad
    model.weight.grad = None


def through_data(model):
    model.weight.data -= 0.1 * model.weight.grad
    model.weight.grad.zero_()


def of_its_own_optimizer(model):
    if not hasattr(model, "second"):
        model.second = torch.optim.Adam([model.weight], lr=0.1)
    model.second.step()
    model.second.zero_grad(set_to_none=False)


@pytest.mark.parametrize("train", [by_hand, through_data, of_its_own_optimizer])
def test_a_tensor_that_the_program_trains(train):
    model = Projected(held(lambda: torch.randn(6, 4, requires_grad=True)))
    assert measured(*trained(model, steps=12, extra=train)) == 0.0


def tied(model):
    model.table = nn.Parameter(torch.randn(4, 6))
    model.weight = model.table.t()


def read_with_derivatives(model, rows):
    """As a physics network reads its coordinates."""
    model.rows = rows.detach().requires_grad_()
    return model.rows @ model.weight


def read_with_what_was_before(model, rows):
    """The states of the last pass stay in the model, with their graph."""
    model.state = rows @ model.weight + 0.1 * getattr(model, "state", torch.zeros(16, 4)).detach()
    return model.state


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (held(lambda: nn.Parameter(torch.randn(6, 4))), lambda m, x: x @ m.weight),
        (held(lambda: torch.randn(6, 4)), lambda m, x: x @ m.weight),
        (tied, lambda m, x: x @ m.weight),
        (held(lambda: nn.Parameter(torch.randn(6, 4))), read_with_derivatives),
        (held(lambda: nn.Parameter(torch.randn(6, 4))), read_with_what_was_before),
        (lambda m: setattr(m, "norm", torch.nn.utils.weight_norm(nn.Linear(6, 4))), lambda m, x: m.norm(x)),
    ],
    ids=["a parameter", "fixed", "tied to a parameter", "derivatives", "a state", "a weight made in each pass"],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_other_tensors_that_modules_hold(make, read):
    model, optimizer = trained(Projected(make, read))
    assert measured(model, optimizer) == 0.0


class Converted(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4).double()).float()
        self.out = nn.Linear(4, 3)

    def forward(self, rows):
        return self.out(torch.tanh(rows @ self.weight))


def test_a_watched_training_names_the_line():
    model, labels = Converted(), torch.arange(16) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(40):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(ROWS), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    kept = model.weight
    verdict = watch.diagnose(batch=(ROWS, labels), loss_fn=nn.functional.cross_entropy, seconds=0.05)
    assert model.weight is kept
    assert verdict.code == "untrained_parameters"
    assert verdict.fixes[0].code == "make_parameter"
    assert verdict.fixes[0].line.startswith("test_plain_tensors.py:")
    assert verdict.fixes[0].line.endswith(
        "write `self.weight = nn.Parameter(nn.Parameter(torch.randn(6, 4).double()).float())`."
    )
    assert all(fix.code != "make_parameter" for fix in judge({"steps": 40.0, "missing": 1.0}).fixes)

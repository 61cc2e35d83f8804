"""Schedule-free AdamW against its formula written out, with x kept; and what it is worth, at x."""

import math

import pytest
import torch
from torch import nn

from thalweg.errors import UnknownNameError
from thalweg.runs import TrainingConfig
from thalweg.training import train
from thalweg.training.optimizers import build_optimizer
from thalweg.training.schedule_free import ScheduleFree
from thalweg.training.weight_averaging import estimate_norms


def literal(gradient, start, rates, beta1, beta2, decay):
    """The formula in the source, one number at a time."""
    z = x = y = start
    second = weights = 0.0
    for step, rate in enumerate(rates, start=1):
        g = gradient(y)
        second = beta2 * second + (1 - beta2) * g * g
        z -= rate * g / (math.sqrt(second / (1 - beta2**step)) + 1e-8) + rate * decay * y
        weights += rate * rate
        x += rate * rate / weights * (z - x)
        y = (1 - beta1) * z + beta1 * x
    return x, y


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("rates", [[0.1] * 50, [0.01 * min(step, 10) for step in range(1, 60)]])
def test_it_walks_as_the_formula_does(decay, rates):
    def gradient(y):
        return math.sin(3 * y) + 0.5 * y

    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = ScheduleFree([weight], betas=(0.8, 0.95), weight_decay=decay)
    for rate in rates:
        weight.grad = torch.tensor([gradient(weight.item())], dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    x, y = literal(gradient, 2.0, rates, 0.8, 0.95, decay)
    assert weight.item() == pytest.approx(y, rel=1e-10)
    for _ in range(2):  # twice is once
        optimizer.eval()
        assert weight.item() == pytest.approx(x, rel=1e-10)
    optimizer.train()
    assert weight.item() == pytest.approx(y, rel=1e-10)


def test_the_average_is_calm_where_the_iterate_is_not():
    random = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.full((200,), 3.0))
    optimizer = ScheduleFree([weight], lr=0.1)
    for _ in range(1000):
        weight.grad = weight.detach() + 3 * torch.randn(200, generator=random)
        optimizer.step()
    optimizer.eval()
    assert weight.norm().item() < 0.5 * optimizer.state[weight]["z"].norm().item()


def test_statistics_are_those_of_the_batches_and_the_rest_stays():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4, momentum=0.3)).train()
    batches = [torch.randn(50, 3) for _ in range(4)]
    estimate_norms(model, batches)
    outputs = [model[0](batch) for batch in batches]
    torch.testing.assert_close(model[2].running_mean, torch.stack([o.mean(dim=0) for o in outputs]).mean(dim=0))
    torch.testing.assert_close(model[2].running_var, torch.stack([o.var(dim=0) for o in outputs]).mean(dim=0))
    assert model[2].momentum == 0.3
    assert all(module.training for module in model.modules())


@pytest.mark.slow
def test_a_training_is_evaluated_and_kept_at_the_average(striped, tmp_path):
    config = TrainingConfig(
        model="resnet-small",
        size=32,
        epochs=6,
        batch_size=16,
        optimizer="schedule-free",
        lr=0.005,
        schedule="warmup(5%)",
        augment="none",
        precision="fp32",
        layout="channels-last",
    )
    run = train(striped, config, tmp_path / "run")
    # What predicts is what was evaluated, and it has learned: three classes, a third by chance.
    assert run.summary()["valid"]["loss"] == pytest.approx(run.epochs()["valid_loss"][-1], rel=1e-4)
    assert run.summary()["valid"]["accuracy"] > 0.6


def test_those_of_the_library_by_name():
    pytest.importorskip("pytorch_optimizer")
    model = nn.Linear(2, 2)
    assert type(build_optimizer(model, TrainingConfig(optimizer="pytorch_optimizer:lion"))).__name__ == "Lion"
    with pytest.raises(UnknownNameError, match="lion"):
        build_optimizer(model, TrainingConfig(optimizer="pytorch_optimizer:loin"))

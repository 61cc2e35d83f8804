"""Every optimizer by its name: it steps, it comes back from a checkpoint, and its decay spares what it should."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from made import SMALL as CONFIG
from thalweg import models
from thalweg.runs import checkpoint
from thalweg.training.optimizers import EXTRA, build_optimizer, optimizer_names


def test_optimizer_state_goes_to_the_device_of_its_parameter():
    """As on a GPU: the fused optimizer's step count is on the device, others keep it on the CPU."""
    for fused, device in ((True, "meta"), (False, "cpu")):
        weight = torch.nn.Parameter(torch.zeros(3, 2, device="meta"))
        optimizer = torch.optim.Adam([weight])
        optimizer.param_groups[0]["fused"] = fused
        tensors = {"optimizer.0.step": torch.tensor(3.0), "optimizer.0.exp_avg": torch.zeros(3, 2)}
        checkpoint.load_optimizer(optimizer, tensors, {}, Path("file"))
        assert optimizer.state[weight]["step"].device.type == device
        assert optimizer.state[weight]["exp_avg"].device.type == "meta"


OTHERS = [f"{EXTRA}{name}" for name in ("adabelief", "prodigy", "soap", "shampoo", "aggmo", "avagrad")]


@pytest.mark.parametrize("name", [*sorted(optimizer_names()), *OTHERS])
def test_every_optimizer_takes_a_step_and_comes_back_from_a_checkpoint(name, tmp_path):
    if name in OTHERS:
        pytest.importorskip("pytorch_optimizer")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    twin = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    config = replace(CONFIG, optimizer=name, lr=0.01)
    optimizer, other = build_optimizer(model, config), build_optimizer(twin, config)

    def step(model, optimizer):
        torch.manual_seed(1)
        model(torch.randn(2, 3, 4, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step(model, optimizer)
    tensors, numbers = checkpoint.optimizer_tensors(optimizer)
    checkpoint.save(tmp_path / "file", checkpoint.model_tensors(model) | tensors, {"optimizer": numbers})
    loaded, facts = checkpoint.load(tmp_path / "file")
    checkpoint.load_model(twin, loaded)
    checkpoint.load_optimizer(other, loaded, facts["optimizer"], tmp_path / "file")
    step(model, optimizer)
    step(twin, other)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_decoupled_decay_spares_biases_and_norms():
    model = models.build("resnet18-half", classes=3, size=32)
    groups = build_optimizer(model, CONFIG).param_groups
    assert {parameter.ndim > 1 for parameter in groups[0]["params"]} == {True}
    assert groups[1]["weight_decay"] == 0
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))

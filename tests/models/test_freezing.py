"""Stages of a network, and what stays as it is while the rest trains."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from made import SMALL
from thalweg import models
from thalweg.errors import UsageError
from thalweg.rate.evaluation import CopyInTraining, Setting
from thalweg.training.optimizers import build_optimizer, optimizer_over, set_rate, stage_scales


def built(name="resnet-small"):
    torch.manual_seed(0)
    return models.build(name, classes=3, size=32)


@pytest.mark.parametrize(("name", "count"), [("resnet-small", 4), ("cnn", 7), ("resnet18-half", 6)])
def test_stages_cover_every_parameter_once_and_end_at_the_classifier(name, count):
    model = built(name)
    stages = models.stages(model)
    assert [name for names in stages for name in names] == [name for name, _ in model.named_parameters()]
    assert len(stages) == count
    assert stages[-1] == ["classifier.weight", "classifier.bias"]


class Foreign(nn.Module):
    """Blocks between a stem and a last norm, as in networks of timm."""

    def __init__(self, **parts):
        super().__init__()
        self.conv_stem = nn.Conv2d(3, 4, 1)
        self.bn1 = nn.BatchNorm2d(4)
        for name, part in parts.items():
            self.add_module(name, part)
        self.conv_head, self.bn2, self.fc = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2)
        self.taps = {"mid": self.bn1, "top": self.fc}


def test_a_foreign_network_has_its_blocks_for_stages():
    one = Foreign(blocks=nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(3))))
    several = Foreign(layer1=nn.Sequential(nn.Conv2d(4, 4, 1)), layer2=nn.Sequential(nn.Conv2d(4, 4, 1)))
    for model, count in ((one, 6), (several, 5)):
        firsts = [names[0] for names in models.stages(model)]
        assert len(firsts) == count
        assert (firsts[0], firsts[-2], firsts[-1]) == ("conv_stem.weight", "conv_head.weight", "fc.weight")


def state_after_training(model):
    """Weights and statistics after some steps, on a copy that was set to training mode and to evaluation in between."""
    twin = copy.deepcopy(model).eval().train()
    optimizer = build_optimizer(twin, replace(SMALL, lr=0.01))
    for _ in range(3):
        twin(torch.randn(8, 3, 32, 32)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return twin.state_dict()


@pytest.mark.parametrize(("leading", "kept"), [("1", 1), ("all", 3)])
def test_a_frozen_stage_keeps_weights_and_statistics_and_the_rest_trains(leading, kept):
    model = built()
    models.freeze(model, leading)
    before, after = model.state_dict(), state_after_training(model)
    for name, tensor in before.items():
        is_kept = any(name.startswith(f"stages.{stage}.") for stage in range(kept))
        assert torch.equal(tensor, after[name]) == is_kept, name


def test_frozen_norms_keep_their_statistics_and_train_their_gains():
    model = built()
    models.freeze(model, None, "frozen")
    before, after = model.state_dict(), state_after_training(model)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) == ("running" in name or "tracked" in name), name


def test_gradients_of_a_frozen_prefix_are_not_computed():
    """Nothing before the first stage that trains is kept for the backward pass."""
    model = built()
    models.freeze(model, "2")
    maps = []
    model.stages[1].register_forward_hook(lambda *arguments: maps.append(arguments[-1].requires_grad))
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert maps == [False]


def test_more_stages_than_there_are_is_refused():
    with pytest.raises(UsageError, match="3 stages"):
        models.freeze(built(), "4")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rprop", "schedule-free"])
def test_the_rate_falls_from_the_classifier_to_the_photo(optimizer):
    model = built()
    models.freeze(model, "1")
    config = replace(SMALL, optimizer=optimizer, layer_decay=0.5, lr=0.1)
    built_optimizer = build_optimizer(model, config)
    set_rate(built_optimizer, 0.2)
    rate_of = {id(p): group["lr"] for group in built_optimizer.param_groups for p in group["params"]}
    rates = [{rate_of.get(id(model.get_parameter(name))) for name in names} for names in models.stages(model)]
    assert rates == [{None}, {0.05}, {0.1}, {0.2}]
    decays = {group["weight_decay"] for group in built_optimizer.param_groups if "weight_decay" in group}
    assert decays in ({0.0}, {0.0, 0.05}, set())


def test_without_the_fields_the_groups_are_those_of_before():
    groups = build_optimizer(built(), SMALL).param_groups
    assert [sorted(group["weight_decay"] for group in groups)] == [[0.0, 0.05]]
    assert all("scale" not in group for group in groups)


def test_the_search_for_a_rate_keeps_the_ratios():
    model = built()
    config = replace(SMALL, layer_decay=0.5)
    scales = stage_scales(model, config)
    setting = Setting(model, lambda parameters: optimizer_over(parameters, config, scales=scales), None)
    setting = replace(setting, loss_fn=nn.functional.cross_entropy)
    trained = CopyInTraining(setting)
    trained.step((torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])), 0.8)
    rates = [group["lr"] for group in trained._optimizer.param_groups]
    assert sorted(set(rates), reverse=True) == [0.8, 0.4, 0.2, 0.1]


def test_muon_leaves_out_what_is_frozen():
    model = built()
    models.freeze(model, "2")
    optimizer = build_optimizer(model, replace(SMALL, optimizer="muon"))
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    with pytest.raises(UsageError, match="layer-decay"):
        replace(SMALL, optimizer="muon", layer_decay=0.5)

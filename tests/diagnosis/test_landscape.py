"""Landscapes against a twin that sets the weights and evaluates; the plane of a way against linear algebra."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.landscape import landscape_of, landscape_of_run
from thalweg.diagnosis.landscape.directions import principal_plane, random_directions
from thalweg.diagnosis.landscape.grid import Plane
from thalweg.diagnosis.landscape.landscape import chosen_grid
from thalweg.errors import RunError, UsageError
from thalweg.runs import Run, checkpoint
from thalweg.training import recipe, train
from thalweg.training.progress import Listener


class Branches(nn.Module):
    """Two layers see the data, one of them twice; a third has a weight that is also another's."""

    def __init__(self):
        super().__init__()
        self.once, self.twice, self.tied = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(6, 6)
        self.other = nn.Linear(6, 6)
        self.other.weight = self.tied.weight
        self.head = nn.Linear(4, 3)

    def forward(self, inputs_ND):
        more_ND = self.other(torch.tanh(self.tied(inputs_ND)))
        return self.head(torch.relu(self.once(inputs_ND)) + self.twice(inputs_ND) * self.twice(more_ND))


MODELS = {
    "perceptron": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), (2, 3)),
    "convolutional": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 3),
        ),
        (1, 5, 5),
    ),
    "branches": (Branches, (6,)),
    "one layer": (lambda: nn.Linear(6, 3), (6,)),
}


def build(name, count=20):
    torch.manual_seed(3)
    make, shape = MODELS[name]
    model = make().double()
    inputs, targets = torch.randn(count, *shape, dtype=torch.float64), torch.randint(0, 3, (count,))
    model(inputs)  # running statistics that are not the initial ones
    return model, inputs, targets


def by_setting_weights(model, directions, a_W, b_H, inputs, targets):
    """The twin."""
    origin = copy.deepcopy(model).eval()
    losses_HW = np.zeros((len(b_H), len(a_W)))
    for row, b in enumerate(b_H):
        for column, a in enumerate(a_W):
            moved = copy.deepcopy(origin)
            with torch.no_grad():
                for name, parameter in moved.named_parameters():
                    parameter.add_(a * directions[0][name] + b * directions[1][name])
                losses_HW[row, column] = cross_entropy(moved(inputs), targets)
    return losses_HW


@pytest.mark.parametrize("name", MODELS)
def test_every_point_is_the_loss_with_those_weights(name):
    model, inputs, targets = build(name)
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    found = landscape_of(model, cross_entropy, inputs, targets, points=5, span=0.7, seed=4)
    expected_HW = by_setting_weights(model, random_directions(model, 4), found.a_W, found.b_H, inputs, targets)
    np.testing.assert_allclose(found.loss_HW, expected_HW, rtol=1e-10)
    assert found.loss == pytest.approx(expected_HW[2, 2])
    assert found.a_W.tolist() == pytest.approx([-0.7, -0.35, 0, 0.35, 0.7])
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_pre_hooks or "forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("name", MODELS)
def test_any_directions_and_unequal_batches(name):
    """Biases move, too, as they do along a training's way."""
    model, inputs, targets = build(name)
    random = torch.Generator().manual_seed(9)
    directions = tuple(
        {n: torch.randn(p.shape, generator=random, dtype=torch.float64) for n, p in model.named_parameters()}
        for _ in range(2)
    )
    batches = list(zip(inputs.split(8), targets.split(8), strict=True))
    a_W, b_H = [-0.4, 0.1, 0.3], [0.2, -0.5]
    plane = Plane(model, directions, cross_entropy, batches)
    expected_HW = by_setting_weights(model, directions, a_W, b_H, inputs, targets)
    np.testing.assert_allclose(plane.losses(a_W, b_H), expected_HW, rtol=1e-10)
    other = {key: value + 0.1 for key, value in model.state_dict().items()}
    moved = copy.deepcopy(model).eval()
    moved.load_state_dict(other)
    assert plane.loss_at(other) == pytest.approx(cross_entropy(moved(inputs), targets).item())
    np.testing.assert_allclose(plane.losses(a_W, b_H), expected_HW, rtol=1e-10)


@pytest.mark.parametrize(("name", "layers"), [("perceptron", {"1"}), ("convolutional", {"0"}), ("branches", {"once"})])
def test_only_a_layer_that_sees_the_data_once_is_known_beforehand(name, layers):
    model, inputs, targets = build(name)
    plane = Plane(model, random_directions(model, 0), cross_entropy, [(inputs, targets)])
    assert {path.split(".")[0] for path in plane._known.names} == layers


def test_filters_of_a_direction_are_as_long_as_the_models():
    model, _, _ = build("convolutional")
    first, second = random_directions(model, 0)
    for name, parameter in model.named_parameters():
        for direction in (first, second):
            length = direction[name].flatten(1).norm(dim=1) if parameter.ndim > 1 else direction[name]
            expected = parameter.flatten(1).norm(dim=1) if parameter.ndim > 1 else torch.zeros_like(parameter)
            torch.testing.assert_close(length, expected.detach())
    assert not torch.equal(first["0.weight"], second["0.weight"])
    again, _ = random_directions(model, 0)
    assert torch.equal(first["0.weight"], again["0.weight"])


def test_the_plane_of_a_way_is_its_best_by_singular_values():
    random = torch.Generator().manual_seed(0)
    steps = torch.randn(9, 40, generator=random).cumsum(dim=0)
    way = [{"a": step[:30].view(5, 6), "b": step[30:]} for step in steps]
    found = principal_plane(way)
    differences = (steps - steps[-1]).double().numpy()
    singular = np.linalg.svd(differences, compute_uv=False)
    assert found.outside == pytest.approx(1 - (singular[:2] ** 2).sum() / (singular**2).sum(), abs=1e-6)
    first, second = (torch.cat([d["a"].flatten(), d["b"]]).double().numpy() for d in found.directions)
    assert first @ first == pytest.approx(1, abs=1e-5)
    assert second @ second == pytest.approx(1, abs=1e-5)
    assert first @ second == pytest.approx(0, abs=1e-5)
    projected = np.outer(found.a_K, first) + np.outer(found.b_K, second)
    left = np.linalg.norm(differences - projected, axis=1)
    distance = np.linalg.norm(differences, axis=1)
    np.testing.assert_allclose(found.outside_K[:-1], (left / np.where(distance, distance, 1))[:-1], rtol=1e-4)
    assert (found.a_K[-1], found.b_K[-1], found.outside_K[-1]) == (0, 0, 0)


def test_what_cannot_be_meant_is_said():
    model, inputs, targets = build("perceptron")
    for points in (2, 40, 9999):
        with pytest.raises(UsageError, match="odd"):
            landscape_of(model, cross_entropy, inputs, targets, points=points)
    with pytest.raises(UsageError, match="span"):
        landscape_of(model, cross_entropy, inputs, targets, span=0.0)
    with pytest.raises(UsageError, match="as many targets"):
        landscape_of(model, cross_entropy, inputs, targets[:3])


@pytest.fixture
def run(kept_run):
    return kept_run


def test_a_run_keeps_its_epochs(run):
    assert Run.open(run.path).saved_epochs() == [0, 1, 2, 3]
    last, _ = checkpoint.load(run.last)
    kept, facts = checkpoint.load(run.checkpoint(3))
    assert facts["epoch"] == 3
    assert all(torch.equal(last[name], tensor) for name, tensor in kept.items())


def test_the_landscape_of_a_run_stands_on_its_validation_loss(run):
    found = landscape_of_run(run.path, points=3, photos=10_000)
    assert found.examples == run.data["valid"]
    assert found.loss == pytest.approx(run.summary()["valid"]["loss"], rel=1e-4)


def test_the_landscape_of_a_fold_is_over_the_photos_of_the_fold(striped, tmp_path):
    config = replace(recipe("quick"), folds=3, fold=1, epochs=1, size=16, precision="fp32", layout="channels-last")
    fold = train(striped, config, tmp_path / "fold")
    found = landscape_of_run(str(fold.path), points=3, photos=10_000)
    assert found.examples == fold.data["valid"]
    assert found.loss == pytest.approx(fold.summary()["valid"]["loss"], rel=1e-4)


@pytest.mark.slow
def test_the_plane_of_a_runs_way_states_what_it_leaves_out(run):
    found = landscape_of_run(run.path, plane="trajectory", points=5, photos=10_000)
    way = found.trajectory
    assert way.epochs_K.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(way.loss_K[1:], run.epochs()["valid_loss"], rtol=1e-4)
    assert way.plane_loss_K[-1] == pytest.approx(way.loss_K[-1], rel=1e-5)
    assert found.loss == pytest.approx(way.loss_K[-1], rel=1e-5)
    assert 0 <= way.outside < 1
    assert found.a_W[0] < way.a_K.min() <= way.a_K.max() < found.a_W[-1]
    end = found.loss_HW[found.b_H.tolist().index(0.0), found.a_W.tolist().index(0.0)]
    assert end == pytest.approx(run.epochs()["valid_loss"][-1], rel=1e-4)
    trained = [name for name, _ in run.load_network(3).named_parameters()]
    weights = [torch.cat([run.load_weights(epoch)[name].flatten() for name in trained]) for epoch in range(4)]
    differences = torch.stack([one - weights[-1] for one in weights]).double().numpy()
    np.testing.assert_allclose(way.distance_K, np.linalg.norm(differences, axis=1), rtol=1e-5)
    singular = np.linalg.svd(differences, compute_uv=False)
    assert way.held == pytest.approx((singular[:2] ** 2).sum() / (singular**2).sum(), abs=1e-6)
    inside_K = np.hypot(way.a_K, way.b_K) / np.where(way.distance_K, way.distance_K, 1)
    np.testing.assert_allclose(inside_K**2 + way.outside_K**2, [1, 1, 1, 0], atol=1e-5)


def test_a_run_without_epochs_or_labels_is_told_what_to_do(run, tmp_path):
    for path in map(run.checkpoint, run.saved_epochs()[1:]):
        path.rename(tmp_path / path.name)
    try:
        with pytest.raises(RunError, match="--save-every-epoch"):
            landscape_of_run(run.path, plane="trajectory")
    finally:
        for path in tmp_path.iterdir():
            path.rename(run.path / "checkpoints" / path.name)
    with pytest.raises(UsageError, match="photos"):
        landscape_of_run(run.path, photos=0)


@pytest.mark.parametrize(
    ("an_example", "expected"), [(1e-6, (41, 512)), (1e-4, (31, 512)), (1e-3, (15, 128)), (1e3, (11, 32))]
)
def test_a_grid_is_as_large_as_a_minute_allows(an_example, expected):
    """41 × 41 points of 512 examples took 11 minutes for a small run."""
    assert chosen_grid(an_example) == expected
    assert an_example > 1 or expected[0] ** 2 * expected[1] * an_example < 60
    assert chosen_grid(an_example, points=5, examples=7) == (5, 7), "what is asked for is not changed"
    assert chosen_grid(an_example, most=20)[1] <= 20


def test_a_listener_hears_the_size_the_time_and_every_point():
    class Notebook(Listener):
        def __init__(self):
            self.notes, self.reports = [], []

        def note(self, key, **values):
            self.notes.append((key, values["points"], values["examples"]))

        def working(self, stage, done, total):
            self.reports.append((stage, done, total))

    notebook = Notebook()
    model, inputs, targets = build("one layer")
    found = landscape_of(model, cross_entropy, inputs, targets, listener=notebook)
    assert found.loss_HW.shape == (41, 41), "a small model is no reason for a small grid"
    assert notebook.notes == [("landscape.begins", 41, 20)]
    assert notebook.reports == [("points", done, 41 * 41) for done in range(41 * 41 + 1)]

"""Trainings: they learn, they stop when they should, and they keep what is good when they fail."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from made import SMALL as CONFIG
from thalweg import models
from thalweg.data import build_cache, open_images
from thalweg.errors import UsageError
from thalweg.models import features_of, logits_of
from thalweg.runs import Run, checkpoint
from thalweg.training import number_format, train
from thalweg.training.number_format import Format, choose_format
from thalweg.training.progress import Listener


class Notebook(Listener):
    """Writes down what it is told."""

    def __init__(self):
        self.notes, self.progress, self.epochs, self.facts = [], [], [], {}

    def note(self, key, **values):
        self.notes.append(key)

    def started(self, run, facts):
        self.facts = facts

    def progressed(self, progress):
        self.progress.append(progress)

    def epoch_ended(self, row):
        self.epochs.append(row)


@pytest.fixture(scope="module")
def run(striped, tmp_path_factory):
    return train(striped, replace(CONFIG, epochs=6), tmp_path_factory.mktemp("trained") / "run")


def test_it_learns(run):
    assert run.summary()["valid"]["accuracy"] >= 0.9  # a guess is 1/3
    losses = run.steps()["loss"]
    assert losses[-6:].mean() < 0.5 * losses[:6].mean()


def test_the_run_holds_all_that_was_promised(run):
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoints",
        "config.toml",
        "data-check.json",
        "evaluation.safetensors",
        "history",
        "split.csv",
        "summary.json",
    ]
    assert Run.open(run.path) == run
    split = (run.path / "split.csv").read_text().splitlines()
    assert split[0] == "path,split,label"
    assert len(split) == 1 + 96 + 24 + 12
    assert "training/0_0.png,train,0" in split
    assert "testing/0001.png,test," in split


def test_the_histories_say_what_happened(run):
    steps, epochs = run.steps(), run.epochs()
    assert steps["step"].tolist() == list(range(1, 37))
    assert steps["epoch"][-1] == 6
    assert steps["lr"].argmax() == 2  # warmup(5%) of 36 steps, then cosine
    assert (np.diff(steps["lr"][2:]) < 0).all()
    assert (steps["gradient_norm"] > 0).all()
    assert epochs["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    # The mean loss of an epoch is that of its steps: all batches have one size here.
    np.testing.assert_allclose(epochs["train_loss"], steps["loss"].reshape(6, 6).mean(axis=1), rtol=1e-6)


def test_the_best_weights_are_those_of_the_best_epoch(run):
    epochs, summary = run.epochs(), run.summary()
    best = epochs["valid_accuracy"].max()
    assert summary["valid"]["accuracy"] == pytest.approx(best)
    assert epochs["valid_accuracy"][summary["best_epoch"] - 1] == best


def test_evaluation_is_what_the_best_weights_say(run, striped):
    outputs, _ = _safetensors(run.evaluation)
    model = models.build(run.config.model, classes=3, size=32)
    checkpoint.load_model(model, checkpoint.load(run.best)[0])
    images = open_images(striped)
    cache = build_cache(images, size=32)
    pixels = torch.from_numpy(cache.images_NHWC[cache.rows("valid")].copy()).permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(run.data[key], dtype=torch.float64).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        expected = model.double().eval()((pixels - mean) / std)
    torch.testing.assert_close(outputs["logits"].double(), expected, rtol=1e-3, atol=1e-3)
    assert outputs["mid"].shape[0] == outputs["top"].shape[0] == 24


def _safetensors(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - no mapping


def test_the_same_seed_gives_the_same_weights_and_another_does_not(striped, tmp_path):
    weights = []
    for number, seed in enumerate((5, 5, 6)):
        run = train(striped, replace(CONFIG, epochs=1, seed=seed), tmp_path / str(number))
        weights.append(_last_weight(run.last))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_literal_loop_gives_the_same_losses(striped, tmp_path):
    """The training, typed plainly: no fused optimizer, no autocast, no meter."""
    config = replace(CONFIG, epochs=1, optimizer="sgd", lr=0.05, weight_decay=1e-3, schedule="linear", augment="none")
    run = train(striped, config, tmp_path / "run")
    cache = build_cache(open_images(striped), size=32)
    torch.manual_seed(0)
    model = models.build("resnet-small", classes=3, size=32).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=1e-3)
    order = np.random.default_rng([0, 0, 0]).permutation(96)
    losses = []
    for step in range(6):
        chosen = order[step * 16 : (step + 1) * 16]
        pixels = torch.from_numpy(cache.images_NHWC[cache.rows("train")[chosen]].copy()).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(run.data[key]).view(3, 1, 1) for key in ("mean", "std"))
        labels = torch.from_numpy(cache.labels("train")[chosen])
        loss = torch.nn.functional.cross_entropy(model((pixels - mean) / std), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 6)
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(run.steps()["loss"], losses, rtol=2e-3)
    np.testing.assert_allclose(run.steps()["lr"], 0.05 * (1 - np.arange(6) / 6), rtol=1e-9)


def test_patience_waits_for_an_evaluation(striped, tmp_path):
    config = replace(CONFIG, lr=1e-12, epochs=50, patience=2, evaluate_every=3)
    run = train(striped, config, tmp_path / "run")
    summary = run.summary()
    assert summary["stopped"] == "patience"
    assert summary["epochs"] == summary["best_epoch"] + 3
    assert summary["epochs"] % 3 == 0
    assert summary["valid"]["count"] == 24


def test_patience_stops_a_training_that_gets_no_better(striped, tmp_path):
    run = train(striped, replace(CONFIG, lr=1e-12, epochs=50, patience=2), tmp_path / "run")
    summary = run.summary()
    assert summary["stopped"] == "patience"
    assert summary["epochs"] == summary["best_epoch"] + 2


@pytest.mark.slow
def test_a_budget_ends_the_training_and_its_schedule_in_time(striped, tmp_path):
    notebook = Notebook()
    config = replace(CONFIG, epochs=None, budget=6.0, schedule="linear")
    run = train(striped, config, tmp_path / "run", listener=notebook)
    assert run.summary()["stopped"] == "budget"
    rates = run.steps()["lr"] / config.lr
    assert (np.diff(rates) < 0).all()
    assert rates[0] > 0.9
    assert rates[-1] < 0.25
    assert run.epochs()["seconds"][-1] < 3 * 6.0  # not a matter of speed: it did not go on


def test_a_budget_that_preparing_has_used_up_still_leaves_a_run(striped, tmp_path):
    run = train(striped, replace(CONFIG, epochs=None, budget=0.001), tmp_path / "run")
    assert run.summary()["stopped"] == "budget"
    assert run.best.exists()


def test_clipping_bounds_the_step_and_the_history_has_the_norm_before_it(striped, tmp_path):
    config = replace(
        CONFIG, optimizer="sgd", lr=1.0, weight_decay=0.0, schedule="constant", clip_grad_norm=1e-3, epochs=1
    )
    notebook = Notebook()
    run = train(striped, config, tmp_path / "run", listener=notebook)
    torch.manual_seed(config.seed)
    first = models.build(config.model, classes=3, size=32).state_dict()
    last, _ = checkpoint.load(run.last)
    weights = [name for name, _ in models.build(config.model, classes=3, size=32).named_parameters()]
    moved = torch.cat([(last[f"model.{name}"] - first[name]).flatten() for name in weights]).norm()
    assert 0 < moved <= 6 * 1e-3 * 1.01  # six steps of lr 1 along gradients of norm 1e-3 at most
    assert run.steps()["gradient_norm"].min() > 1e-3


def test_a_taken_folder_is_refused(striped, run):
    with pytest.raises(UsageError, match="not empty"):
        train(striped, CONFIG, run.path)


# Of pytorch_optimizer: counts and estimates in groups, lists and dictionaries of tensors in states.


def test_the_probe_measures_and_changes_nothing():
    model = models.build("resnet-small", classes=3, size=32)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    choice = choose_format(model, replace(CONFIG, precision="auto", layout="auto"), 32, torch.device("cpu"))
    drawn = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(1))
    assert len(choice.photos_per_second) == 4
    assert choice.photos_per_second[choice.format] >= 0.95 * max(choice.photos_per_second.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    fixed = choose_format(model, CONFIG, 32, torch.device("cpu"))
    assert fixed.format == Format("fp32", "channels-last")
    assert not fixed.photos_per_second


def test_a_format_far_behind_takes_one_step_only(monkeypatch):
    """Channel-wise convolutions in emulated bf16 take seconds a step; here, by a clock that the network moves."""
    now, steps = [0.0], []

    class Slow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, images):
            emulated = torch.is_autocast_enabled("cpu")
            steps.append(emulated)
            now[0] += 11.0 if emulated else 1.0
            return images.mean() * self.weight

    monkeypatch.setattr(number_format, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    choice = choose_format(Slow(), replace(CONFIG, precision="auto", layout="auto"), 8, torch.device("cpu"))
    assert choice.format.precision == "fp32"
    assert steps.count(True) == 2  # one for each layout


def test_evaluation_keeps_the_mode_of_the_model(run):
    model = models.build("resnet-small", classes=3, size=32).train()
    batch = torch.zeros(2, 3, 32, 32)
    assert logits_of(model, [batch, batch]).shape == (4, 3)
    assert set(features_of(model, [batch])) == {"logits", "mid", "top"}
    assert model.training


@pytest.mark.slow  # where bf16 is emulated
def test_bf16_trains_too(striped, tmp_path):
    run = train(striped, replace(CONFIG, precision="bf16", epochs=4), tmp_path / "run")
    assert run.steps()["loss"][-6:].mean() < 0.8 * run.steps()["loss"][:6].mean()
    assert _last_weight(run.best).dtype == torch.float32


def test_listeners_are_told(striped, tmp_path):
    notebook = Notebook()
    train(striped, CONFIG, tmp_path / "run", listener=notebook)
    assert notebook.notes[0] == "training.found"
    assert notebook.facts["model"].parameters > 1e5
    assert [row["epoch"] for row in notebook.epochs] == [1, 2]
    assert notebook.progress[-1].share == 1
    assert notebook.progress[-1].seconds_left == 0


def _last_weight(path):
    tensors, _ = checkpoint.load(path)
    return next(tensor for name, tensor in tensors.items() if name.startswith("model.") and tensor.shape == (3, 128))

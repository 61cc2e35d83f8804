"""Configurations: what is invalid is refused, and what is written down comes back."""

from dataclasses import fields, replace

import pytest

from thalweg.errors import RunError, UnknownNameError, UsageError
from thalweg.i18n import t
from thalweg.models import describe
from thalweg.runs import TrainingConfig
from thalweg.training import RECIPES, machine, prepare, recipe, request
from thalweg.training.machine import settled_device
from thalweg.training.prepare import choose_sizes
from thalweg.training.request import REACHED, affordable


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 0}, r"--size must lie in \[1, 4,096\]"),
        ({"epochs": 0}, r"--epochs must lie in \[1, "),
        ({"batch_size": 0}, r"--batch-size must lie in \[1, "),
        ({"lr": -1.0}, r"--lr must lie in \(0, ∞\)"),
        ({"lr": float("nan")}, r"--lr must lie in \(0, ∞\)"),
        ({"lr": float("inf")}, r"--lr must lie in \(0, ∞\)"),
        ({"weight_decay": -0.1}, r"--weight-decay must lie in \[0, "),
        ({"weight_decay": float("inf")}, r"--weight-decay must lie in \[0, "),
        ({"seed": 2**32}, r"--seed must lie in \[0, "),
        ({"threads": 2**40}, r"--threads must lie in \[1, "),
        ({"clip_grad_norm": 0.0}, r"--clip-grad-norm must lie in \(0, "),
        ({"mixup": 1.5}, r"--mixup must lie in \[0, 1\]"),
        ({"mixup": 0.6, "cutmix": 0.6}, "add up to at most 1"),
        ({"ema": 1.0}, "--ema must lie in"),
        ({"ema": 0.9, "optimizer": "schedule-free"}, "Omit --ema"),
        ({"drop_path": -0.1}, "--drop-path must lie in"),
        ({"smaller_sizes": (64, 0)}, "--smaller-sizes must lie in"),
        ({"evaluate_every": 0}, "--evaluate-every must lie in"),
        ({"label_smoothing": 1.0}, "--label-smoothing must lie in"),
        ({"valid_fraction": 1.0}, r"--valid-fraction must lie in \(0, 1\)"),
        ({"epochs": None}, "needs an end"),
        ({"size": 28.5}, "--size must be a whole number"),
        ({"size": "28"}, "--size must be a whole number"),
        ({"normalize": "yes"}, "--normalize must be true or false"),
        ({"model": 5}, "--model must be a text"),
        ({"epochs": True}, "--epochs must be a whole number"),
        ({"budget": 0.0}, r"--budget must lie in \(0, "),
    ],
)
def test_what_is_invalid_is_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        replace(TrainingConfig(), **changes)


@pytest.mark.parametrize(
    "field", ["class_weights", "device", "keep", "layout", "loss", "on_bad_image", "precision", "resize", "sampling"]
)
def test_an_unknown_choice_names_the_known_ones(field):
    with pytest.raises(UnknownNameError, match="Known"):
        replace(TrainingConfig(), **{field: "other"})


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_comes_back_from_what_is_written(name):
    assert TrainingConfig.from_dict(recipe(name).to_dict()) == recipe(name)


def test_sizes_come_back_from_what_is_written():
    config = TrainingConfig(size=128, smaller_sizes=(64, 96))
    assert config.settle(128).sizes == (64, 96, 128)
    assert TrainingConfig.from_dict({**config.to_dict(), "smaller_sizes": [64, 96]}) == config  # as TOML gives it


def test_a_field_of_another_version_is_refused():
    with pytest.raises(RunError, match="warp"):
        TrainingConfig.from_dict({**TrainingConfig().to_dict(), "warp": 9})


def test_rare_classes_are_made_up_for_once():
    with pytest.raises(UsageError, match="--sampling balanced and --class-weights balanced"):
        TrainingConfig(sampling="balanced", class_weights="balanced")


def test_every_field_is_documented():
    for field in fields(TrainingConfig):
        assert f"        {field.name}: " in (TrainingConfig.__doc__ or "")


def test_the_homework_is_exactly_the_notebook():
    homework = recipe("homework")
    assert (homework.model, homework.size, homework.epochs, homework.batch_size) == ("cnn", 128, 8, 64)
    assert (homework.optimizer, homework.lr, homework.weight_decay, homework.clip_grad_norm) == (
        "adam",
        3e-4,
        1e-5,
        10.0,
    )
    assert (homework.augment, homework.resize, homework.schedule) == ("none", "stretch", "constant")
    assert (homework.normalize, homework.label_smoothing, homework.patience) == (False, 0, 300)
    assert (homework.keep, homework.ema, homework.mixup, homework.cutmix, homework.drop_path) == ("best", 0, 0, 0, 0)
    assert (homework.class_weights, homework.smaller_sizes, homework.evaluate_every) == ("none", (), 1)


def test_an_unknown_recipe_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="standard"):
        recipe("standart")


def test_sizes_are_settled_without_enlarging_photos():
    assert choose_sizes(None, 128, 512, 1.25) == (128, 160)
    assert choose_sizes(None, 160, 512, 1.25) == (160, 200)
    assert choose_sizes(None, 128, 28, 1.25) == (28, 28)
    assert choose_sizes(None, 128, float("inf"), 1.25) == (128, 160)  # no photo could be looked at
    assert choose_sizes(128, 128, 28, 1.25) == (128, 128)
    assert choose_sizes(64, 128, 1000, 1.0) == (64, 64)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="mps"):
        settled_device("mps")
    assert settled_device("cpu").type == "cpu"


def test_a_budget_chooses_what_it_affords(striped, monkeypatch):
    monkeypatch.setattr(machine, "matmul_gflops", lambda _: {"fp32": 100.0, "bf16": 50.0})
    monkeypatch.setattr(prepare, "typical_side", lambda _: 200)
    per_epoch = {  # photos are smaller for two thirds of the time
        name: share * 3 * describe(recipe(name).model, size=side, classes=3).flops * 96 / (REACHED * 100e9)
        for name, side, share in (
            ("standard", 128, (0.5**2 + 0.75**2 + 1) / 3),
            ("strong", 160, (0.6**2 + 0.8**2 + 1) / 3),
        )
    }
    found = {
        budget: affordable(striped, budget)
        for budget in (1e-3, 0.51 * 65 * per_epoch["standard"], 0.51 * 80 * per_epoch["strong"])
    }
    assert [one.recipe for one in found.values()] == ["quick", "standard", "strong"]
    assert list(found.values())[1].epochs == pytest.approx(0.51 * 65)
    assert list(found.values())[2].epochs == pytest.approx(0.51 * 80)
    monkeypatch.undo()
    monkeypatch.setattr(machine, "matmul_gflops", lambda _: {"fp32": 100.0, "bf16": 50.0})
    small = 3 * describe("resnet18", size=32, classes=3).flops * 96 / (REACHED * 100e9)  # its photos are not enlarged
    assert affordable(striped, 0.51 * 80 * small) == ("strong", pytest.approx(0.51 * 80), 100.0)


def test_what_a_budget_affords_is_shared_by_folds_and_knows_what_else_was_asked(striped, monkeypatch):
    monkeypatch.setattr(machine, "matmul_gflops", lambda _: {"fp32": 1e5, "bf16": 1e5})
    whole = affordable(striped, 60.0)
    # 96 photos train and 24 validate; of four folds each trains on 90 of them, for a quarter of the time
    assert affordable(striped, 60.0, folds=4).epochs == pytest.approx(whole.epochs / 4 * 96 / 90)
    assert affordable(striped, 60.0, max_size=24).epochs > 1.5 * whole.epochs
    assert affordable(striped, 60.0, model="cnn").epochs != pytest.approx(whole.epochs)


@pytest.mark.parametrize(("epochs", "said"), [(0.04, "4% of one epoch"), (0.9, "90% of one"), (3.2, "about 3 of")])
def test_a_budget_below_one_epoch_says_so(striped, monkeypatch, epochs, said):
    monkeypatch.setattr(request, "affordable", lambda *_args, **_named: request.Affordable("quick", epochs, 100.0))
    notes = []
    assert request.resolve(None, {"budget": 3.0}, photos=striped, note=lambda key, **v: notes.append(t(key, **v)))
    assert said in notes[0]

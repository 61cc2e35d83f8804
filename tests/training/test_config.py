"""Configurations: what cannot be meant is refused, and what is written down comes back."""

from dataclasses import fields, replace

import pytest

from thalweg.errors import RunError, UnknownNameError, UsageError
from thalweg.models import describe
from thalweg.training import RECIPES, TrainingConfig, plan, recipe
from thalweg.training.plan import settled_device, settled_sizes
from thalweg.training.recipes import REACHED, affordable


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 0}, "--size must lie in 1 to"),
        ({"epochs": 0}, "--epochs must lie in 1 to"),
        ({"batch_size": 0}, "--batch-size must lie in 1 to"),
        ({"lr": -1.0}, "--lr must be greater than 0"),
        ({"lr": float("nan")}, "--lr must be greater than 0"),
        ({"lr": float("inf")}, "--lr must be greater than 0"),
        ({"weight_decay": -0.1}, "--weight-decay must lie in 0 to"),
        ({"weight_decay": float("inf")}, "--weight-decay must lie in 0 to"),
        ({"seed": 2**32}, "--seed must lie in 0 to"),
        ({"threads": 2**40}, "--threads must lie in 1 to"),
        ({"clip": 0.0}, "--clip must be greater than 0"),
        ({"mixup": 1.5}, "--mixup must lie in 0 to"),
        ({"mixup": 0.6, "cutmix": 0.6}, "together 1 at most"),
        ({"ema": 1.0}, "--ema must lie in"),
        ({"ema": 0.9, "optimizer": "schedule-free"}, "Leave --ema out"),
        ({"drop_path": -0.1}, "--drop-path must lie in"),
        ({"smaller_sizes": (64, 0)}, "64>0"),
        ({"evaluate_every": 0}, "--evaluate-every must lie in"),
        ({"label_smoothing": 1.0}, "--label-smoothing must lie in"),
        ({"valid_fraction": 1.0}, "--valid-fraction must lie between"),
        ({"epochs": None}, "needs an end"),
        ({"budget": 0.0}, "--budget must be greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        replace(TrainingConfig(), **changes)


@pytest.mark.parametrize(
    "field", ["class_weights", "device", "layout", "loss", "on_bad_image", "precision", "resize", "select"]
)
def test_an_unknown_choice_names_the_known_ones(field):
    with pytest.raises(UnknownNameError, match="Known"):
        replace(TrainingConfig(), **{field: "other"})


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_comes_back_from_what_is_written(name):
    assert TrainingConfig.from_dict(recipe(name).to_dict()) == recipe(name)


def test_sizes_come_back_from_what_is_written():
    config = TrainingConfig(size=128, smaller_sizes=(64, 96))
    assert config.sizes == (64, 96, 128)
    assert TrainingConfig.from_dict({**config.to_dict(), "smaller_sizes": [64, 96]}) == config  # as TOML gives it


def test_a_field_of_another_version_is_refused():
    with pytest.raises(RunError, match="warp"):
        TrainingConfig.from_dict({**TrainingConfig().to_dict(), "warp": 9})


def test_every_field_is_documented():
    for field in fields(TrainingConfig):
        assert f"        {field.name}: " in (TrainingConfig.__doc__ or "")


def test_the_homework_is_the_notebook_to_the_letter():
    homework = recipe("homework")
    assert (homework.model, homework.size, homework.epochs, homework.batch_size) == ("cnn", 128, 8, 64)
    assert (homework.optimizer, homework.lr, homework.weight_decay, homework.clip) == ("adam", 3e-4, 1e-5, 10.0)
    assert (homework.augment, homework.resize, homework.schedule) == ("none", "stretch", "constant")
    assert (homework.normalize, homework.label_smoothing, homework.patience) == (False, 0, 300)
    assert (homework.select, homework.ema, homework.mixup, homework.cutmix, homework.drop_path) == ("best", 0, 0, 0, 0)
    assert (homework.class_weights, homework.smaller_sizes, homework.evaluate_every) == ("none", (), 1)


def test_an_unknown_recipe_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="standard"):
        recipe("standart")


def test_sizes_are_settled_without_enlarging_photos():
    assert settled_sizes(None, 128, 512, 1.25) == (128, 160)
    assert settled_sizes(None, 160, 512, 1.25) == (160, 200)
    assert settled_sizes(None, 128, 28, 1.25) == (28, 28)
    assert settled_sizes(None, 128, float("inf"), 1.25) == (128, 160)  # no photo could be looked at
    assert settled_sizes(128, 128, 28, 1.25) == (128, 128)
    assert settled_sizes(64, 128, 1000, 1.0) == (64, 64)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="mps"):
        settled_device("mps")
    assert settled_device("cpu").type == "cpu"


def test_a_budget_chooses_what_it_affords(striped, monkeypatch):
    monkeypatch.setattr(plan, "matmul_gflops", lambda _: {"fp32": 100.0, "bf16": 50.0})
    monkeypatch.setattr(plan, "typical_side", lambda _: 200)
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
    monkeypatch.setattr(plan, "matmul_gflops", lambda _: {"fp32": 100.0, "bf16": 50.0})
    small = 3 * describe("resnet18", size=32, classes=3).flops * 96 / (REACHED * 100e9)  # its photos are not enlarged
    assert affordable(striped, 0.51 * 80 * small) == ("strong", pytest.approx(0.51 * 80), 100.0)


def test_what_a_budget_affords_is_shared_by_folds_and_knows_what_else_was_asked(striped, monkeypatch):
    monkeypatch.setattr(plan, "matmul_gflops", lambda _: {"fp32": 1e5, "bf16": 1e5})
    whole = affordable(striped, 60.0)
    # 96 photos train and 24 validate; of four folds each trains on 90 of them, for a quarter of the time
    assert affordable(striped, 60.0, folds=4).epochs == pytest.approx(whole.epochs / 4 * 96 / 90)
    assert affordable(striped, 60.0, max_size=24).epochs > 1.5 * whole.epochs
    assert affordable(striped, 60.0, model="cnn").epochs != pytest.approx(whole.epochs)

"""A classifier fitted to the features of a network: against scikit-learn, against the network, and from the cache."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from made import SMALL
from thalweg import models
from thalweg.diagnosis import diagnose_run
from thalweg.diagnosis.landscape import landscape_of_run
from thalweg.diagnosis.landscape.directions import random_directions
from thalweg.errors import UsageError
from thalweg.runs import Run
from thalweg.training import recipe, train
from thalweg.training.head import PENALTIES, Regression, choose_penalty, fit
from thalweg.training.session import reopen


def clouds(count=300, dimensions=20, classes=4, seed=0, spread=1.0):
    """Overlapping clouds, one per class, with features of different scales and one that is constant."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = random.normal(size=(count, dimensions)) + spread * random.normal(size=(classes, dimensions))[labels]
    features = features * np.geomspace(0.01, 100, dimensions) + 3
    features[:, 0] = 7
    return features.astype(np.float32), labels


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_the_fit_is_scikit_learns(penalty):
    features, labels = clouds()
    regression = Regression(features, labels, 4)
    *_, last = fit(regression, penalty)
    ours = regression.iteration(*last)
    centered = (features.astype(np.float64) - regression.mean_D.numpy()) / regression.std_D.numpy()
    theirs = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-12, max_iter=10_000).fit(centered, labels)
    logits = features.astype(np.float64) @ ours.weight_CD.numpy().T + ours.bias_C.numpy()
    expected = centered @ theirs.coef_.T + theirs.intercept_
    difference = (logits - logits.mean(axis=1, keepdims=True)) - (expected - expected.mean(axis=1, keepdims=True))
    assert np.abs(difference).max() < 5e-3  # of logits around 10
    assert ours.accuracy == (logits.argmax(axis=1) == labels).mean()


def test_the_gradient_is_that_of_the_loss():
    features, labels = clouds(60, 5, 3)
    regression = Regression(features, labels, 3, np.array([0.5, 1.0, 2.0], dtype=np.float32))
    values = torch.randn(regression.parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, gradient = regression.loss(values, 0.1)
    for at in range(regression.parameters):
        ahead, back = values.clone(), values.clone()
        ahead[at] += 1e-5
        back[at] -= 1e-5
        slope = (regression.loss(ahead, 0.1)[0] - regression.loss(back, 0.1)[0]) / 2e-5
        assert slope == pytest.approx(float(gradient[at]), abs=1e-8)


def test_every_iteration_lowers_the_loss_and_one_is_always_made():
    features, labels = clouds()
    losses = [
        Regression(features, labels, 4).loss(one.values_P, 0.1)[0] for one in fit(Regression(features, labels, 4), 0.1)
    ]
    assert losses == sorted(losses, reverse=True)
    alike = np.ones((8, 3), dtype=np.float32)
    assert len(list(fit(Regression(alike, np.arange(8) % 2, 2), 1.0))) == 2


def test_clear_classes_get_a_weak_penalty_and_noise_a_strong_one():
    clear, noise = clouds(spread=3.0), clouds(spread=0.0)
    assert choose_penalty(*clear, 4, seed=0) < 0.01
    assert choose_penalty(*noise, 4, seed=0) == PENALTIES[0]
    assert choose_penalty(np.ones((2, 3), dtype=np.float32), np.array([0, 1]), 2, seed=0) == PENALTIES[0]


ONLY_HEAD = replace(SMALL, freeze="all", fit_head=True, epochs=30, augment="none", label_smoothing=0.0)


@pytest.fixture(scope="module")
def fitted(striped, tmp_path_factory):
    return train(striped, ONLY_HEAD, tmp_path_factory.mktemp("fitted") / "run")


def test_a_run_that_fits_its_classifier_has_histories_and_results_that_agree(fitted):
    steps, epochs, summary = fitted.steps(), fitted.epochs(), fitted.summary()
    assert len(steps) == len(epochs) == len(fitted.layers()) == summary["steps"] == summary["epochs"]
    assert (np.diff(epochs["train_loss"]) < 0).all()
    assert epochs["valid_loss"][-1] == pytest.approx(summary["valid"]["loss"], rel=1e-4)
    assert epochs["valid_accuracy"][-1] == summary["valid"]["accuracy"] > 0.6
    assert np.isfinite(steps.rows_NC).all()
    assert (fitted.layers()["classifier.update_ratio"] > 0).all()


def test_only_the_classifier_has_changed(fitted):
    torch.manual_seed(ONLY_HEAD.seed)
    before = models.build(ONLY_HEAD.model, classes=3, size=32).state_dict()
    for name, tensor in fitted.load_weights("best").items():
        assert torch.equal(tensor, before[name]) != name.startswith("classifier."), name


def test_features_are_what_the_classifier_gets_and_come_back_from_the_cache(fitted, monkeypatch, tmp_path):
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    loop = reopen(fitted.path)
    rows = np.concatenate([loop.cache.rows("valid"), loop.cache.rows("train")[:5]])
    found = loop.head_features(rows)
    expected = models.features_of(loop.model, loop.plain_batches("valid"))["top"]
    np.testing.assert_allclose(found[: len(expected)], expected.numpy(), rtol=1e-4, atol=1e-5)
    again, heard = reopen(fitted.path), []
    again.model.stages[0].register_forward_hook(lambda *_: heard.append(1))
    np.testing.assert_array_equal(again.head_features(rows), found)
    assert not heard
    with torch.no_grad():
        next(again.model.stages.parameters()).add_(1e-3)
    assert not np.array_equal(
        type(again.head_features)(again.model, again.augmenter, again.cache, again.run)(rows), found
    )
    for file in tmp_path.rglob("features/*/*"):
        file.write_bytes(file.read_bytes()[:-8])
    np.testing.assert_array_equal(reopen(fitted.path).head_features(rows), found)


@pytest.mark.slow
def test_a_landscape_moves_what_was_trained_and_its_trajectory_is_that_of_the_fit(striped, tmp_path):
    run = train(striped, replace(ONLY_HEAD, save_every_epoch=True, epochs=6), tmp_path / "run")
    model = run.load_network()
    models.freeze(model, run.config.freeze)
    moved = {name for name, tensor in random_directions(model, 0)[0].items() if tensor.any()}
    assert moved == {"classifier.weight"}
    model.requires_grad_(False)
    assert len([tensor for tensor in random_directions(model, 0)[0].values() if tensor.any()]) > 1
    found = landscape_of_run(run.path, plane="trajectory", points=3, split="train", photos=96)
    assert found.trajectory.epochs_K.tolist() == list(range(7))
    assert np.abs(found.trajectory.loss_K[1:] - run.epochs()["train_loss"]).max() < 1e-3


@pytest.mark.slow
def test_frozen_where_asked_for_is_no_fault(fitted):
    verdict = diagnose_run(fitted.path)
    assert verdict.code not in ("untrained_parameters", "lr_too_large", "lr_too_small", "wrong_mode", "diverged")


def test_what_only_fits_has_no_rate_to_search_for():
    with pytest.raises(UsageError, match="no learning rate"):
        recipe("linear", lr="auto")


def test_the_best_iteration_can_be_kept(striped, tmp_path):
    run = train(striped, replace(ONLY_HEAD, keep="best"), tmp_path / "run")
    accuracies = run.epochs()["valid_accuracy"]
    assert run.summary()["valid"]["accuracy"] == accuracies.max()
    assert Run.open(run.path).summary()["kept_epoch"] == run.summary()["best_epoch"]


def test_of_many_classes_the_fit_works_in_blocks(monkeypatch):
    """Loss and gradient are those of one block up to rounding; a gradient check is above."""
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(23, 4)).astype(np.float32), random.integers(0, 3, 23)
    regression = Regression(features, labels, 3, np.array([1.0, 2.0, 0.5], dtype=np.float32))
    values = torch.from_numpy(random.normal(size=regression.parameters))
    loss, gradient = regression.loss(values, 0.1)
    whole = regression.iteration(values, gradient, 1.0)
    monkeypatch.setattr("thalweg.training.head._VALUES", 3 * 5)
    parts_loss, parts_gradient = regression.loss(values, 0.1)
    parts = regression.iteration(values, gradient, 1.0)
    assert parts_loss == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(parts_gradient, gradient, rtol=1e-10, atol=1e-12)
    assert (parts.loss, parts.accuracy) == (whole.loss, whole.accuracy)


def test_the_gradients_of_the_blocks_are_not_all_held(monkeypatch):
    features, labels = clouds(count=60)
    regression = Regression(features, labels, 4)
    monkeypatch.setattr("thalweg.training.head._VALUES", 3 * 4)
    alive, most, made = weakref.WeakSet(), 0, 0
    part = regression._part

    def watched(*given):
        nonlocal most, made
        _, gradient_CD, _ = found = part(*given)
        alive.add(gradient_CD)
        most, made = max(most, len(alive)), made + 1
        return found

    monkeypatch.setattr(regression, "_part", watched)
    regression.loss(regression.start(), 0.1)
    assert made == 20
    assert most <= 3  # the sum, the one that is added, and the one that comes

"""`watch` on loops that people write, wrong ones among them: the training never dies of it."""

import copy
import json
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import thalweg
from thalweg.diagnosis import diagnose_folder, diagnose_path
from thalweg.errors import RunError, StorageError


def classifier(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.BatchNorm1d(16), nn.Linear(16, 3))


def batch(step=0, size=32):
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(size, 8, generator=generator)
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()


def train(model, optimizer, watch, steps, loss_fn=cross_entropy):
    for step in range(steps):
        inputs, labels = batch(step)
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), labels)
        loss.backward()
        optimizer.step()
        watch.step(loss)


def state_of(model, optimizer):
    return {
        "weights": copy.deepcopy(model.state_dict()),
        "grad": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "mode": [module.training for module in model.modules()],
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "random": torch.get_rng_state(),
        "hooks": [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    }


def assert_same(left, right):
    assert left["mode"] == right["mode"]
    assert left["hooks"] == right["hooks"]
    assert torch.equal(left["random"], right["random"])
    for name, tensor in left["weights"].items():
        assert torch.equal(tensor, right["weights"][name]), name
    for mine, yours in zip(left["grad"], right["grad"], strict=True):
        assert (mine is None) == (yours is None)
        assert mine is None or torch.equal(mine, yours)
    flat = [torch.as_tensor(v) for s in left["optimizer"]["state"].values() for v in s.values()]
    other = [torch.as_tensor(v) for s in right["optimizer"]["state"].values() for v in s.values()]
    assert all(torch.equal(a, b) for a, b in zip(flat, other, strict=True))


@pytest.mark.slow
def test_a_diagnosis_with_proof_in_the_middle_of_a_training_changes_nothing():
    model = classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 40)
        before = state_of(model, optimizer)
        watch.diagnose(batch=batch(3), loss_fn=cross_entropy, try_fix=True)
        assert_same(before, state_of(model, optimizer))
        train(model, optimizer, watch, 5)
    assert len(watch.steps) == 45


@pytest.mark.slow
def test_a_model_that_draws_from_python_and_numpy_is_asked_without_moving_them():
    class Drawing(nn.Sequential):
        def forward(self, inputs):
            return super().forward(inputs) * (1 + 1e-3 * random.random()) + 1e-3 * np.random.rand()  # noqa: NPY002

    model = Drawing(nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 30)
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        watch.diagnose(batch=batch(), loss_fn=cross_entropy, try_fix=True)
        assert before == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_the_verdict_says_what_was_not_asked():
    model = classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 60)
    verdict = watch.diagnose()
    assert verdict.code == "healthy"
    assert {"batch", "curvature", "short_runs"} <= set(verdict.unchecked)


def test_several_batches_are_taken():
    model = classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 60)
    verdict = watch.diagnose(batch=[batch(1), batch(2)], loss_fn=cross_entropy, try_fix=True)
    assert verdict.code == "healthy"
    assert verdict.measures["largest_eigenvalue"] > 0
    assert verdict.trial is None  # there is nothing to prove


def test_a_loss_that_is_no_scalar_is_said_and_the_training_goes_on():
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(30):
            inputs, labels = batch(step)
            optimizer.zero_grad()
            losses = cross_entropy(model(inputs), labels, reduction="none")
            losses.mean().backward()
            optimizer.step()
            watch.step(losses)
    verdict = watch.diagnose()
    assert verdict.code == "unsure"
    assert "loss_not_scalar" in verdict.unchecked


def test_whatever_fails_within_the_users_step_does_not_fail_it(monkeypatch):
    def broken(*_):
        raise RuntimeError("inside the optimizer's step")

    monkeypatch.setattr("thalweg.probes.foreach.norms", broken)
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 30)
    assert "watching" in watch.diagnose().unchecked
    assert watch.diagnose().code == "unsure"


def test_a_model_without_parameters():
    model, other = nn.Identity(), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        watch.step(torch.tensor(1.0))
    verdict = watch.diagnose()
    assert "no_parameters" in verdict.unchecked


def test_an_optimizer_over_other_parameters_is_named_at_once():
    model = classifier()
    optimizer = torch.optim.SGD(classifier().parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(5):
            inputs, labels = batch(step)
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    assert watch.diagnose().code == "untrained_parameters"


def test_steps_before_any_backward_pass():
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(30):
            inputs, labels = batch(step)
            watch.step(cross_entropy(model(inputs), labels))
    assert watch.diagnose(batch=batch(), loss_fn=cross_entropy).code == "optimizer_not_stepping"


def test_nan_at_the_first_step():
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        inputs, labels = batch()
        inputs[0, 0] = math.nan
        for _ in range(3):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    assert watch.diagnose().code == "bad_inputs"  # seen as it passed
    assert watch.diagnose(batch=(inputs, labels), loss_fn=cross_entropy).code == "bad_inputs"


def test_three_steps_are_too_few_to_say_anything_else():
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 3)
    verdict = watch.diagnose(batch=batch(), loss_fn=cross_entropy)
    assert verdict.code == "too_few_steps" or "few_steps" in verdict.unchecked
    assert verdict.code in ("unsure", "too_few_steps")


def test_a_loss_function_that_fails_costs_its_questions_only():
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 80)

    def broken(_outputs, _targets):
        raise ValueError("no")

    verdict = watch.diagnose(batch=batch(), loss_fn=broken)
    assert verdict.code == "healthy"
    assert {"batch_fails", "curvature", "short_runs"} <= set(verdict.unchecked)


@pytest.mark.slow
def test_models_that_take_keywords_and_several_arguments():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 1)

        def forward(self, left, right):
            return self.layer(left + right)

    for make in (lambda x: {"left": x, "right": x}, lambda x: (x, x)):
        model = Two()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-7)
        with thalweg.watch(model, optimizer) as watch:
            for step in range(40):
                inputs, _ = batch(step)
                targets = inputs.sum(dim=1, keepdim=True)
                given = make(inputs)
                optimizer.zero_grad()
                loss = mse_loss(model(**given) if isinstance(given, dict) else model(*given), targets)
                loss.backward()
                optimizer.step()
                watch.step(loss)
        verdict = watch.diagnose(batch=(given, targets), loss_fn=mse_loss)
        assert verdict.code == "lr_too_small"
        assert "short_runs" not in verdict.unchecked


def test_saved_and_diagnosed_from_the_folder(tmp_path):
    model = classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        train(model, optimizer, watch, 60)
        watch.validate(0.5, 0.9)
    verdict = watch.diagnose(batch=batch(), loss_fn=cross_entropy)
    watch.save(tmp_path / "seen")
    again = diagnose_folder(tmp_path / "seen")
    assert again.code == verdict.code
    assert again.measures["largest_eigenvalue"] == pytest.approx(verdict.measures["largest_eigenvalue"])
    assert json.loads((tmp_path / "seen" / "watch.json").read_text())["optimizer"] == "Adam"
    watch.save(tmp_path / "seen")  # again, over itself
    assert diagnose_path(tmp_path / "seen").code == verdict.code


def test_folders_that_are_none(tmp_path):
    with pytest.raises(RunError, match="neither a run, nor"):
        diagnose_path(tmp_path)
    (tmp_path / "watch.json").write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        diagnose_path(tmp_path)
    (tmp_path / "file").write_text("")
    model = classifier()
    with thalweg.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)) as watch:
        pass
    with pytest.raises(StorageError):
        watch.save(tmp_path / "file" / "below")

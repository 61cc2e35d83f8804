"""Each technique of the engine against what it promises: closed forms, literal twins, injected faults."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from notebook import Notebook
from thalweg import models
from thalweg._replay import Replay
from thalweg.errors import TrainingError, UsageError
from thalweg.runs import TrainingConfig, checkpoint
from thalweg.training import machine, prepare, train
from thalweg.training.loop import TrainingLoop
from thalweg.training.losses import Objective, Targets
from thalweg.training.number_format import Format
from thalweg.training.optimizers import build_optimizer
from thalweg.training.progress import Clock, Listener
from thalweg.training.step import Gradients
from thalweg.training.weight_averaging import Average


CONFIG = TrainingConfig(
    model="resnet-small", size=32, epochs=2, batch_size=16, augment="flip", precision="fp32", layout="channels-last",
    threads=1,
)  # fmt: skip


def test_an_average_is_the_sum_over_all_that_was():
    """a_T = Σ (1 - d_t)·θ_t·Π d_later + θ_0·Π d, with the decay warmed up."""
    model, twin = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    average = Average(model, twin, 0.5)
    values = [model.weight.item()]
    for step in range(1, 12):
        with torch.no_grad():
            model.weight.fill_(float(step**2))
        average.update(step)
        values.append(float(step**2))
    decays = [min(0.5, (1 + step) / (10 + step)) for step in range(1, 12)]
    expected = values[0] * np.prod(decays)
    for step, decay in enumerate(decays, start=1):
        expected += (1 - decay) * values[step] * np.prod(decays[step:])
    assert twin.weight.item() == pytest.approx(expected, rel=1e-5)


def test_an_average_takes_the_statistics_of_norms_and_copies_their_counts():
    model, twin = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    average = Average(model, twin, 0.0)
    model(torch.randn(4, 2, 3, 3))
    average.update(1)
    assert torch.equal(twin.running_mean, model.running_mean)
    assert twin.num_batches_tracked.item() == 1
    assert not twin.training


def test_what_is_averaged_is_what_is_kept(striped, tmp_path):
    run = train(striped, replace(CONFIG, ema=0.9), tmp_path / "run")
    last, best = checkpoint.load(run.last)[0], checkpoint.load(run.best)[0]
    kept = [name.removeprefix("model.") for name in best]
    assert all(torch.equal(best[f"model.{name}"], last[f"average.{name}"]) for name in kept)
    assert any(not torch.equal(best[f"model.{name}"], last[f"model.{name}"]) for name in kept)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_that_were_asked_for_are_kept(striped, tmp_path, keep):
    run = train(striped, replace(CONFIG, epochs=4, keep=keep), tmp_path / "run")
    summary = run.summary()
    expected = summary["best_epoch"] if keep == "best" else 4
    assert summary["kept_epoch"] == checkpoint.load(run.best)[1]["epoch"] == expected
    assert summary["valid"]["accuracy"] == pytest.approx(run.epochs()["valid_accuracy"][expected - 1])


def test_sizes_have_equal_parts_and_evaluation_the_last(striped, tmp_path, monkeypatch):
    evaluated = []
    forward = models.network.Network.forward

    def watched(self, images_NCHW):
        if not self.training:
            evaluated.append(images_NCHW.shape[-1])
        return forward(self, images_NCHW)

    config = replace(CONFIG, size=32, smaller_sizes=(16, 24))
    plan = prepare.Plan.of(striped, config, Notebook())  # which tries every size on a copy
    monkeypatch.setattr(models.network.Network, "forward", watched)
    monkeypatch.setattr(prepare.Plan, "of", lambda *_: plan)
    monkeypatch.setattr(models, "describe", lambda *_, **__: None)
    run = train(striped, config, tmp_path / "run")
    assert run.steps()["size"].tolist() == [16] * 4 + [24] * 4 + [32] * 4
    assert set(evaluated) == {32}


def test_the_time_left_knows_that_larger_photos_take_longer():
    config = replace(CONFIG, smaller_sizes=(16,), epochs=10)
    clock = Clock(config.settle(32), 10, seconds_before=60.0, first_step_at=0.0)
    assert clock.seconds_left(50) == pytest.approx(240.0, rel=0.01)  # a quarter of the pixels in the first half
    assert clock.seconds_left(100) == 0


def test_a_network_of_one_size_cannot_grow(striped, tmp_path):
    config = replace(CONFIG, model="cnn", size=64, smaller_sizes=(32,))
    with pytest.raises(UsageError, match="one size only"):
        train(striped, config, tmp_path / "run")
    with pytest.raises(UsageError, match="8 px"):
        train(striped, replace(CONFIG, smaller_sizes=(8,)), tmp_path / "run")


def test_dropped_branches_keep_the_mean_and_evaluation_drops_none():
    torch.manual_seed(0)
    block = models.network.Residual(torch.nn.Identity())
    block.drop = 0.4
    ones = torch.ones(20_000, 1, 1, 1)
    found = block(ones).flatten()
    assert found.unique().tolist() == pytest.approx([1, 1 + 1 / 0.6])
    assert found.mean().item() == pytest.approx(2, abs=0.03)
    assert torch.equal(block.eval()(ones), 2 * ones)


def test_later_blocks_are_dropped_more_often():
    model = models.build("resnet18-half", classes=3, size=32)
    models.set_drop_path(model, 0.2)
    drops = [module.drop for module in model.modules() if isinstance(module, models.network.Residual)]
    assert drops == pytest.approx([0.2 * (position + 1) / 8 for position in range(8)])
    with pytest.raises(UsageError, match="residual"):
        models.set_drop_path(models.build("cnn", classes=3, size=32), 0.2)


class Exhausted(torch.nn.Module):
    """A network on a device that has memory for a few photos only."""

    def __init__(self, room):
        super().__init__()
        self.linear, self.room, self.tries = torch.nn.Linear(4, 3), room, []

    def forward(self, images):
        self.tries.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError
        return self.linear(images)


def test_exhausted_memory_halves_the_batch_and_gives_the_same_gradient():
    torch.manual_seed(0)
    images, targets = torch.randn(10, 4), Targets(torch.arange(10) % 3, torch.arange(10) % 2, torch.rand(10))
    small, large = Exhausted(3), Exhausted(10)
    small.load_state_dict(large.state_dict())
    told = []
    gradients = Gradients(small, Objective("cross-entropy", 0.1), Format("fp32", "channels-last"))
    gradients.on_smaller = told.append
    found = gradients(images, targets, 1)
    expected = Gradients(large, gradients.objective, gradients.format)(images, targets, 1)
    assert (found.micro_batches, expected.micro_batches, told) == (4, 1, [5, 3])
    torch.testing.assert_close(small.linear.weight.grad, large.linear.weight.grad)
    torch.testing.assert_close(found[:3], expected[:3])
    small.tries.clear()
    gradients(images, targets, found.micro_batches)
    assert max(small.tries) <= 3  # what was learned is not forgotten


def test_the_norm_is_of_the_gradients_before_they_are_clipped():
    torch.manual_seed(0)
    images, targets, model = torch.randn(10, 4), Targets(torch.arange(10) % 3), Exhausted(10)
    whole = Gradients(model, Objective("cross-entropy", 0.0), Format("fp32", "channels-last"))(images, targets, 1)
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert whole.norm.item() == pytest.approx(gradient.norm().item(), rel=1e-6)
    for parts in (1, 2):
        model.zero_grad()
        most = whole.norm.item() / 3
        clipping = Gradients(
            model, Objective("cross-entropy", 0.0), Format("fp32", "channels-last"), clip_grad_norm=most
        )
        assert clipping(images, targets, parts).norm.item() == pytest.approx(whole.norm.item(), rel=1e-5)
        shortened = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        torch.testing.assert_close(shortened, gradient / 3, rtol=1e-4, atol=1e-6)


def test_who_lets_go_of_a_training_step_lets_go_of_its_weights():
    """At once, and not when Python next looks for cycles: a search makes many copies of a network."""
    model = models.build("resnet-small", classes=3, size=16)
    held = [Gradients(model, Objective("cross-entropy", 0.0), Format("fp32", "channels-last"))]
    held.append(build_optimizer(model, TrainingConfig(optimizer="muon")))
    held[0](torch.zeros(2, 3, 16, 16), Targets(torch.tensor([0, 1])), 1)
    held[1].step()
    weight = weakref.ref(next(model.parameters()))
    gc.collect()
    gc.disable()
    try:
        del model, held
        assert weight() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_memory_for_not_even_one_photo_is_an_error():
    gradients = Gradients(Exhausted(0), Objective("cross-entropy", 0.0), Format("fp32", "channels-last"))
    with pytest.raises(TrainingError, match="even one photo"):
        gradients(torch.randn(4, 4), Targets(torch.zeros(4, dtype=torch.int64)), 1)


@pytest.mark.slow
def test_a_training_goes_on_in_smaller_parts_and_says_so(striped, tmp_path, monkeypatch):
    forward = models.network.Network.forward

    def exhausted(self, images_NCHW):
        if self.training and len(images_NCHW) > 4:
            raise torch.OutOfMemoryError
        return forward(self, images_NCHW)

    monkeypatch.setattr(models.network.Network, "forward", exhausted)
    notebook = Notebook()
    run = train(striped, replace(CONFIG, epochs=1), tmp_path / "run", listener=notebook)
    assert [values for key, values in notebook.notes if key == "training.micro_batches"] == [
        {"photos": 8},
        {"photos": 4},
    ]
    assert checkpoint.load(run.last)[1]["state"]["micro_batches"] == 4
    assert run.summary()["steps"] == 6


def test_recordings_are_dropped_before_a_batch_is_halved():
    model = torch.nn.Linear(3, 2)
    gradients = Gradients(model, Objective("cross-entropy", 0.0), Format("fp32", "channels-last"))
    gradients._replay._recorded["of smaller photos"] = object()
    attempts = []
    whole = gradients._whole

    def exhausted_once(*tensors):
        attempts.append(len(gradients._replay._recorded))
        if len(attempts) == 1:
            raise torch.OutOfMemoryError
        return whole(*tensors)

    gradients._whole = exhausted_once
    assert gradients(torch.randn(4, 3), Targets(torch.zeros(4, dtype=torch.int64)), 1).micro_batches == 1
    assert attempts == [1, 0]


def test_recordings_that_failed_hold_no_memory_to_wait_for():
    """Otherwise a batch that does not fit would be retried forever."""
    replay = Replay()
    replay._recorded["too large"] = None
    assert not replay.forget()


def test_what_is_done_of_a_training_never_falls():
    clock = Clock(
        replace(CONFIG, epochs=None, budget=100.0, smaller_sizes=(16,)).settle(32),
        10,
        seconds_before=40.0,
        first_step_at=0.0,
    )
    clock.reserve = 30.0
    before = clock.share(5)
    clock.reserve = 0.0  # the last evaluation will take less than was thought
    assert clock.share(5) >= before > 0.5
    assert clock.size(5) == 32


@pytest.mark.parametrize(("budget", "pictures"), [(600.0, 20.0), (60.0, 3.0)])
def test_a_budget_leaves_time_for_all_that_comes_after_the_last_step(budget, pictures):
    """At 0.02 s a photo, 750 photos twice for validation and 1,250 for testing take 55 s."""
    config = replace(CONFIG, epochs=None, budget=budget).settle(32)
    clock = Clock(config, 10, seconds_before=0.0, first_step_at=0.0)
    clock.photos_after = 2 * 750 + 1250
    clock.expect(0.02)
    assert clock.reserve == pytest.approx(55 + pictures)


def test_a_training_counts_validation_twice_and_the_test_split(striped, tmp_path):
    plan = prepare.Plan.of(striped, replace(CONFIG, epochs=1), Listener())
    prepared = prepare.Preparation.of(plan, tmp_path / "run", Listener())
    loop = TrainingLoop(prepared.run, prepared.cache)
    (tmp_path / "run").mkdir()
    loop.run_to_end(Listener())
    facts = prepared.run.data
    assert loop.clock.photos_after == 2 * facts["valid"] + facts["test"] > 0
    assert loop.clock.reserve > 0


def test_photos_that_do_not_fit_stay_in_their_file_and_it_is_said(striped, tmp_path, monkeypatch):
    alone = train(striped, replace(CONFIG, epochs=1), tmp_path / "alone")
    monkeypatch.setattr(machine, "free_memory", lambda: 1000.0)
    notebook = Notebook()
    mapped = train(striped, replace(CONFIG, epochs=1), tmp_path / "mapped", listener=notebook)
    assert "training.mapped" in [key for key, _ in notebook.notes]
    np.testing.assert_array_equal(mapped.steps()["loss"], alone.steps()["loss"])


def test_photos_grow_to_batches_that_were_first_seen_in_an_evaluation(striped, tmp_path):
    """24 photos validate, and 24 are a batch: the evaluation makes the buffers of 32 px, and then they train."""
    run = train(striped, replace(CONFIG, epochs=2, smaller_sizes=(16,), batch_size=24), tmp_path / "run")
    assert run.steps()["size"].tolist() == [16] * 4 + [32] * 4


@pytest.mark.slow
def test_the_history_says_what_photos_each_step_had(striped, tmp_path):
    steps = train(striped, replace(CONFIG, epochs=5, smaller_sizes=(16,), cutmix=1.0), tmp_path / "run").steps()
    assert steps["size"].tolist() == [16] * 15 + [32] * 15
    assert steps["mixed"].tolist() == [1] * 27 + [0] * 3
    plain = train(striped, replace(CONFIG, epochs=1), tmp_path / "plain").steps()
    assert {*plain["size"]} == {32}
    assert {*plain["mixed"]} == {0}


@pytest.mark.slow
def test_seldom_evaluated_has_a_row_of_the_last_epoch(striped, tmp_path):
    run = train(striped, replace(CONFIG, epochs=5, evaluate_every=2), tmp_path / "run")
    epochs, losses = run.epochs(), run.steps()["loss"]
    assert epochs["epoch"].tolist() == [2, 4, 5]
    np.testing.assert_allclose(epochs["train_loss"][0], losses[:12].mean(), rtol=1e-5)  # over both epochs


@pytest.mark.slow
def test_muon_says_what_it_updates(striped, tmp_path):
    notebook = Notebook()
    run = train(striped, replace(CONFIG, epochs=3, optimizer="muon", lr=0.01), tmp_path / "run", listener=notebook)
    (values,) = [values for key, values in notebook.notes if key == "training.muon_line"]
    assert values["matrices"] == 9
    assert values["share"] > 0.99
    losses = run.steps()["loss"]
    assert losses[-6:].mean() < losses[:6].mean()

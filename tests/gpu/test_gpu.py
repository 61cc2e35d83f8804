"""What only a GPU can show: recorded steps are the steps, photos stay on the device, memory that runs out is halved.

All are skipped where there is none.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from notebook import Notebook
from thalweg import models
from thalweg._replay import EAGER_CALLS, Replay
from thalweg.data.augmentation import AUGMENTATIONS, augmentation, draw_crops
from thalweg.data.augmenters import DeviceAugmenter, HostAugmenter
from thalweg.data.mixing import Mixing
from thalweg.runs import TrainingConfig
from thalweg.training import machine, resume, train
from thalweg.training.losses import Objective, Targets
from thalweg.training.number_format import Format
from thalweg.training.optimizers import build_optimizer
from thalweg.training.session import reopen
from thalweg.training.step import Gradients


pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CONFIG = TrainingConfig(model="resnet18-half", size=32, epochs=6, batch_size=16, optimizer="muon", device="cuda")


class TestReplay:
    def test_what_is_repeated_is_what_is_called(self):
        weight = torch.randn(4, 4, device="cuda")
        replay = Replay()
        for call in range(2 * EAGER_CALLS):
            x = torch.randn(3, 4, device="cuda")
            weight.normal_()  # what outlives the function is read anew
            result, nothing = replay(lambda x, _none: (x @ weight, None), x, None)
            assert nothing is None
            torch.testing.assert_close(result, x @ weight, msg=f"call {call}")

    def test_another_shape_is_another_recording(self):
        replay = Replay()
        for count in [3, 5] * 6:
            x = torch.randn(count, device="cuda")
            torch.testing.assert_close(replay(lambda x: (x * 2,), x)[0], x * 2)
        assert len(replay._recorded) == 2

    def test_what_is_drawn_is_drawn_anew_and_follows_the_seed(self):
        replay, draw = Replay(), lambda x: (torch.rand_like(x),)
        x = torch.zeros(100, device="cuda")
        drawn = []
        for _ in range(3 * EAGER_CALLS):
            torch.manual_seed(7)
            drawn.append(replay(draw, x)[0].clone())
        assert all(torch.equal(one, drawn[0]) for one in drawn)
        assert not torch.equal(replay(draw, x)[0], drawn[0])


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("mixed", [False, True])
def test_recorded_steps_train_as_called_ones(name, mixed, monkeypatch):
    """In fp32, beside the same training on the CPU."""

    def trained(device):
        torch.manual_seed(0)
        model = models.build("resnet-small", classes=3, size=16).to(device, memory_format=torch.channels_last)
        optimizer = build_optimizer(model, TrainingConfig(optimizer=name, lr=2e-3))
        gradients = Gradients(model, Objective("cross-entropy", 0.1), Format("fp32", "channels-last"))
        random, losses = torch.Generator().manual_seed(1), []
        for _ in range(8):
            images = torch.randn(8, 3, 16, 16, generator=random)
            labels = torch.randint(3, (8,), generator=random)
            targets = Targets(labels, labels.flip(0), torch.full((8,), 0.7)) if mixed else Targets(labels)
            loss = gradients(images.to(device, memory_format=torch.channels_last), targets.to(device), 1).loss
            losses.append(float(loss))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    np.testing.assert_allclose(trained("cuda"), trained("cpu"), rtol=2e-3)


@pytest.mark.parametrize("size", [64, 96, 128])
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_views_made_on_a_gpu_are_those_of_the_host_up_to_a_byte(name, size):
    images_NHWC = np.random.default_rng(0).integers(0, 256, (20, 160, 160, 3), dtype=np.uint8)
    normal = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    host, device = HostAugmenter(images_NHWC, *normal), DeviceAugmenter(images_NHWC, *normal, torch.device("cuda"))
    for seed in range(2 * EAGER_CALLS):
        views = draw_crops(augmentation(name), 8, 160, size, np.random.default_rng(seed))
        views = views._replace(colors_N3=np.ones((8, 3), dtype=np.float32))
        rows_N = np.random.default_rng(seed).integers(0, 20, 8)
        off = (host(rows_N, views, size) - device(rows_N, views, size).cpu()).abs()
        assert off.max() < 0.8 / 255 / 0.2  # half a byte, and half precision of the sums in between


def test_photos_mixed_on_a_gpu_are_those_of_the_host():
    images = torch.randn(16, 3, 32, 32).to(memory_format=torch.channels_last)
    there = images.to("cuda", copy=True)
    permutation_N, lambda_N = Mixing(0.5, 0.5, 3)(images, 1, 2)
    found = Mixing(0.5, 0.5, 3)(there, 1, 2)
    torch.testing.assert_close(there.cpu(), images)
    torch.testing.assert_close(found[0].cpu(), permutation_N)
    torch.testing.assert_close(found[1].cpu(), lambda_N)


@pytest.mark.parametrize(
    "techniques",
    [
        {},
        {"optimizer": "adamw", "ema": 0.9, "clip": 1.0},
        {"mixup": 0.3, "cutmix": 0.3, "drop_path": 0.1, "smaller_sizes": (16,), "augment": "shift"},
        {"optimizer": "schedule-free", "schedule": "warmup(5%)"},
        {"optimizer": "sgd", "momentum": 0.9, "lr": 0.05, "class_weights": "balanced"},
    ],
)
def test_a_training_learns_and_a_resumed_one_goes_on(striped, tmp_path, techniques):
    run = train(striped, replace(CONFIG, **techniques), tmp_path / "run")
    assert run.environment["device"] == "cuda"
    assert run.summary()["valid"]["accuracy"] > 0.5
    assert np.isfinite(run.steps()["loss"]).all()
    longer = replace(run, config=replace(run.config, epochs=8))
    longer.save()
    assert resume(run.path).summary()["epochs"] == 8


def test_the_photos_lie_on_the_gpu_and_where_they_do_not_fit_they_travel(striped, tmp_path, monkeypatch):
    run = train(striped, CONFIG, tmp_path / "run")
    assert isinstance(reopen(run.path).augmenter, DeviceAugmenter)
    monkeypatch.setattr(machine, "SHARE_OF_MEMORY", 0.0)
    travelling = train(striped, CONFIG, tmp_path / "travelling")
    assert isinstance(reopen(travelling.path).augmenter, HostAugmenter)
    assert travelling.summary()["valid"]["accuracy"] > 0.5


def test_memory_that_runs_out_halves_the_batch(striped, tmp_path):
    notebook = Notebook()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1.5e9) / total)
    try:
        config = replace(CONFIG, model="resnet18", size=384, batch_size=96, epochs=1, precision="fp32")
        run = train(striped, config, tmp_path / "run", listener=notebook)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert run.summary()["stopped"] == "done"
    assert "training.smaller_parts" in dict(notebook.notes)

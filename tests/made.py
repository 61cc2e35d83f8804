"""What tests share: small trainings, the facts of runs that no training made, and what opening a set gives."""

import pytest
import torch

from thalweg.data import open_images
from thalweg.errors import DataError
from thalweg.runs import TrainingConfig


SMALL = TrainingConfig(
    model="resnet-small",
    size=32,
    epochs=2,
    batch_size=16,
    augment="flip",
    precision="fp32",
    layout="channels-last",
    threads=1,
)

ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}


def train_watched(watch, model, optimizer, inputs, targets, loss_fn, rows_of_steps):
    """Train, each step on the samples of these rows, and record each step."""
    for rows in rows_of_steps:
        optimizer.zero_grad()
        loss = loss_fn(model(inputs[rows]), targets[rows])
        loss.backward()
        optimizer.step()
        watch.step(loss)


def in_turn(count, *, steps, batch):
    """The rows of each step: one slice of the samples after another, over and over."""
    slices = torch.arange(count).split(batch)
    return [slices[step % len(slices)] for step in range(steps)]


def facts(classes, path="/photos", **others):
    """The [data] table of a run over some classes."""
    return {
        "path": str(path),
        "layout": "flat",
        "classes": list(classes),
        "fingerprint": "ab12",
        "stored": 16,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "class_shares": [1 / len(classes)] * len(classes),
        "train": 600,
        "valid": 120,
        "test": 0,
        **others,
    }


def counts(images):
    """Photos of each split."""
    return [len(images.split(name)) for name in ("train", "valid", "test")]


def refused(path, **options):
    """The error with which a set is not opened; it is one line."""
    with pytest.raises(DataError) as caught:
        open_images(path, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def depthwise_and_twin():
    """A depthwise layer of ours, torch's with the same weights, and maps."""
    import torch

    from thalweg.models.depthwise import DepthwiseConv2d

    torch.manual_seed(0)
    ours = DepthwiseConv2d(16, 16, 3, padding=1, groups=16)
    theirs = torch.nn.Conv2d(16, 16, 3, padding=1, groups=16)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(2, 16, 4, 5)

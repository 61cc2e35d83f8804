"""The training of ResNet-18 by each side of `training.py`, timing every epoch without its evaluation.

Called by a Python that has the side's packages: reads one question of JSON, writes one answer. A side is the peer's own
program, or its documented loop if it has none; the one function that trains an epoch is timed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any


SIZE, BATCH = 128, 64
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def thalweg(photos: str, epochs: int, model: str, optimizer: str, lr: float) -> dict[str, Any]:
    """Run ours at its fastest number format, with a new photo cache and compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        from thalweg._files import cache_folder

        if (cache_folder() / "kernels").exists():
            shutil.copytree(cache_folder() / "kernels", Path(folder) / "kernels")
        os.environ["THALWEG_CACHE"] = folder
        from thalweg.runs import TrainingConfig
        from thalweg.training import loop, prepare, train

        whole, ends = timed(loop.TrainingLoop, "_epoch"), timed(loop.TrainingLoop, "_end_epoch")
        decoding, batches = timed(prepare, "decode_photos"), timed(loop.TrainingLoop, "_batch")
        config = TrainingConfig(
            model=model, size=SIZE, batch_size=BATCH, epochs=epochs, optimizer=optimizer, lr=lr, momentum=0.9
        )
        run = train(photos, config, Path(folder) / "run")
        preparing = run.summary()["seconds"]["preparing"]
    seconds = [epoch - end for epoch, end in zip(whole, ends, strict=True)]
    return {
        "seconds": seconds,
        "decoding": decoding[0],
        "preparing": preparing,
        "data_share": sum(batches[-len(batches) // epochs :]) / seconds[-1],
        "format": f"{run.environment['precision']} {run.environment['layout']}",
    }


def timm(photos: str, epochs: int, sources: str, flags: list[str]) -> dict[str, Any]:
    """Run timm's `train.py`, with its own augmentation and optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        program = imported(Path(sources) / "timm", "train")
        seconds = timed(program, "train_one_epoch")
        sys.argv = [
            *("train.py", photos, "--model", "resnet18", "--num-classes", "10", "--img-size", str(SIZE)),
            *("--batch-size", str(BATCH), "--epochs", str(epochs), "--warmup-epochs", "0", "--device", "cpu"),
            *("--output", folder, *flags),
        ]
        program.main()
    return {"seconds": seconds}


def torchvision(photos: str, epochs: int, sources: str) -> dict[str, Any]:
    """`references/classification/train.py`, with two workers, because its 16 suit larger machines."""
    program = imported(Path(sources) / "torchvision", "train")
    seconds = timed(program, "train_one_epoch")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            *("--data-path", photos, "--model", "resnet18", "--device", "cpu", "--batch-size", str(BATCH)),
            *("--epochs", str(epochs), "--workers", "2", "--train-crop-size", str(SIZE)),
            *("--val-resize-size", str(SIZE), "--val-crop-size", str(SIZE), "--output-dir", folder),
        ]
        program.main(program.get_args_parser().parse_args(arguments))
    return {"seconds": seconds}


def fastai(photos: str, epochs: int) -> dict[str, Any]:
    """Run fastai's `Learner` and optimizer on torchvision's network, augmented as in its Imagenette example."""
    from fastai.vision.all import FlipItem, ImageDataLoaders, Learner, Normalize, RandomResizedCrop
    from torchvision.models import resnet18

    seconds = timed(Learner, "_do_epoch_train")
    loaders = ImageDataLoaders.from_folder(
        photos,
        train="train",
        valid="val",
        item_tfms=[RandomResizedCrop(SIZE, min_scale=0.35), FlipItem(0.5)],
        batch_tfms=Normalize.from_stats(*IMAGENET),
        bs=BATCH,
    )
    with Learner(loaders, resnet18(num_classes=10)).no_bar() as learner:
        learner.fit(epochs)
    return {"seconds": seconds}


def keras(photos: str, epochs: int) -> dict[str, Any]:
    """Run Keras' `fit` on torch over a torch DataLoader, as in its guide; it has no ResNet-18, so we define one."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    views = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE, scale=(0.35, 1)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(*IMAGENET),
            _channels_last,
        ]
    )
    loader = DataLoader(
        datasets.ImageFolder(f"{photos}/train", views), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True
    )
    began, seconds = [0.0], []
    model = _keras_resnet18(keras)
    model.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    timer = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: began.append(time.perf_counter()),
        on_epoch_end=lambda *_: seconds.append(time.perf_counter() - began[-1]),
    )
    model.fit(loader, epochs=epochs, verbose=0, callbacks=[timer])
    return {"seconds": seconds}


def _channels_last(image_CHW: Any) -> Any:
    return image_CHW.permute(1, 2, 0)


def _keras_resnet18(keras: Any) -> Any:
    layers = keras.layers

    def convolved(images: Any, channels: int, kernel: int, stride: int, *, active: bool = True) -> Any:
        images = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False)(images)
        images = layers.BatchNormalization()(images)
        return layers.ReLU()(images) if active else images

    inputs = keras.Input((SIZE, SIZE, 3))
    images = layers.MaxPooling2D(3, 2, padding="same")(convolved(inputs, 64, 7, 2))
    for channels, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first, 1):
            branch = convolved(convolved(images, channels, 3, stride), channels, 3, 1, active=False)
            if stride > 1:
                images = convolved(images, channels, 1, stride, active=False)
            images = layers.ReLU()(images + branch)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(images)))


def timed(owner: Any, name: str) -> list[float]:
    """Record the seconds of each call of a function or method in this process, in the returned list."""
    seconds: list[float] = []
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, name, wrapped)
    return seconds


def imported(folder: Path, name: str) -> Any:
    """Import a program of a peer's repository as a module."""
    sys.path.insert(0, str(folder))
    return importlib.import_module(name)


def machine(packages: list[str]) -> dict[str, Any]:
    """Return versions, and the current speed of a matrix product in GFLOP/s."""
    import torch

    from thalweg.training.machine import matmul_gflops

    versions = {name: metadata.version(name) for name in ["torch", *packages]}
    return {"matmul": matmul_gflops(torch.device("cpu")), "versions": {"python": platform.python_version(), **versions}}


SIDES = {side.__name__: side for side in (thalweg, timm, torchvision, fastai, keras)}


def main() -> None:
    question = json.loads(sys.stdin.readline())
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        facts = machine(question["packages"])
        found = SIDES[question["side"]](question["photos"], question["epochs"], **question["options"])
    print(json.dumps(facts | found), file=answers, flush=True)


if __name__ == "__main__":
    main()

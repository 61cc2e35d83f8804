"""Configurations that have a name, each of documented fields; and the one that a budget affords."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from thalweg.errors import UnknownNameError
from thalweg.training.config import TrainingConfig


if TYPE_CHECKING:
    from pathlib import Path

REACHED = 0.5  # of the matrix product's speed, by a training with all that belongs to it

RECIPES = {
    # The notebook of the course's third homework, to the letter: pictures squashed to 128 px and not normalized,
    # the five-block CNN, Adam at a constant rate, gradients clipped at 10, the best epoch kept. The number format is
    # the machine's fastest, as in every recipe: --precision fp32 is the notebook's.
    "homework": TrainingConfig(
        model="cnn",
        size=128,
        epochs=8,
        batch_size=64,
        optimizer="adam",
        lr=3e-4,
        weight_decay=1e-5,
        schedule="constant",
        augment="none",
        normalize=False,
        label_smoothing=0.0,
        clip=10.0,
        select="best",
        patience=300,
    ),
    # Small pictures, or a first look in a minute: what `thalweg demo` uses. A small network, muon, shifts and flips.
    "quick": TrainingConfig(
        model="resnet-small",
        epochs=20,
        batch_size=128,
        optimizer="muon",
        lr=2e-2,
        schedule="warmup(10%) > linear",
        augment="shift",
        evaluate_every=4,
    ),
    # The default: from scratch on two cores, a few thousand photos in ten minutes. Muon, growing photos, most mixed.
    "standard": TrainingConfig(
        smaller_sizes=(64, 96),
        epochs=65,
        optimizer="muon",
        lr=5e-3,
        schedule="warmup(5%) > linear",
        mixup=0.2,
        cutmix=0.5,
        evaluate_every=5,
    ),
    # An hour on two cores for a few thousand photos: standard's, with a network of twice the width, larger photos, more
    # decay, and the average of the weights.
    "strong": TrainingConfig(
        model="resnet18",
        max_size=160,
        smaller_sizes=(96, 128),
        epochs=80,
        optimizer="muon",
        lr=5e-3,
        weight_decay=0.1,
        schedule="warmup(5%) > linear",
        mixup=0.2,
        cutmix=0.5,
        ema=0.998,
        evaluate_every=5,
    ),
}


def recipe(name: str) -> TrainingConfig:
    """The configuration of a recipe.

    Raises:
        UnknownNameError: no such recipe; the nearest are offered.

    Example:
        >>> recipe("homework").lr
        0.0003
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]


class Affordable(NamedTuple):
    """A recipe for a budget: its name, the epochs that the budget is enough for, and the speed that says so."""

    recipe: str
    epochs: float
    gflops: float


def affordable(photos: Path | str, budget: float, **fields: Any) -> Affordable:
    """The most thorough recipe of which a budget affords half of the epochs, else `quick`.

    The time of an epoch is estimated from the network's FLOPs, three times a forward pass a photo, over the sizes that
    the photos grow through, at `REACHED` of the speed of this machine's matrix product, which is measured for a tenth
    of a second.

    Args:
        photos: as `train` takes them.
        budget: in seconds; where there are folds, they share it.
        **fields: of the configuration that are not the recipe's.

    Raises:
        DataError: there are no photos.
    """
    from thalweg import models
    from thalweg.training.plan import matmul_gflops, settled_device, settled_sizes, typical_side
    from thalweg.training.preparation import opened

    asked = replace(TrainingConfig(), **fields)
    images = opened(photos, asked)
    typical, count = typical_side(images), len(images.split("train"))
    if asked.folds and asked.fold is None:
        count = round((count + len(images.split("valid"))) * (1 - 1 / asked.folds))
        budget /= asked.folds
    gflops = max(matmul_gflops(settled_device(asked.device)).values())
    for name in ("strong", "standard", "quick"):
        config = replace(RECIPES[name], **fields)
        seen, _ = settled_sizes(config.size, config.max_size, typical, 1.0)
        if seen < models.smallest_size(config.model):
            continue
        sides = [*(side for side in config.smaller_sizes if side < seen), seen]
        pixels = sum(side**2 for side in sides) / len(sides) / seen**2  # of those at full size, on the average
        flops = 3 * pixels * models.describe(config.model, size=seen, classes=len(images.classes)).flops
        epochs = budget * REACHED * gflops * 1e9 / (flops * count)
        if name == "quick" or epochs >= (config.epochs or 0) / 2:
            break
    return Affordable(name, epochs, gflops)

"""Configurations that have a name."""

from __future__ import annotations

from thalweg.errors import UnknownNameError
from thalweg.training.config import TrainingConfig


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
    # Small pictures, little time: what `thalweg demo` uses.
    "quick": TrainingConfig(epochs=16, augment="light", label_smoothing=0.0),
    # The default: from scratch on two cores, a few thousand photos.
    "standard": TrainingConfig(),
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

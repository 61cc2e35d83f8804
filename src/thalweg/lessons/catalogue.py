"""The lessons, in reading order."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from thalweg.errors import UnknownNameError
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.lessons.lesson import Lesson

_CLASSES: Final = {
    "stuck-but-gradient-large": "StuckButGradientLarge",
    "saddle-or-minimum": "SaddleOrMinimum",
    "batch-size": "BatchSize",
    "momentum-escapes": "MomentumEscapes",
    "convex-valley": "ConvexValley",
    "adagrad-arrives-and-bursts": "AdagradArrivesAndBursts",
    "decay-calms": "DecayCalms",
    "rmsprop-forgets": "RmspropForgets",
    "adam-is-both": "AdamIsBoth",
    "momentum-map": "MomentumMapLesson",
    "warm-up": "WarmUp",
    "one-hot-not-numbers": "OneHotNotNumbers",
    "softmax-sharpens": "SoftmaxSharpens",
    "sigmoid-is-two-class-softmax": "SigmoidIsTwoClassSoftmax",
    "mse-or-cross-entropy": "MseOrCrossEntropy",
    "sigmoid-saturates": "SigmoidSaturates",
    "initialization": "Initialization",
    "batch-norm-rounds-the-valley": "BatchNormRoundsTheValley",
    "what-a-convolution-sees": "WhatAConvolutionSees",
    "receptive-field": "ReceptiveField",
    "full-or-convolved": "FullOrConvolved",
    "overfitting-and-validation": "OverfittingAndValidation",
    "early-stopping": "EarlyStopping",
    "augmentation-closes-the-gap": "AugmentationClosesTheGap",
    "better-valley": "BetterValley",
}


def names() -> tuple[str, ...]:
    """The names of all lessons, in reading order.

    Example:
        >>> len(names())
        25
    """
    return tuple(_CLASSES)


def title_of(name: str) -> str:
    """What a lesson shows, in one line; no lesson is loaded for it."""
    return t(f"lessons.{name.replace('-', '_')}_title")


def get(name: str) -> Lesson:
    """A lesson with its own settings.

    Args:
        name: one of `names()`.

    Raises:
        UnknownNameError: there is no such lesson.

    Example:
        >>> get("softmax-sharpens").run().numbers["share_1"].__round__(2)
        0.88
    """
    if name not in _CLASSES:
        raise UnknownNameError("lesson", name, _CLASSES)
    module = import_module(f"thalweg.lessons.{name.replace('-', '_')}")
    return getattr(module, _CLASSES[name])()

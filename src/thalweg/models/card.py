"""The cost of a network: its parameters, and its floating-point operations per photo."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from thalweg.models.registry import build, names


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A network at a size.

    Attributes:
        name: name of the network.
        size: side of the photos in pixels.
        classes: number of classes.
        parameters: number of learned values.
        flops: floating-point operations of the forward pass of one photo, counting two per multiply-add, in
            convolutions and matrix products only. A training step takes about three times as many.
    """

    name: str
    size: int
    classes: int
    parameters: int
    flops: int


def describe(name: str, *, size: int, classes: int) -> ModelCard:
    """Count a network's parameters and FLOPs; this package's networks are not allocated for it.

    Args:
        name: one of `names()`, or `timm:NAME`.
        size: side of the photos in pixels.
        classes: number of classes.

    Raises:
        UnknownNameError: no such network.
        UsageError: the photos are too small for the network.

    Example:
        >>> describe("cnn", size=128, classes=11).parameters
        12833803
    """
    with torch.device("meta" if name in names() else "cpu"), torch.random.fork_rng(devices=[]):
        model = build(name, classes=classes, size=size).eval()
        image_NCHW = torch.empty(1, 3, size, size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image_NCHW)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelCard(name, size, classes, parameters, counter.get_total_flops())

"""The networks by name."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from thalweg.errors import UnknownNameError, UsageError
from thalweg.models import cnn, efficientnet_lite0, residual, resnet, small, timm


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn


@dataclass(frozen=True, slots=True)
class _Entry:
    build: Callable[[int, int], nn.Module]
    smallest: int


_ENTRIES = {
    "cnn": _Entry(cnn.build_cnn, cnn.SMALLEST),
    "residual": _Entry(residual.build_residual, residual.SMALLEST),
    "resnet18": _Entry(resnet.build_resnet18, resnet.SMALLEST),
    "resnet18-half": _Entry(partial(resnet.build_resnet18, width=32), resnet.SMALLEST),
    "resnet-small": _Entry(small.build_small, small.SMALLEST),
    "efficientnet-lite0": _Entry(efficientnet_lite0.build_efficientnet_lite0, efficientnet_lite0.SMALLEST),
}


def names() -> list[str]:
    """Return the names of this package's networks; `timm:NAME` also works for timm's."""
    return list(_ENTRIES)


def smallest_size(name: str) -> int:
    """Return the smallest side of photos, in pixels, that a network takes; 1 for timm's, where it is unknown.

    Raises:
        UnknownNameError: no such network.
    """
    return 1 if name.startswith(timm.PREFIX) else _entry(name).smallest


def build(name: str, *, classes: int, size: int) -> nn.Module:
    """Build a network with random weights from torch's random state, in fp32, in training mode.

    Args:
        name: one of `names()`, or `timm:NAME`.
        classes: number of classes.
        size: side of the photos in pixels.

    Returns:
        A module that maps images (N, 3, size, size) to logits (N, classes) and has the attribute `taps`.

    Raises:
        UnknownNameError: there is no such network; the message suggests the nearest names.
        UsageError: the photos are too small for the network.
        MissingExtraError: timm is not installed.

    Example:
        >>> import torch
        >>> build("resnet18-half", classes=11, size=128)(torch.zeros(2, 3, 128, 128)).shape
        torch.Size([2, 11])
    """
    if name.startswith(timm.PREFIX):
        return timm.build_timm(name.removeprefix(timm.PREFIX), classes=classes, size=size)
    entry = _entry(name)
    if size < entry.smallest:
        raise UsageError("models.too_small", name=name, size=size, smallest=entry.smallest)
    return entry.build(classes, size)


def check_sizes(model: nn.Module, name: str, sizes: Sequence[int], *, alone: bool = False) -> None:
    """Reject sizes that a network cannot take: linear layers over whole maps work at one size only.

    Args:
        model: the network, built for another size; its mode, weights and buffers stay unchanged.
        name: name of the network, for the message.
        sizes: sides of photos in pixels.
        alone: whether batches hold a single photo, so that maps of one pixel leave batch norm nothing to average.

    Raises:
        UsageError: the network cannot take one of the sizes.
    """
    mode = model.training
    tried = copy.deepcopy(model) if alone else model.eval()
    try:
        for size in sizes:
            if size < smallest_size(name):
                raise UsageError("models.too_small", name=name, size=size, smallest=smallest_size(name))
            try:
                with torch.inference_mode():
                    tried(torch.zeros(1, 3, size, size))
            except (AssertionError, RuntimeError, ValueError) as error:
                reason = "models.one_photo" if alone else "models.one_size"
                raise UsageError(reason, name=name, size=size) from error
    finally:
        model.train(mode)


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        raise UnknownNameError("model", name, [*_ENTRIES, f"{timm.PREFIX}NAME"])
    return _ENTRIES[name]

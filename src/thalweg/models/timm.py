"""The bridge to timm (extra `timm`): `timm:NAME` is timm's model of that name, untrained.

The model is timm's own, with timm's names for its weights; `taps` is added, and depthwise convolutions are quicker.
"""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.errors import MissingExtraError, ThalwegError, UsageError
from thalweg.models.depthwise import quicken
from thalweg.models.outputs import features


if TYPE_CHECKING:
    from types import ModuleType

PREFIX = "timm:"


def build_timm(name: str, *, classes: int, size: int) -> nn.Module:
    """Build a timm model with random weights.

    Args:
        name: timm's name, without the prefix.
        classes: number of classes.
        size: side of the photos in pixels.

    Raises:
        MissingExtraError: timm is not installed.
        ThalwegError: timm is installed, but cannot be imported.
        UsageError: timm has no such model, the model cannot take the size, or its features cannot be read.

    Source: Wightman 2019, https://github.com/huggingface/pytorch-image-models.
    """
    timm = import_timm()
    known = timm.list_models()
    if name not in known:
        nearest = get_close_matches(name, known, n=5, cutoff=0.4)
        raise UsageError("models.unknown_timm", name=name, nearest=", ".join(nearest) or "-")
    model = _create(timm, name, classes, size)
    quicken(model)
    images_NCHW = torch.zeros(1, 3, size, size)
    try:
        with torch.inference_mode():
            model.eval()(images_NCHW)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError("models.timm_refuses", name=name, size=size, reason=error) from error
    top = _classifier(model)
    for mid in (_middle(model), top):  # some stages return lists of maps: then only the top is read
        model.taps = {"mid": mid, "top": top}  # type: ignore[assignment]
        with suppress(AttributeError, RuntimeError, ValueError), torch.inference_mode():
            features(model, images_NCHW)
            return model.train()
    raise UsageError("models.timm_untapped", name=name)


def import_timm() -> ModuleType:
    """Import timm.

    Raises:
        MissingExtraError: it is not installed.
        ThalwegError: it is installed, but cannot be imported.
    """
    try:
        return import_module("timm")
    except ModuleNotFoundError as error:
        if error.name == "timm":
            raise MissingExtraError("timm", "timm") from error
        raise ThalwegError("models.broken_timm", reason=error) from error
    except (ImportError, RuntimeError) as error:  # torchvision beside a torch of another build
        raise ThalwegError("models.broken_timm", reason=error) from error


def _create(timm: ModuleType, name: str, classes: int, size: int) -> nn.Module:
    """Create the model; transformers need the size at construction, convolutional networks do not accept it."""
    options: dict[str, Any] = {"pretrained": False, "num_classes": classes}
    try:
        return timm.create_model(name, img_size=size, **options)
    except TypeError:
        return timm.create_model(name, **options)


def _middle(model: nn.Module) -> nn.Module:
    """Return the middle stage that timm lists, else the middle of the longest sequence of modules, else the model."""
    stages = [entry["module"] for entry in getattr(model, "feature_info", [])]
    if stages:
        return model.get_submodule(stages[len(stages) // 2])
    rows = [module for module in model.modules() if isinstance(module, nn.Sequential | nn.ModuleList)]
    longest = max(rows, key=len, default=None)
    if not longest:
        return model
    return longest[len(longest) // 2]


def _classifier(model: nn.Module) -> nn.Module:
    """Return the last linear layer; some models have a 1×1 convolution instead."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return [model, *convolutions, *linear][-1]

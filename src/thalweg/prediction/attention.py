"""Where a network looked: the gradient of a class's logit, averaged over each map, weighs the maps.

Shape suffixes: C classes or channels, H height, W width.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg.data.augmentation import Crops
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import plain_batches
from thalweg.data.cropping import crop_photos


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.training import Run


@dataclass(frozen=True, slots=True)
class Look:
    """What a network makes of one photo.

    Attributes:
        probability_C: of each class.
        label: the class whose logit is highest.
        maps: `mid` and `top`, each (H, W) in [0, 1]: how much each place spoke for the class; a tap without maps of
            its own (tokens, vectors) has none.
    """

    probability_C: NDArray[np.float64]
    label: int
    maps: Mapping[str, NDArray[np.float32]]


def look(model: nn.Module, run: Run, image_HWC: NDArray[np.uint8]) -> Look:
    """Classify one photo, and see which places spoke for the answer.

    `map = relu(Σ_C α_C A_C)`, `α_C = mean over H, W of ∂ logit / ∂ A_C`, divided by the map's largest value. `mid` is
    the tap of that name; `top` are the last maps before the tap of that name, which is a vector.

    Args:
        model: from `predictor.best_model`.
        run: that it is of.
        image_HWC: RGB, as the cache keeps it: `data.decoding.decode` at the run's stored size.

    Source: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391.
    """
    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    batches = plain_batches(
        HostAugmenter(seen_pixels(run, image_HWC)[None], run.data["mean"], run.data["std"]),
        np.zeros(1, dtype=np.int64),
        size=run.config.size,
        batch_size=1,
    )
    with torch.enable_grad():
        logits_1C, found = _with_maps(model, next(iter(batches)))
        label = int(logits_1C.argmax())
        gradients = torch.autograd.grad(logits_1C[0, label], list(found.values()), allow_unused=True)
    maps = {name: _weighed(maps, gradient) for (name, maps), gradient in zip(found.items(), gradients, strict=True)}
    probability_1C = (logits_1C.detach().double() / run.temperature).softmax(dim=1)  # as prediction says it
    return Look(probability_1C[0].numpy(), label, maps)


def seen_pixels(run: Run, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The very pixels that the network is given, before they are normalized: (size, size, 3)."""
    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    side, size = len(image_HWC), run.config.size
    whole = Crops(
        np.array([[0, 0, side, side]]), np.array([False]), np.ones((1, 3), np.float32), np.zeros((1, 4), np.int64)
    )
    return crop_photos(image_HWC[None], np.zeros(1, dtype=np.int64), whole, size)[0]


def _with_maps(model: nn.Module, images_NCHW: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and the maps at the middle tap and the last ones of all, as they were on the way."""
    middle: nn.Module = model.taps["mid"]  # type: ignore[index] - every network has taps
    found: dict[str, Tensor] = {}

    def keep(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.requires_grad:
            if output.shape[2] * output.shape[3] > 1:
                found["top"] = output
            if module is middle:
                found["mid"] = output

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.callback(module.register_forward_hook(keep).remove)
        logits_NC = model(images_NCHW)
    return logits_NC.float(), dict(sorted(found.items()))


def _weighed(maps_1CHW: Tensor, gradient_1CHW: Tensor | None) -> NDArray[np.float32]:
    if gradient_1CHW is None:
        return np.zeros(tuple(maps_1CHW.shape[2:]), dtype=np.float32)
    weights_C = gradient_1CHW[0].mean(dim=(1, 2))
    map_HW = torch.relu(torch.einsum("c,chw->hw", weights_C, maps_1CHW[0].detach()))
    return (map_HW / map_HW.max().clamp_min(1e-30)).numpy().astype(np.float32)

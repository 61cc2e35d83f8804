"""Where a network looked: its maps, weighted by the mean gradient of a class's logit (Grad-CAM).

Shape suffixes: C classes or channels, H height, W width.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg.data.augmentation import Crops
from thalweg.data.cropping import crop_photos
from thalweg.runs.photos import evaluation_batches


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.runs import Run


@dataclass(frozen=True, slots=True)
class Attention:
    """The network's answer for one photo, and where it looked.

    Attributes:
        probability_C: probability of each class.
        label: the class that the maps are of: the one with the highest logit, unless another was asked for.
        maps: `mid` and `top`, each (H, W) in [0, 1]: how much each place contributed to the class; a tap without
            maps (tokens, vectors) has none.
    """

    probability_C: NDArray[np.float64]
    label: int
    maps: Mapping[str, NDArray[np.float32]]


def attention(model: nn.Module, run: Run, image_HWC: NDArray[np.uint8], *, label: int | None = None) -> Attention:
    """Classify one photo and compute which places contributed to the answer.

    `map = relu(Σ_C α_C A_C)`, `α_C = mean over H, W of ∂ logit / ∂ A_C`, divided by the map's largest value. `mid` is
    the tap of that name; `top` are the last maps before the tap of that name, which is a vector.

    Args:
        model: from `run.load_network()`.
        run: the run.
        image_HWC: RGB, as in the cache: from `data.decoding.decode` at the run's stored size.
        label: the class that the maps are of; None: the one with the highest logit.

    Source: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391.
    """
    pixels_1HWC, first = seen_pixels(run, image_HWC)[None], np.zeros(1, dtype=np.int64)
    batches = evaluation_batches(pixels_1HWC, run.data, first, size=run.config.size, batch_size=1)
    with torch.enable_grad():
        logits_1C, found = _with_maps(model, next(iter(batches)))
        label = int(logits_1C.argmax()) if label is None else label
        gradients = torch.autograd.grad(logits_1C[0, label], list(found.values()), allow_unused=True)
    maps = {name: _weighed(maps, gradient) for (name, maps), gradient in zip(found.items(), gradients, strict=True)}
    probability_1C = run.task.probabilities(logits_1C.detach().numpy(), run.temperature)
    return Attention(probability_1C[0], label, maps)


def seen_pixels(run: Run, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the network's input pixels before normalization: (size, size, 3)."""
    side, size = len(image_HWC), run.config.size
    whole = Crops(
        np.array([[0, 0, side, side]]), np.array([False]), np.ones((1, 3), np.float32), np.zeros((1, 4), np.int64)
    )
    return crop_photos(image_HWC[None], np.zeros(1, dtype=np.int64), whole, size)[0]


def _with_maps(model: nn.Module, images_NCHW: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the logits, the maps at the middle tap, and the last maps of the network."""
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

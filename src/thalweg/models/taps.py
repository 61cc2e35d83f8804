"""Features of photos at the taps of a network, for t-SNE and whoever wants to see inside.

Shape suffixes: N photos, C channels or classes, D features, H height, W width, T tokens.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from torch.nn.functional import adaptive_avg_pool2d


if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

MID_SIDE = 2


def features(model: nn.Module, images_NCHW: Tensor) -> dict[str, Tensor]:
    """Logits and the features at both taps, from one forward pass.

    Maps are averaged over a grid of at most 2×2 cells and then flattened, which keeps where things are, roughly, and
    makes the features few enough for t-SNE; tokens of a transformer are averaged over the photo. The model is run as
    it is: set `eval()` and `inference_mode` before. Its hooks are gone afterwards, also when it fails.

    Args:
        model: a network of this package or of timm.
        images_NCHW: photos, as the network takes them.

    Returns:
        `logits` (N, classes), `mid` (N, D) and `top` (N, D), all float32 on the model's device.

    Example:
        >>> import torch
        >>> from thalweg.models import build
        >>> model = build("resnet18-half", classes=10, size=28).eval()
        >>> {name: tuple(found.shape) for name, found in features(model, torch.zeros(5, 3, 28, 28)).items()}
        {'mid': (5, 256), 'top': (5, 256), 'logits': (5, 10)}
    """
    taps: Mapping[str, nn.Module] = model.taps  # type: ignore[assignment]
    channels_at_end = getattr(model, "output_fmt", "") == "NHWC"  # so timm marks Swin and its relatives
    found: dict[str, Tensor] = {}

    def keep_output(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found["mid"] = _vectors(output.movedim(-1, 1) if channels_at_end else output)

    def keep_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found["top"] = _vectors(inputs[0])

    with ExitStack() as hooks:
        hooks.callback(taps["mid"].register_forward_hook(keep_output).remove)
        hooks.callback(taps["top"].register_forward_pre_hook(keep_input).remove)
        logits_NC = model(images_NCHW)
    return {**found, "logits": logits_NC.float()}


def _vectors(activations: Tensor) -> Tensor:
    """One float32 vector a photo: from (N, C, H, W), (N, T, D) or (N, D)."""
    activations = activations.detach().float()
    if activations.ndim == 3:
        return activations.mean(dim=1)
    if activations.ndim == 4:
        height, width = activations.shape[2:]
        activations = adaptive_avg_pool2d(activations, (min(height, MID_SIDE), min(width, MID_SIDE)))
    return activations.flatten(start_dim=1)

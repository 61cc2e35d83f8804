"""The outputs of a network: logits over batches, and the features at its taps.

Shape suffixes: N photos, C channels or classes, D features, H height, W width, T tokens.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import adaptive_avg_pool2d


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor, nn

MID_SIDE = 2
BLOCK = 16_000_000  # logits that are held at a time


def features(model: nn.Module, images_NCHW: Tensor) -> dict[str, Tensor]:
    """Compute logits and the features at both taps in one forward pass.

    Maps are averaged over a grid of at most 2×2 cells and then flattened, which roughly keeps positions and leaves few
    enough features for t-SNE. Tokens of a transformer are averaged over the photo. The model runs in its current mode:
    call `eval()` and enter `inference_mode` first. All hooks are removed, even on failure.

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
    channels_at_end = getattr(model, "output_fmt", "") == "NHWC"  # how timm marks Swin and its relatives
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
    """Return one float32 vector per photo from (N, C, H, W), (N, T, D) or (N, D)."""
    activations = activations.detach().float()
    if activations.ndim == 3:
        return activations.mean(dim=1)
    if activations.ndim == 4:
        height, width = activations.shape[2:]
        activations = adaptive_avg_pool2d(activations, (min(height, MID_SIDE), min(width, MID_SIDE)))
    return activations.flatten(start_dim=1)


def logits_of(model: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """Compute the network's outputs over batches, in evaluation mode and fp32; the model's mode is restored.

    Args:
        model: the network.
        batches: photos, (N, 3, H, W).

    Returns:
        (N, C), fp32, on the CPU.
    """
    blocks = list(logits_in_blocks(model, batches))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def logits_in_blocks(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Compute the same as `logits_of`, and yield it in blocks of at most 64 MB: of few classes, all in one."""
    with _evaluating(model) as (device, memory_format):
        outputs: list[Tensor] = []
        values = 0
        for images in batches:
            with torch.inference_mode():
                outputs.append(model(images.to(device, memory_format=memory_format)).float())
            values += outputs[-1].numel()
            if values + outputs[-1].numel() > BLOCK:
                yield torch.cat(outputs).cpu()
                outputs, values = [], 0
        if outputs:
            yield torch.cat(outputs).cpu()  # once a block, so as not to wait for a GPU after every batch


def features_of(model: nn.Module, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Compute logits and features over batches, in evaluation mode and fp32; the model's mode is restored.

    Returns:
        `logits` (N, C), `mid` (N, D), `top` (N, D), on the CPU.
    """
    collected: dict[str, list[Tensor]] = {}
    for found in features_in_batches(model, batches):
        for name, tensor in found.items():
            collected.setdefault(name, []).append(tensor)
    return {name: torch.cat(parts) for name, parts in collected.items()}


def features_in_batches(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
    """Compute the same as `features_of`, and yield it batch by batch."""
    with _evaluating(model) as (device, memory_format):
        for images in batches:
            with torch.inference_mode():
                found = features(model, images.to(device, memory_format=memory_format))
            yield {name: tensor.float().cpu() for name, tensor in found.items()}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[tuple[torch.device, torch.memory_format]]:
    mode = model.training
    weight = next(parameter for parameter in model.parameters())
    kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    last = any(
        kernel.is_contiguous(memory_format=torch.channels_last) and not kernel.is_contiguous() for kernel in kernels
    )
    model.eval()
    try:
        yield weight.device, torch.channels_last if last else torch.contiguous_format
    finally:
        model.train(mode)

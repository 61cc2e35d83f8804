"""Building blocks of this package's networks.

Shape suffixes: N photos, C channels or classes, H height, W width.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.errors import UsageError
from thalweg.models.conv_norm import ConvNorm


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

_generator: ContextVar[torch.Generator | None] = ContextVar("_generator", default=None)


class Network(nn.Module):
    """Stages that compute maps, a neck that reduces them to one vector, and a linear classifier.

    Args:
        stages: map photos to maps.
        neck: maps (N, C, H, W) to vectors (N, D).
        classifier: maps vectors to logits.
        middle: index of the stage that is the tap `mid`.
    """

    def __init__(self, stages: Sequence[nn.Module], neck: nn.Module, classifier: nn.Linear, *, middle: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.neck = neck
        self.classifier = classifier
        self.middle = middle

    @property
    def taps(self) -> Mapping[str, nn.Module]:
        """`mid`: a stage, read at its output; `top`: the last linear layer, read at its input."""
        return {"mid": self.stages[self.middle], "top": self.classifier}

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits of shape (N, classes)."""
        return self.classifier(self.neck(self.stages(images_NCHW)))


class Residual(nn.Module):
    """`relu(shortcut(x) + branch(x))`; in training, some photos may skip the branch.

    Args:
        branch: the layers beside the shortcut.
        shortcut: the identity, or layers that bring `x` to the shape of the branch's output.
        rectified: whether the relu is applied; the sum of a linear bottleneck stays as it is.

    Attributes:
        drop: probability that a photo skips the branch in a training step, in [0, 1); for the others the branch is
            multiplied by `1 / (1 - drop)`.

    Source: He et al. 2015, https://arxiv.org/abs/1512.03385; Huang et al. 2016 for the dropping,
    https://arxiv.org/abs/1603.09382.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None, *, rectified: bool = True) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.rectified = rectified
        self.drop = 0.0

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Return maps of the branch's shape."""
        branch_NCHW = self.branch(maps_NCHW)
        if self.drop and self.training:
            kept_N111 = _drawn(len(maps_NCHW), maps_NCHW.device)[:, None, None, None] >= self.drop
            branch_NCHW = branch_NCHW * (kept_N111 / (1 - self.drop)).to(branch_NCHW.dtype)
        sum_NCHW = self.shortcut(maps_NCHW) + branch_NCHW
        return torch.relu(sum_NCHW) if self.rectified else sum_NCHW


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let the networks of this package draw from a generator in this thread, on a CPU; else they draw from torch's."""
    token = _generator.set(generator)
    try:
        yield
    finally:
        _generator.reset(token)


def _drawn(count: int, device: torch.device) -> Tensor:
    """Uniform numbers in [0, 1)."""
    return torch.rand(count, device=device, generator=_generator.get() if device.type == "cpu" else None)


def classifier_of(model: nn.Module) -> nn.Module:
    """Return the last layer of a network of this package or of timm: the tap `top`."""
    taps: Mapping[str, nn.Module] = model.taps  # type: ignore[assignment] - every network has taps
    return taps["top"]


def set_drop_path(model: nn.Module, most: float) -> None:
    """Skip residual branches in training: the last with probability `most`, earlier ones with less.

    Raises:
        UsageError: the network has no residual blocks of this package.
    """
    blocks = [module for module in model.modules() if isinstance(module, Residual)]
    if most and not blocks:
        raise UsageError("models.no_residual_blocks")
    for position, block in enumerate(blocks):
        block.drop = most * (position + 1) / len(blocks)


def conv_norm(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> ConvNorm:
    """A padded convolution without bias, since the norm that follows would cancel it."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return ConvNorm(conv, nn.BatchNorm2d(outputs))


def global_average() -> nn.Sequential:
    """The mean of every map, of any size: (N, C, H, W) to (N, C)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

"""What the networks of this package are made of.

Shape suffixes: N photos, C channels or classes, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Network(nn.Module):
    """Stages that make maps, a neck that makes one vector of them, and a linear classifier.

    Args:
        stages: from photos to maps.
        neck: from maps (N, C, H, W) to vectors (N, D).
        classifier: from vectors to logits.
        middle: index of the stage whose output is the tap `mid`.
    """

    def __init__(self, stages: Sequence[nn.Module], neck: nn.Module, classifier: nn.Linear, *, middle: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.neck = neck
        self.classifier = classifier
        self.middle = middle

    @property
    def taps(self) -> Mapping[str, nn.Module]:
        """`mid`: the stage whose output is looked at; `top`: the last linear layer, whose input is."""
        return {"mid": self.stages[self.middle], "top": self.classifier}

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits of shape (N, classes)."""
        return self.classifier(self.neck(self.stages(images_NCHW)))


class Residual(nn.Module):
    """`relu(shortcut(x) + branch(x))`; in training the branch may be left out for some photos.

    Args:
        branch: what is learned beside the shortcut.
        shortcut: the identity, or what brings `x` to the shape of the branch's output.

    Attributes:
        drop: share of the photos for which a training step leaves the branch out, in [0, 1); for the others it is
            multiplied by `1 / (1 - drop)`.

    Source: He et al. 2015, https://arxiv.org/abs/1512.03385; Huang et al. 2016 for the dropping,
    https://arxiv.org/abs/1603.09382.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.drop = 0.0

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Maps of the branch's shape."""
        branch_NCHW = self.branch(maps_NCHW)
        if self.drop and self.training:
            kept_N111 = torch.rand(len(maps_NCHW), 1, 1, 1, device=maps_NCHW.device) >= self.drop
            branch_NCHW = branch_NCHW * (kept_N111 / (1 - self.drop)).to(branch_NCHW.dtype)
        return torch.relu(self.shortcut(maps_NCHW) + branch_NCHW)


def set_drop_path(model: nn.Module, most: float) -> None:
    """Let a training leave out residual branches: the last for a share `most` of the photos, earlier ones for less.

    Raises:
        UsageError: the network has no residual blocks of this package.
    """
    blocks = [module for module in model.modules() if isinstance(module, Residual)]
    if most and not blocks:
        raise UsageError("models.no_residual_blocks")
    for position, block in enumerate(blocks):
        block.drop = most * (position + 1) / len(blocks)


def conv_norm(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, without the bias that the norm after it would cancel."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def global_average() -> nn.Sequential:
    """The mean of every map: from (N, C, H, W) to (N, C), at any size."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

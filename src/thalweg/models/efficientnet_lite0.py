"""EfficientNet-Lite0: inverted residuals without squeeze-and-excitation, for which trained weights are published."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from torch import nn

from thalweg.models.conv_norm import ConvNorm
from thalweg.models.depthwise import SameConv2d
from thalweg.models.network import Network, Residual, global_average
from thalweg.models.relu6 import ReLU6


if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

SMALLEST: Final = 33  # at 32, the last maps have one pixel, and batch norm has nothing to average in a batch of one
STEM: Final = 32  # channels
# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
FEATURES: Final = 1280
_EPSILON = 1e-3  # of the batch norms, as the published weights were trained
_BLOCK = re.compile(r"_blocks\.(\d+)\._(expand_conv|depthwise_conv|project_conv|bn0|bn1|bn2)\.(\w+)")
_LAYERS: Final = {
    "expand_conv": (0, 0),
    "bn0": (0, 1),
    "depthwise_conv": (2, 0),
    "bn1": (2, 1),
    "project_conv": (4, 0),
    "bn2": (4, 1),
}


def build_efficientnet_lite0(classes: int, size: int) -> Network:  # noqa: ARG001 - global pooling takes every size alike
    """Build EfficientNet-Lite0: a stem, seven stages of inverted residuals, a 1×1 convolution, global pooling.

    The weights are random; `thalweg train --weights efficientnet-lite0` loads the published ones. The paper's dropout
    before the last layer is left out.

    Args:
        classes: number of classes.
        size: side of the photos in pixels; the published weights were trained at 224.

    Source: Tan and Le 2019, https://arxiv.org/abs/1905.11946; without squeeze-and-excitation, and with ReLU6, as in
    https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html.
    """
    stages: list[nn.Module] = [nn.Sequential(_conv_norm(3, STEM, stride=2), ReLU6())]
    inputs = STEM
    for blocks, kernel, stride, expansion, channels in STAGES:
        first = _branch(inputs, channels, kernel, stride, expansion)
        others = (_branch(channels, channels, kernel, 1, expansion) for _ in range(blocks - 1))
        stages.append(nn.Sequential(first, *(Residual(branch, rectified=False) for branch in others)))
        inputs = channels
    stages.append(nn.Sequential(_conv_norm(inputs, FEATURES, kernel=1), ReLU6()))
    network = Network(stages, global_average(), nn.Linear(FEATURES, classes), middle=4)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename published tensors (`_blocks.3._bn1.weight`) as this network names them; other names stay.

    Args:
        tensors: by name.

    Example:
        >>> import torch
        >>> list(renamed({"_fc.bias": torch.zeros(1), "_blocks.2._bn2.weight": torch.zeros(1)}))
        ['classifier.bias', 'stages.2.1.branch.4.1.weight']
    """
    return {_ours(name): tensor for name, tensor in tensors.items()}


def _ours(name: str) -> str:
    layer, _, end = name.rpartition(".")
    outer = {"_conv_stem": "stages.0.0.0", "_bn0": "stages.0.0.1", "_conv_head": "stages.8.0.0", "_bn1": "stages.8.0.1"}
    outer["_fc"] = "classifier"
    if layer in outer:
        return f"{outer[layer]}.{end}"
    found = _BLOCK.fullmatch(name)
    places = [(stage, block) for stage, row in enumerate(STAGES, start=1) for block in range(row[0])]
    if found is None or int(found[1]) >= len(places):
        return name
    stage, block = places[int(found[1])]
    position, part = _LAYERS[found[2]]
    if STAGES[stage - 1][3] == 1:  # no expansion: two layers earlier
        position -= 2
    return f"stages.{stage}.{block}.{'branch.' if block else ''}{position}.{part}.{found[3]}"


def _branch(inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> nn.Sequential:
    """Expand the channels, convolve each by itself, and project them without an activation."""
    wide = inputs * expansion
    widen = [_conv_norm(inputs, wide, kernel=1), ReLU6()] if expansion > 1 else []
    depthwise = _conv_norm(wide, wide, kernel=kernel, stride=stride, groups=wide)
    return nn.Sequential(*widen, depthwise, ReLU6(), _conv_norm(wide, outputs, kernel=1))


def _conv_norm(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> ConvNorm:
    conv = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return ConvNorm(conv, nn.BatchNorm2d(outputs, eps=_EPSILON))

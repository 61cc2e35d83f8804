"""ResNet-18 in the ResNet-D variant, with a stem that suits the size of the photos."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import nn

from thalweg.models.network import Network, Residual, conv_norm, global_average


SMALLEST = 16  # below this, the last maps have one pixel, and batch norm has nothing to average in a batch of one

_BLOCKS_A_STAGE = 2


def build_resnet18(classes: int, size: int, *, width: int = 64) -> Network:
    """Build ResNet-18-D: a stem of three convolutions, four stages of two blocks, global pooling.

    It differs from the ResNet-18 of 2015 in three ways: three 3×3 convolutions replace one 7×7; a shortcut that halves
    the maps pools by averaging before its 1×1 convolution, so that it sees every pixel; the gain of each branch's last
    norm starts at zero, so that every block starts as the identity.

    Args:
        classes: number of classes.
        size: side of the photos in pixels; sets the stem's stride.
        width: channels of the first stage; later stages have two, four and eight times as many.

    Source: He et al. 2015, https://arxiv.org/abs/1512.03385; He et al. 2018, "Bag of Tricks",
    https://arxiv.org/abs/1812.01187, sections 3.1 and 4.1.
    """
    widths = [width * 2**stage for stage in range(4)]
    stages = [
        _stem(width, stem_stride(size)),
        _stage(width, width, stride=1),
        *(_stage(inputs, outputs, stride=2) for inputs, outputs in pairwise(widths)),
    ]
    network = Network(stages, global_average(), nn.Linear(widths[-1], classes), middle=2)
    _initialize(network)
    return network


def stem_stride(size: int) -> int:
    """Return the factor by which the stem shrinks the photos; the stages shrink them by eight more.

    At 28 px, a stride of 2 leaves maps of 2 px at the end and trains three times as many photos per second as 1.

    Example:
        >>> [stem_stride(size) for size in (20, 28, 64, 128)]
        [1, 2, 2, 4]
    """
    if size < 24:
        return 1
    return 2 if size < 96 else 4


def _stem(width: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = [
        *(conv_norm(3, width // 2, stride=min(stride, 2)), nn.ReLU(inplace=True)),
        *(conv_norm(width // 2, width // 2), nn.ReLU(inplace=True)),
        *(conv_norm(width // 2, width), nn.ReLU(inplace=True)),
    ]
    if stride == 4:
        layers.append(nn.MaxPool2d(3, 2, padding=1))
    return nn.Sequential(*layers)


def _stage(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    widths = (inputs, *[outputs] * _BLOCKS_A_STAGE)
    strides = (stride, *[1] * (_BLOCKS_A_STAGE - 1))
    return nn.Sequential(*(_block(*pair, stride=step) for pair, step in zip(pairwise(widths), strides, strict=True)))


def _block(inputs: int, outputs: int, *, stride: int) -> Residual:
    branch = nn.Sequential(
        conv_norm(inputs, outputs, stride=stride), nn.ReLU(inplace=True), conv_norm(outputs, outputs)
    )
    if stride == 1 and inputs == outputs:
        return Residual(branch)
    # ceil_mode keeps the last column of an odd side, as the branch's convolution does
    halving = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
    return Residual(branch, nn.Sequential(halving, conv_norm(inputs, outputs, kernel=1)))


def _initialize(network: nn.Module) -> None:
    """Initialize convolutions from He's normal distribution, and the gain of each branch's last norm with zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, Residual):
            last_norm = cast("nn.Sequential", cast("nn.Sequential", module.branch)[-1])[-1]
            nn.init.zeros_(cast("nn.BatchNorm2d", last_norm).weight)

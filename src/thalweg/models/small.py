"""A residual network for pictures of about 28 px: three stages, a block each."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from thalweg.models.network import Network, Residual, conv_norm, global_average


SMALLEST = 16  # below, the last maps have one pixel, and batch norm has nothing to average in a batch of one
WIDTHS = (32, 64, 128)


def build_small(classes: int, size: int) -> Network:  # noqa: ARG001 - global pooling takes every size alike
    """Three stages of 32, 64 and 128 channels: a convolution that halves the maps, and a residual block.

    The first convolution is 5×5, so that a picture of 28 px is seen by every stage at 14, 7 and 4 px: less than half
    of the work of `resnet18-half` there, and as accurate on a few thousand pictures.

    Args:
        classes: number of classes.
        size: side of the photos in pixels.

    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2, has such networks for 32 px.
    """
    stages = [
        nn.Sequential(_halving(3, WIDTHS[0], kernel=5), _block(WIDTHS[0])),
        *(nn.Sequential(_halving(inputs, outputs), _block(outputs)) for inputs, outputs in pairwise(WIDTHS)),
    ]
    return Network(stages, global_average(), nn.Linear(WIDTHS[-1], classes), middle=1)


def _halving(inputs: int, outputs: int, *, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(conv_norm(inputs, outputs, kernel=kernel, stride=2), nn.ReLU(inplace=True))


def _block(channels: int) -> Residual:
    return Residual(nn.Sequential(conv_norm(channels, channels), nn.ReLU(inplace=True), conv_norm(channels, channels)))

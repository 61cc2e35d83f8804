"""A residual network for photos of about 28 px: three stages of one block each."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from thalweg.models.network import Network, Residual, conv_norm, global_average


SMALLEST = 16  # below this, the last maps have one pixel, and batch norm has nothing to average in a batch of one
WIDTHS = (32, 64, 128)


def build_small(classes: int, size: int) -> Network:  # noqa: ARG001 - global pooling takes every size alike
    """Build three stages of 32, 64 and 128 channels, each a convolution that halves the maps and a residual block.

    The first convolution is 5×5. The stages see a photo of 28 px at 14, 7 and 4 px: less than half the work of
    `resnet18-half`, and as accurate on a few thousand photos.

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

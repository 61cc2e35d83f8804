"""The homework's second question: the five blocks of `cnn` with residual connections."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from thalweg.models.cnn import CHANNELS
from thalweg.models.network import Network, Residual, conv_norm, global_average


SMALLEST = 32  # below this, the last maps have one pixel, and batch norm has nothing to average in a batch of one


def build_residual(classes: int, size: int) -> Network:  # noqa: ARG001 - global pooling takes every size alike
    """Build the five blocks of `cnn`, each with one more convolution and a shortcut around it.

    The fifth block pools over the whole map, which replaces the two wide linear layers: deeper than `cnn`, with fewer
    parameters.

    Args:
        classes: number of classes.
        size: side of the photos in pixels.

    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, section 3.
    """
    stages = [
        *(_block(inputs, outputs, nn.MaxPool2d(2)) for inputs, outputs in pairwise(CHANNELS[:-1])),
        _block(*CHANNELS[-2:], nn.Identity()),
    ]
    return Network(stages, global_average(), nn.Linear(CHANNELS[-1], classes), middle=2)


def _block(inputs: int, outputs: int, pooling: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv_norm(inputs, outputs), nn.ReLU(), pooling, Residual(conv_norm(outputs, outputs)))

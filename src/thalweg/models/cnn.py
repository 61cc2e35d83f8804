"""The course's third homework: five blocks and three linear layers."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from thalweg.models.network import Network


CHANNELS = (3, 64, 128, 256, 512, 512)
SMALLEST = 32  # five halvings leave one pixel


def build_cnn(classes: int, size: int) -> Network:
    """Build exactly the homework's network, creating its layers in the notebook's order.

    Five blocks of convolution 3×3, batch norm, ReLU and max pooling 2×2, with 64, 128, 256, 512 and 512 channels; then
    linear layers of 1024, 512 and `classes`. At 128 px, the first linear layer has 8.4 of its 12.9 million parameters.

    Args:
        classes: number of classes.
        size: side of the photos in pixels; the notebook's is 128.

    Source: Lee 2023, Machine Learning, homework 3, https://speech.ee.ntu.edu.tw/~hylee/ml/2023-spring.php.
    """
    blocks = [
        nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))
        for inputs, outputs in pairwise(CHANNELS)
    ]
    side = size // 2 ** len(blocks)
    neck = nn.Sequential(
        nn.Flatten(),
        nn.Linear(CHANNELS[-1] * side * side, 1024),
        nn.ReLU(),
        nn.Linear(1024, 512),
        nn.ReLU(),
    )
    return Network(blocks, neck, nn.Linear(512, classes), middle=2)

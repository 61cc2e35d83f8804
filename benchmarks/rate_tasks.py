"""Small training tasks with a best learning rate that a grid can find: networks × data × optimizers.

There are two sets of problems that share neither data nor shape: the constants of `thalweg.find_lr` were chosen on
`TUNING`; `REPORTED` gives the reported results. The data are generated, scikit-learn's digits, or the built-in photos.

Shape suffixes: N samples, D features, C channels or classes, L positions of a sequence, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import avg_pool2d


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

Pair = tuple["Tensor", "Tensor"]

OPTIMIZERS: dict[str, Callable[[Iterable[Tensor]], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1.0),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=1.0, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1.0),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1.0, weight_decay=0.05),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1.0),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1.0),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A network, its data, and its loss.

    Attributes:
        name: network and data.
        data: returns inputs and targets, the same each time.
        network: returns the network, initialized from the current seed.
        loss: mean loss of outputs and targets.
        batch_size: samples per step.
    """

    name: str
    data: Callable[[], Pair]
    network: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    batch_size: int = 32


@cache
def digits() -> Pair:
    """1,797 digits of 8 × 8 pixels, in 0 to 1."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)


@cache
def clothes() -> Pair:
    """2,000 of the built-in photos, averaged to 14 × 14 pixels, with mean 0 and deviation 1."""
    from thalweg import data

    images = data.build_cache(data.open_images("builtin"), size=28)
    rows = images.rows("train")
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:2000].numpy()
    pixels_NHW = torch.from_numpy(images.images_NHWC[rows[chosen]][..., 0].copy()).float()
    small_NCHW = avg_pool2d(pixels_NHW[:, None], 2)
    return (small_NCHW - small_NCHW.mean()) / small_NCHW.std(), torch.from_numpy(images.labels("train")[chosen].copy())


@cache
def clothes_flat() -> Pair:
    images_NCHW, labels = clothes()
    return images_NCHW.flatten(1), labels


@cache
def digits_as_images() -> Pair:
    pixels, labels = digits()
    return pixels.view(-1, 1, 8, 8), labels


@cache
def digits_as_rows() -> Pair:
    pixels, labels = digits()
    return pixels.view(-1, 8, 8), labels


@cache
def clouds() -> Pair:
    """Twelve overlapping clouds in twelve dimensions, three per class, with a different width in each direction."""
    random = torch.Generator().manual_seed(1)
    centers = 2 * torch.randn(12, 12, generator=random)
    of = torch.randint(12, (2000,), generator=random)
    widths = torch.logspace(-1, 0.5, 12)
    points_ND = (centers[of] + 1.5 * torch.randn(2000, 12, generator=random)) * widths
    return points_ND, of % 4


@cache
def waves() -> Pair:
    """Regression of a smooth function of six numbers, with noise."""
    random = torch.Generator().manual_seed(2)
    inputs_ND = torch.rand(2000, 6, generator=random) * 2 - 1
    directions = 2 * torch.randn(6, 5, generator=random)
    targets = torch.sin(inputs_ND @ directions).sum(1, keepdim=True) + 0.1 * torch.randn(2000, 1, generator=random)
    return inputs_ND, targets


@cache
def teacher() -> Pair:
    """What a random network of two layers says of ten numbers, under noise, to be regressed."""
    random = torch.Generator().manual_seed(3)
    inputs_ND = torch.randn(2000, 10, generator=random)
    hidden = torch.tanh(inputs_ND @ torch.randn(10, 20, generator=random) / 2)
    targets = hidden @ torch.randn(20, 1, generator=random)
    return inputs_ND, targets + 0.3 * torch.randn(2000, 1, generator=random)


@cache
def majority() -> Pair:
    """Sequences of 16 letters from 6; the answer is the most common letter."""
    letters_NL = torch.randint(6, (3000, 16), generator=torch.Generator().manual_seed(4))
    counts_NC = nn.functional.one_hot(letters_NL, 6).sum(1)
    return letters_NL, counts_NC.argmax(1)


@cache
def pointer() -> Pair:
    """Sequences of 12 letters from 8; the first letter gives the position of the answer."""
    letters_NL = torch.randint(8, (3000, 12), generator=torch.Generator().manual_seed(5))
    return letters_NL, letters_NL.gather(1, letters_NL[:, :1] + 1)[:, 0]


def perceptron(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), activation()]
    return nn.Sequential(*layers[:-1])


def convolutions(side: int, channels: int, *, norm: bool) -> nn.Module:
    """Two convolutions, each of which halves the side, and a linear layer."""
    normal = nn.BatchNorm2d if norm else nn.Identity
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, 2, 1), normal(channels), nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, 2, 1), normal(2 * channels), nn.ReLU(),
        nn.Flatten(), nn.Linear(2 * channels * ((side + 3) // 4) ** 2, 10),
    )  # fmt: skip


class Transformer(nn.Module):
    """Blocks of attention over letters, or over rows of numbers, and a linear layer on the mean."""

    def __init__(self, embed: nn.Module, length: int, width: int, blocks: int, classes: int) -> None:
        super().__init__()
        self.embed = embed
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks))
        self.mixes = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(blocks))
        self.outs = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.thinks = nn.ModuleList(perceptron(width, 2 * width, width, activation=nn.GELU) for _ in range(blocks))
        self.answer = nn.Linear(width, classes)
        self.heads = 2

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, (N, C)."""
        x_NLD = self.embed(inputs) + self.places
        count, length, width = x_NLD.shape
        for block, (mix, out, think) in enumerate(zip(self.mixes, self.outs, self.thinks, strict=True)):
            parts = mix(self.norms[2 * block](x_NLD)).view(count, length, 3, self.heads, width // self.heads)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
            x_NLD = x_NLD + out(mixed.transpose(1, 2).reshape(count, length, width))
            x_NLD = x_NLD + think(self.norms[2 * block + 1](x_NLD))
        return self.answer(x_NLD.mean(1))


_CROSS = nn.functional.cross_entropy
_SQUARE = nn.functional.mse_loss

TUNING = [
    Problem("logistic, digits", digits, lambda: perceptron(64, 10), _CROSS),
    Problem("perceptron, clouds", clouds, lambda: perceptron(12, 48, 48, 4), _CROSS),
    Problem("tanh perceptron, waves", waves, lambda: perceptron(6, 64, 32, 1, activation=nn.Tanh), _SQUARE),
    Problem("cnn, digits", digits_as_images, lambda: convolutions(8, 8, norm=False), _CROSS),
    Problem("transformer, majority", majority, lambda: Transformer(nn.Embedding(6, 16), 16, 16, 1, 6), _CROSS),
]

REPORTED = [
    Problem("logistic, clothes", clothes_flat, lambda: perceptron(196, 10), _CROSS, 64),
    Problem("perceptron, digits", digits, lambda: perceptron(64, 64, 32, 10), _CROSS, 48),
    Problem("perceptron, teacher", teacher, lambda: perceptron(10, 64, 1), _SQUARE),
    Problem("cnn + norm, clothes", clothes, lambda: convolutions(14, 8, norm=True), _CROSS),
    Problem("transformer, digits' rows", digits_as_rows, lambda: Transformer(nn.Linear(8, 24), 8, 24, 1, 10), _CROSS),
]


BLOWN_UP = 1e6
HELD_OUT = 5  # one in this many samples is held out


def split(problem: Problem) -> tuple[Pair, Pair]:
    """Split off the held-out data: every fifth sample, always the same."""
    inputs, targets = problem.data()
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(9))
    held, trained = order[: len(order) // HELD_OUT], order[len(order) // HELD_OUT :]
    return (inputs[trained], targets[trained]), (inputs[held], targets[held])


def final_losses(problem: Problem, optimizer: str, lr: float, *, steps: int, seed: int) -> tuple[float, float]:
    """Return the mean losses after a run with a rate that falls linearly to zero; infinity if it blew up.

    Args:
        problem: the task.
        optimizer: a name from `OPTIMIZERS`.
        lr: learning rate at the start.
        steps: number of batches.
        seed: seed of the weights and of the order.

    Returns:
        The loss on training data and on held-out data.
    """
    torch.manual_seed(seed)
    model, ((inputs, targets), held) = problem.network(), split(problem)
    stepper = OPTIMIZERS[optimizer](model.parameters())
    random = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if len(order) < problem.batch_size:
            order = torch.randperm(len(inputs), generator=random)
        rows, order = order[: problem.batch_size], order[problem.batch_size :]
        for group in stepper.param_groups:
            group["lr"] = lr * (1 - step / steps)
        loss = problem.loss(model(inputs[rows]), targets[rows])
        if step % 10 == 0 and not loss < BLOWN_UP:
            return math.inf, math.inf
        stepper.zero_grad()
        loss.backward()
        stepper.step()
    model.eval()
    with torch.no_grad():
        losses = [float(problem.loss(model(x), y)) for x, y in ((inputs, targets), held)]
    return tuple(loss if loss < BLOWN_UP else math.inf for loss in losses)

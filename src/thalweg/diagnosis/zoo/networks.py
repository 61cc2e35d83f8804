"""The three networks of the zoo, each for samples of 64 numbers; they are small, so hundreds train in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.diagnosis.zoo.data import CLASSES, FEATURES


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIDE = 8


def perceptron(
    *, activation: Callable[[], nn.Module] = nn.ReLU, depth: int = 3, width: int = 48, norm: bool = False
) -> nn.Sequential:
    """`depth` hidden layers of `width` units."""
    layers: list[nn.Module] = []
    inputs = FEATURES
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if norm else []), activation()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, CLASSES))


def cnn(
    *, activation: Callable[[], nn.Module] = nn.ReLU, depth: int = 3, width: int = 12, norm: bool = False
) -> nn.Sequential:
    """`depth` 3×3 convolutions, the second and third with stride 2."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, SIDE, SIDE))]
    inputs, side = 1, SIDE
    for block in range(depth):
        stride = 2 if block in (1, 2) else 1
        layers.append(nn.Conv2d(inputs, width, 3, stride, padding=1))
        layers += [*([nn.BatchNorm2d(width)] if norm else []), activation()]
        inputs, side = width, -(-side // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * side * side, CLASSES))


class Transformer(nn.Module):
    """A transformer: eight rows of the picture as tokens, encoder layers, the mean of the tokens, a linear layer.

    `residual=False` removes shortcuts and norms: attention and feed-forward layers in a plain sequence.
    """

    def __init__(
        self,
        *,
        activation: Callable[[], nn.Module] = nn.ReLU,
        depth: int = 2,
        width: int = 24,
        norm: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(SIDE, width)
        self.position = nn.Parameter(0.1 * torch.randn(SIDE, width))
        self.norm = nn.BatchNorm1d(width) if norm else None
        self.blocks = nn.ModuleList(Block(width, activation, residual=residual) for _ in range(depth))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, inputs_NF: Tensor) -> Tensor:
        """Logits (N, CLASSES)."""
        tokens_NTD = self.embed(inputs_NF.view(-1, SIDE, SIDE)) + self.position
        for block in self.blocks:
            tokens_NTD = block(tokens_NTD)
        features_ND = tokens_NTD.mean(dim=1)
        return self.head(features_ND if self.norm is None else self.norm(features_ND))


class Block(nn.Module):
    """Attention, then a feed-forward network with one hidden layer."""

    def __init__(self, width: int, activation: Callable[[], nn.Module], *, residual: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.forward_net = nn.Sequential(nn.Linear(width, 2 * width), activation(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) if residual else nn.Identity() for _ in range(2))
        self.residual = residual

    def forward(self, tokens_NTD: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        normed = self.norms[0](tokens_NTD)
        attended = self.attention(normed, normed, normed, need_weights=False)[0]
        tokens_NTD = tokens_NTD + attended if self.residual else attended
        made = self.forward_net(self.norms[1](tokens_NTD))
        return tokens_NTD + made if self.residual else made


NETWORKS: dict[str, Callable[..., nn.Module]] = {"perceptron": perceptron, "cnn": cnn, "transformer": Transformer}


def scale_weights(model: nn.Module, factor: float) -> None:
    """Multiply every matrix and kernel by a factor."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)


def hidden_biases(model: nn.Module) -> list[nn.Parameter]:
    """The biases of the layers directly before an activation function."""
    found, last = [], None
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            last = module
        elif isinstance(module, nn.ReLU | nn.Sigmoid | nn.Tanh) and last is not None and last.bias is not None:
            found.append(last.bias)
    return found


@torch.no_grad()
def features_of(model: nn.Module, inputs_NF: Tensor) -> Tensor:
    """The input of a network's last linear layer, (N, D)."""
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    found: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _module, given: found.append(given[0].clone()))
    model(inputs_NF)
    hook.remove()
    return found[0]

"""Networks for tables, graphs and ratings: a perceptron for a regression, a graph network, matrix factorization.

Shape suffixes: N samples, F features, D width of a layer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import relu

from thalweg.diagnosis.zoo.data import Samples


if TYPE_CHECKING:
    from torch import Tensor

NODES, USERS, ITEMS = 240, 60, 80


def regressor() -> nn.Module:
    """Two hidden layers and one output (N, 1)."""
    return nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))


def prices(seed: int) -> Samples:
    """Twelve features, standardized; the target is a smooth function of six of them, with noise, standardized."""
    generator = torch.Generator().manual_seed(seed)

    def rows(count: int) -> tuple[Tensor, Tensor]:
        x_NF = torch.randn(count, 12, generator=generator)
        y_N = x_NF[:, 0] + (2 * x_NF[:, 1]).sin() + x_NF[:, 2] * x_NF[:, 3] - x_NF[:, 4].abs() + 0.5 * x_NF[:, 5]
        return x_NF, ((y_N + 0.8) / 1.9 + 0.1 * torch.randn(count, generator=generator))[:, None]

    return Samples(*rows(2000), *rows(400))


class GraphNetwork(nn.Module):
    """Two layers, each the mean over a node's neighbours and itself (Kipf and Welling 2017, arXiv 1609.02907)."""

    def __init__(self, mean_NN: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean_NN", mean_NN)
        self.first, self.second = nn.Linear(16, 24), nn.Linear(24, 4)

    def forward(self, nodes_NF: Tensor) -> Tensor:
        """Logits (N, 4) of all nodes."""
        return self.second(self.mean_NN @ relu(self.first(self.mean_NN @ nodes_NF)))


def _communities() -> tuple[Tensor, Tensor]:
    """Each node's community (N,), and the mean over neighbours (N, N); most edges stay within a community."""
    generator = torch.Generator().manual_seed(7)
    kind_N = torch.arange(NODES) % 4
    chance_NN = torch.where(kind_N[:, None] == kind_N[None, :], 0.08, 0.01)
    edges_NN = (torch.rand(NODES, NODES, generator=generator) < chance_NN).float().triu(1)
    edges_NN = edges_NN + edges_NN.T + torch.eye(NODES)
    return kind_N, edges_NN / edges_NN.sum(dim=1, keepdim=True)


def graph_network() -> nn.Module:
    """The network of the one graph."""
    return GraphNetwork(_communities()[1])


def nodes(seed: int) -> Samples:
    """Noisy features of the nodes, which say little about the community; validation draws the noise anew."""
    kind_N, _ = _communities()
    generator = torch.Generator().manual_seed(seed)
    centers_CF = torch.randn(4, 16, generator=torch.Generator().manual_seed(8))
    draw = partial(torch.randn, NODES, 16, generator=generator)
    return Samples(centers_CF[kind_N] + 2.5 * draw(), kind_N, centers_CF[kind_N] + 2.5 * draw(), kind_N)


class Factors(nn.Module):
    """The product of a user's and an item's factors, and their biases; (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(USERS, 8), nn.Embedding(ITEMS, 8)
        self.user_bias, self.item_bias = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)
        for table in (self.users, self.items, self.user_bias, self.item_bias):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, pairs_N2: Tensor) -> Tensor:
        """Ratings (N,)."""
        user_N, item_N = pairs_N2[:, 0], pairs_N2[:, 1]
        product_N = (self.users(user_N) * self.items(item_N)).sum(dim=1)
        return product_N + self.user_bias(user_N)[:, 0] + self.item_bias(item_N)[:, 0]


def ratings(seed: int) -> Samples:
    """Pairs of a user and an item (N, 2), and centered ratings (N,) from three hidden factors, with noise."""
    generator = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(9)
    users, items = torch.randn(USERS, 3, generator=fixed), torch.randn(ITEMS, 3, generator=fixed)
    mood_N = torch.randn(USERS, generator=fixed)

    def rated(count: int) -> tuple[Tensor, Tensor]:
        pairs_N2 = torch.stack([torch.randint(top, (count,), generator=generator) for top in (USERS, ITEMS)], dim=1)
        rating_N = (users[pairs_N2[:, 0]] * items[pairs_N2[:, 1]]).sum(dim=1) + mood_N[pairs_N2[:, 0]]
        return pairs_N2, rating_N + 0.2 * torch.randn(count, generator=generator)

    return Samples(*rated(4000), *rated(600))

"""Programs on tables and graphs: tabular regression, matrix factorization, graph convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.diagnosis.zoo.data import Samples
from thalweg.diagnosis.zoo.families.program import Program, accuracy, explained, family


if TYPE_CHECKING:
    from torch import Tensor


@family
def tabular(seed: int) -> Program:
    """Ten standardized columns, a curved target with noise."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(1500, 10, generator=generator)
    values = rows[:, 0] * rows[:, 1] + rows[:, 2].abs() + rows[:, 3:6].sum(1)
    values = (values + 0.1 * torch.randn(1500, generator=generator))[:, None]
    model = nn.Sequential(
        nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Dropout(0.05), nn.Linear(48, 1)
    )
    options = {"momentum": 0.9}
    samples = Samples(rows[:1200], values[:1200], rows[1200:], values[1200:])
    return Program(
        model,
        samples,
        "1",
        48,
        "5",
        "values",
        explained,
        mse_loss,
        optimizer=torch.optim.SGD,
        rate=0.01,
        options=options,
        steps=300,
    )


class _Factors(nn.Module):
    def __init__(self, users: int, items: int, width: int = 8) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, width), nn.Embedding(items, width)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)
        self.body = nn.Identity()
        for table in (self.users, self.items, self.user_bias, self.item_bias):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, pairs: Tensor) -> Tensor:
        user, item = pairs.unbind(1)
        product = (self.body(self.users(user)) * self.items(item)).sum(1)
        return product + self.user_bias(user)[:, 0] + self.item_bias(item)[:, 0]


@family
def factorization(seed: int) -> Program:
    """Ratings of 40 items by 60 users, of rank two."""
    generator = torch.Generator().manual_seed(seed)
    users = torch.randn(60, 2, generator=generator)
    items = torch.randn(40, 2, generator=generator)
    pairs = torch.cartesian_prod(torch.arange(60), torch.arange(40))[torch.randperm(2400, generator=generator)]
    ratings = (users[pairs[:, 0]] * items[pairs[:, 1]]).sum(1) + 0.1 * torch.randn(2400, generator=generator)
    samples = Samples(pairs[:2000], ratings[:2000], pairs[2000:], ratings[2000:])
    return Program(
        _Factors(60, 40), samples, "body", 8, "", "values", explained, mse_loss, rate=3e-2, steps=250, size=128
    )


class _GCN(nn.Module):
    mixing: Tensor

    def __init__(self, mixing: Tensor, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mixing", mixing)
        self.body = nn.Sequential(nn.Linear(inputs, width), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, nodes: Tensor) -> Tensor:
        return self.mixing @ self.head(self.mixing @ self.body(nodes))


@family
def gcn(seed: int) -> Program:
    """One graph of 200 nodes in four communities; half of its labels are known (Kipf and Welling 2017)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (200,), generator=generator)
    chance = torch.where(labels[:, None] == labels, 0.08, 0.01)
    links = (torch.rand(200, 200, generator=generator) < chance).triu(1).float()
    links = links + links.T + torch.eye(200)
    degree = links.sum(1).rsqrt()
    nodes = torch.randn(200, 16, generator=generator)
    nodes[:, :4] += torch.eye(4)[labels]
    known = torch.where(torch.arange(200) < 100, labels, -100)
    samples = Samples(nodes, known, nodes, labels)

    def score(outputs: Tensor, targets: Tensor) -> float:
        return accuracy(outputs[100:], targets[100:])

    model = _GCN(degree[:, None] * links * degree, 16, 16, 4)
    loop = {"batch_of": lambda _step, _seed: (nodes, known)}
    options = {"weight_decay": 5e-4}
    return Program(
        model, samples, "body", 16, "head", "own", score, cross_entropy, rate=1e-2, options=options, loop=loop
    )

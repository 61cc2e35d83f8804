"""Programs on sequences: LSTM, GRU, transformer encoder, embedding bag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from thalweg.diagnosis.zoo.data import Samples
from thalweg.diagnosis.zoo.families.program import Program, accuracy, accuracy_of_logit, explained, family


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def _split(inputs: Tensor, targets: Tensor) -> Samples:
    at = len(inputs) * 4 // 5
    return Samples(inputs[:at], targets[:at], inputs[at:], targets[at:])


class _Recurrent(nn.Module):
    def __init__(self, kind: Callable[..., nn.RNNBase], inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.rnn = kind(inputs, width, batch_first=True)
        self.body = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, outputs)

    def forward(self, series: Tensor) -> Tensor:
        states, _ = self.rnn(series)
        return self.head(self.body(states[:, -1]))


@family
def lstm(seed: int) -> Program:
    """Waves of four frequencies in noise, to be told apart."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(4, (1000,), generator=generator)
    phase = 6.28 * torch.rand(1000, 1, generator=generator)
    waves = torch.sin(torch.arange(20) * (0.3 + 0.35 * targets[:, None]) + phase)
    series = (waves + 0.2 * torch.randn(waves.shape, generator=generator))[..., None]
    model = _Recurrent(nn.LSTM, 1, 24, 4)
    return Program(model, _split(series, targets), "body", 24, "head", "classes", accuracy, rate=5e-3, steps=400)


@family
def gru(seed: int) -> Program:
    """The next value of an oscillation: a forecast with squared error."""
    generator = torch.Generator().manual_seed(seed)
    rate, phase = 0.2 + 0.6 * torch.rand(2, 1000, 1, generator=generator)
    waves = torch.sin(torch.arange(17) * rate + 6 * phase) + 0.05 * torch.randn(1000, 17, generator=generator)
    samples = _split(waves[:, :-1, None], waves[:, -1:])
    model = _Recurrent(nn.GRU, 1, 24, 1)
    return Program(model, samples, "body", 24, "head", "values", explained, mse_loss, rate=1e-2)


class _Encoder(nn.Module):
    def __init__(self, words: int = 20, length: int = 12, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.positions = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.body = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.body(self.encoder(self.embed(words) + self.positions).mean(1)))


@family
def encoder(seed: int) -> Program:
    """Texts of three topics, which share most of their words."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(3, (1000,), generator=generator)
    words = torch.randint(20, (1000, 12), generator=generator)
    topical = torch.rand(1000, 12, generator=generator) < 0.3
    words = torch.where(topical, targets[:, None] * 3 + words % 3, words)
    return Program(
        _Encoder(), _split(words, targets), "body", 32, "head", "classes", accuracy, optimizer=torch.optim.AdamW
    )


class _Bag(nn.Module):
    def __init__(self, words: int = 200, width: int = 16) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(words, width, mode="mean")
        self.body = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 1)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.body(self.bag(words))).squeeze(1)


@family
def embedding_bag(seed: int) -> Program:
    """Reviews as bags of words, good or bad: one logit."""
    generator = torch.Generator().manual_seed(seed)
    mood = torch.randn(200, generator=generator)
    words = torch.randint(200, (2000, 15), generator=generator)
    targets = (mood[words].mean(1) > 0).float()
    loss, samples = binary_cross_entropy_with_logits, _split(words, targets)
    return Program(_Bag(), samples, "body", 16, "head", "logit", accuracy_of_logit, loss, rate=1e-2)

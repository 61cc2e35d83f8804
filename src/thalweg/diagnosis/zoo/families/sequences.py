"""Networks for sequences and words: LSTM, GRU, transformer encoder, bag of embeddings.

Shape suffixes: N samples, T positions, D width of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.diagnosis.zoo.data import Samples


if TYPE_CHECKING:
    from torch import Tensor

WORDS, LENGTH = 60, 16


class Recurrent(nn.Module):
    """Embedding, one recurrent layer, a linear layer on its last output."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 16)
        self.rnn = kind(16, 32, batch_first=True)
        self.head = nn.Linear(32, 4)

    def forward(self, words_NT: Tensor) -> Tensor:
        """Logits (N, 4)."""
        return self.head(self.rnn(self.embed(words_NT))[0][:, -1])


class Encoder(nn.Module):
    """Embedding with learned positions, one encoder layer of torch, the mean of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 32)
        self.position = nn.Parameter(0.1 * torch.randn(1, LENGTH, 32))
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(32, 4)

    def forward(self, words_NT: Tensor) -> Tensor:
        """Logits (N, 4)."""
        return self.head(self.encoder(self.embed(words_NT) + self.position).mean(dim=1))


def bag() -> nn.Module:
    """The mean of the words' embeddings, and two linear layers."""
    return nn.Sequential(nn.EmbeddingBag(WORDS, 24), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4))


def topics(seed: int) -> Samples:
    """Sentences (N, T) of four topics: half of the words are drawn from the topic's own fifteen."""
    generator = torch.Generator().manual_seed(seed)

    def sentences(count: int) -> tuple[Tensor, Tensor]:
        topic_N = torch.randint(4, (count,), generator=generator)
        own_NT = topic_N[:, None] * 15 + torch.randint(15, (count, LENGTH), generator=generator)
        any_NT = torch.randint(WORDS, (count, LENGTH), generator=generator)
        return torch.where(torch.rand(count, LENGTH, generator=generator) < 0.4, own_NT, any_NT), topic_N

    return Samples(*sentences(2000), *sentences(400))

"""Watch a small character-level transformer with two lines while it learns this file's text; then break it on purpose.

This is the usual loop of toy language models: random windows of a text, with the next character as the target.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg


TEXT = Path(__file__).read_text(encoding="utf-8")
LETTERS = sorted(set(TEXT))
CODES_T = torch.tensor([LETTERS.index(letter) for letter in TEXT])
WINDOW, WIDTH, BATCH, STEPS = 16, 32, 16, 150


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each after a norm, with a shortcut."""

    def __init__(self):
        super().__init__()
        self.before_attention, self.before_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x_NTD):
        mask_TT = nn.Transformer.generate_square_subsequent_mask(x_NTD.shape[1])
        y_NTD = self.before_attention(x_NTD)
        x_NTD = x_NTD + self.attention(y_NTD, y_NTD, y_NTD, attn_mask=mask_TT, need_weights=False)[0]
        return x_NTD + self.mlp(self.before_mlp(x_NTD))


class CharacterModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), WIDTH), nn.Embedding(WINDOW, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS)))

    def forward(self, codes_NT):
        x_NTD = self.letters(codes_NT) + self.places.weight[: codes_NT.shape[1]]
        return self.head(self.blocks(x_NTD)).flatten(0, 1)  # a row of logits for each character


def windows(step):
    starts_N = torch.randint(len(CODES_T) - WINDOW - 1, (BATCH,), generator=torch.Generator().manual_seed(step))
    codes_NT = torch.stack([CODES_T[start : start + WINDOW + 1] for start in starts_N])
    return codes_NT[:, :-1], codes_NT[:, 1:].flatten()


def train(lr):
    torch.manual_seed(0)
    model = CharacterModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    with thalweg.watch(model, optimizer) as watch:  # the first line
        for step in range(STEPS):
            inputs, targets = windows(step)
            logits = model(inputs)
            loss = cross_entropy(logits, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            watch.step(loss)  # the second
    return watch.diagnose(batch=(inputs, targets), loss_fn=cross_entropy, seconds=3)


print("--- lr=3e-3\n", train(3e-3), sep="")
print("\n--- lr=3e-7, a typing mistake\n", train(3e-7), sep="")

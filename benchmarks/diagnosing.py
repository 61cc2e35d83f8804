"""How long a diagnosis takes where a pass of the network is dear.

    python benchmarks/diagnosing.py                            # seconds by the clock, on an idle machine
    OMP_NUM_THREADS=1 python benchmarks/diagnosing.py --cpu    # processor time, beside other work

Five networks train for a few steps under `thalweg.watch`, once well and once at a rate that is too large. Then
`watch.diagnose` gets four batches and the loss.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import thalweg


if TYPE_CHECKING:
    from collections.abc import Callable

KINDS, CLASSES, POOL, GIVEN = 60, 10, 12, 4  # tokens, classes of pictures, batches of the training, batches given


class Transformer(nn.Module):
    """Four layers that predict the next token."""

    def __init__(self, width: int = 192, length: int = 96) -> None:
        super().__init__()
        self.embed = nn.Embedding(KINDS, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, KINDS)

    def forward(self, tokens_NT: Tensor) -> Tensor:
        """Scores of the next token, (N, T, C)."""
        mask_TT = nn.Transformer.generate_square_subsequent_mask(tokens_NT.shape[1])
        return self.head(self.layers(self.embed(tokens_NT) + self.places, mask=mask_TT, is_causal=True))


class VisionTransformer(nn.Module):
    """Six layers over patches of 8 pixels."""

    def __init__(self, width: int = 192, size: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.places = nn.Parameter(0.02 * torch.randn((size // 8) ** 2, width))
        layer = nn.TransformerEncoderLayer(width, 3, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 6, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Scores of the classes, (N, C)."""
        return self.head(self.layers(self.patches(images_NCHW).flatten(2).mT + self.places).mean(dim=1))


class Recurrent(nn.Module):
    """Two layers of LSTM that predict the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layers = nn.Embedding(KINDS, 64), nn.LSTM(64, 128, 2, batch_first=True)
        self.head = nn.Linear(128, KINDS)

    def forward(self, tokens_NT: Tensor) -> Tensor:
        """Scores of the next token, (N, T, C)."""
        return self.head(self.layers(self.embed(tokens_NT))[0])


def twice(takes: int, gives: int) -> nn.Sequential:
    """Two convolutions with batch norms."""
    layers = [nn.Conv2d(takes, gives, 3, padding=1), nn.BatchNorm2d(gives), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(gives, gives, 3, padding=1), nn.BatchNorm2d(gives), nn.ReLU())


class UNet(nn.Module):
    """Four levels, from 16 to 128 channels."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16, 32, 64, 128]
        self.down = nn.ModuleList(map(twice, [3, *widths], widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in widths[2::-1])
        self.mix = nn.ModuleList(twice(2 * width, width) for width in widths[2::-1])
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """A logit for each pixel, (N, 1, H, W)."""
        seen, kept = self.down[0](images_NCHW), []
        for level in self.down[1:]:
            kept.append(seen)
            seen = level(nn.functional.max_pool2d(seen, 2))
        for up, mix in zip(self.up, self.mix, strict=True):
            seen = mix(torch.cat([up(seen), kept.pop()], dim=1))
        return self.head(seen)


class Block(nn.Module):
    """A block of ResNet-18."""

    def __init__(self, takes: int, gives: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(takes, gives, 3, stride, 1, bias=False), nn.BatchNorm2d(gives), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(gives, gives, 3, 1, 1, bias=False), nn.BatchNorm2d(gives))
        short = nn.Sequential(nn.Conv2d(takes, gives, 1, stride, bias=False), nn.BatchNorm2d(gives))
        self.short = nn.Identity() if takes == gives and stride == 1 else short

    def forward(self, seen_NCHW: Tensor) -> Tensor:
        """The block's outputs."""
        return torch.relu(self.second(self.first(seen_NCHW)) + self.short(seen_NCHW))


def resnet_18() -> nn.Sequential:
    """ResNet-18 for ten classes."""
    widths = [64, 64, 128, 256, 512]
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for level in range(4):
        takes, gives = widths[level : level + 2]
        layers += [Block(takes, gives, 1 + (level > 0)), Block(gives, gives, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES))


def text(count: int, length: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens each of which has three that may follow it."""
    following = torch.randint(KINDS, (KINDS, 3), generator=torch.Generator().manual_seed(7))
    tokens_NT = torch.randint(KINDS, (count, length + 1), generator=draw)
    choice_NT = torch.randint(3, (count, length), generator=draw)
    for place in range(length):
        tokens_NT[:, place + 1] = following[tokens_NT[:, place], choice_NT[:, place]]
    return tokens_NT[:, :-1].clone(), tokens_NT[:, 1:].clone()


def pictures(count: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A pattern of large spots for each class, in noise."""
    labels_N = torch.randint(CLASSES, (count,), generator=draw)
    spots = torch.randn(CLASSES, 3, 4, 4, generator=torch.Generator().manual_seed(5))
    patterns = nn.functional.interpolate(spots, size=size, mode="bilinear")
    return 0.5 * patterns[labels_N] + torch.randn(count, 3, size, size, generator=draw), labels_N


def masks(count: int, size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Discs in noise, and where they are."""
    places = torch.arange(size)
    row_N11, column_N11 = torch.randint(size // 4, 3 * size // 4, (2, count, 1, 1), generator=draw)
    radius_N11 = torch.randint(size // 8, size // 3, (count, 1, 1), generator=draw)
    inside = (places[:, None] - row_N11) ** 2 + (places - column_N11) ** 2 < radius_N11**2
    mask_N1HW = inside.float()[:, None]
    return mask_N1HW + 0.7 * torch.randn(count, 3, size, size, generator=draw), mask_N1HW


def of_tokens(scores_NTC: Tensor, tokens_NT: Tensor) -> Tensor:
    """Cross-entropy over all positions."""
    return cross_entropy(scores_NTC.flatten(0, 1), tokens_NT.flatten())


class Task(NamedTuple):
    """A network, its data, its loss, a good rate and one that is too large, and a number of steps."""

    network: Callable[[], nn.Module]
    draw: Callable[[torch.Generator], tuple[Tensor, Tensor]]
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    rates: tuple[float, float]
    steps: int


TASKS = {
    "transformer, 4 layers of 192, 48 x 96 tokens": Task(
        Transformer, lambda draw: text(48, 96, draw), of_tokens, (1e-3, 0.3), 40
    ),
    "transformer, 4 layers of 256, 64 x 128 tokens": Task(
        lambda: Transformer(256, 128), lambda draw: text(64, 128, draw), of_tokens, (1e-3, 0.3), 25
    ),
    "ViT, 6 layers of 192, 64 photos of 64 px": Task(
        VisionTransformer, lambda draw: pictures(64, 64, draw), cross_entropy, (5e-4, 0.1), 40
    ),
    "U-Net, 16 photos of 96 px": Task(
        UNet, lambda draw: masks(16, 96, draw), binary_cross_entropy_with_logits, (1e-3, 1.0), 40
    ),
    "LSTM, 64 x 100 tokens": Task(Recurrent, lambda draw: text(64, 100, draw), of_tokens, (3e-3, 1.0), 60),
    "ResNet-18, 64 photos of 64 px": Task(
        resnet_18, lambda draw: pictures(64, 64, draw), cross_entropy, (1e-3, 0.3), 30
    ),
}


def diagnosed(task: Task, rate: float, clock: Callable[[], float]) -> tuple[float, float, str]:
    """Seconds of a step and of the diagnosis, and the verdict's code."""
    torch.manual_seed(0)
    model, draw = task.network(), torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    batches = [task.draw(draw) for _ in range(POOL)]
    began = clock()
    with thalweg.watch(model, optimizer) as watch:
        for step in range(task.steps):
            inputs, targets = batches[step % POOL]
            optimizer.zero_grad()
            loss = task.loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    trained = clock()
    verdict = watch.diagnose(batch=batches[:GIVEN], loss_fn=task.loss_fn)
    return (trained - began) / task.steps, clock() - trained, verdict.code


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="processor time in place of the clock's")
    parser.add_argument("--only", default="", help="networks whose name contains this")
    chosen = parser.parse_args()
    clock = time.process_time if chosen.cpu else time.perf_counter
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.python_version()}, {torch.__version__}"
    )
    for name, task in TASKS.items():
        if chosen.only not in name:
            continue
        for kind, rate in zip(("well", "too large a rate"), task.rates, strict=True):
            a_step, seconds, code = diagnosed(task, rate, clock)
            print(f"{name:46} {kind:16} a step {a_step:5.3f} s  diagnosis {seconds:5.1f} s  {code}", flush=True)


if __name__ == "__main__":
    main()

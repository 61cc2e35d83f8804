"""Programs on pictures: ViT, ResNet, U-Net."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import relu

from thalweg.diagnosis.zoo.data import Samples, digits
from thalweg.diagnosis.zoo.families.program import Program, accuracy, family


if TYPE_CHECKING:
    from torch import Tensor


def pictures() -> Samples:
    """The digits as (N, 1, 8, 8)."""
    found = digits()
    return replace(
        found,
        inputs_NF=found.inputs_NF.view(-1, 1, 8, 8),
        valid_inputs_NF=found.valid_inputs_NF.view(-1, 1, 8, 8),
    )


class _ViT(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 17, width))
        self.first = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.second = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), tokens], 1) + self.positions
        return self.head(self.norm(self.second(self.first(tokens))[:, 0]))


@family
def vit(seed: int) -> Program:
    """Patches of 2×2 pixels, a class token, two encoder layers."""
    del seed
    return Program(
        _ViT(), pictures(), "first", 32, "head", "classes", accuracy, optimizer=torch.optim.AdamW, rate=3e-3, steps=180
    )


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + self.shortcut(x))


@family
def resnet(seed: int) -> Program:
    """Three residual blocks with batch norm; SGD with momentum and a little weight decay."""
    del seed
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        _Block(12, 12, 1),
        _Block(12, 24, 2),
        _Block(24, 24, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )
    options = {"momentum": 0.9, "weight_decay": 5e-4}
    return Program(
        model, pictures(), "3", 12, "8", "classes", accuracy, optimizer=torch.optim.SGD, rate=0.05, options=options
    )


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.down2 = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.join = nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.down1(images)
        return self.head(self.join(torch.cat([fine, self.up(self.down2(fine))], 1)))


@family
def unet(seed: int) -> Program:
    """Segmentation: each pixel is background, disc or bar; cross-entropy per pixel."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.arange(16.0)
    center = 3 + 10 * torch.rand(600, 2, 1, 1, generator=generator)
    radius = 2 + 2 * torch.rand(600, 1, 1, generator=generator)
    disc = (grid[:, None] - center[:, 0]) ** 2 + (grid - center[:, 1]) ** 2 < radius**2
    bar = (grid[:, None] - torch.randint(1, 15, (600, 1, 1), generator=generator)).abs() <= 1
    targets = torch.where(disc, 1, torch.where(bar.expand(-1, -1, 16), 2, 0))
    inputs = torch.tensor([-1.0, 1.0, 0.5])[targets] + 0.4 * torch.randn(600, 16, 16, generator=generator)
    samples = Samples(inputs[:500, None], targets[:500], inputs[500:, None], targets[500:])
    return Program(_UNet(), samples, "join", 8, "head", "classes", accuracy, rate=1e-2, size=16)

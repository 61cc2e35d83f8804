"""Networks for pictures: ViT, ResNet, U-Net, autoencoder, VAE, siamese network, discriminator.

Shape suffixes: N samples, F features, C channels, H height, W width, T tokens, D width of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import mse_loss, relu

from thalweg.diagnosis.zoo.data import Samples, digits
from thalweg.diagnosis.zoo.networks import SIDE


if TYPE_CHECKING:
    from torch import Tensor


class ViT(nn.Module):
    """Patches of 2×2 pixels as tokens, a class token, two encoder layers of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 32)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.position = nn.Parameter(0.02 * torch.randn(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, inputs_NF: Tensor) -> Tensor:
        """Logits (N, 10)."""
        patches_NTF = inputs_NF.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        tokens_NTD = torch.cat([self.token.expand(len(inputs_NF), -1, -1), self.embed(patches_NTF)], dim=1)
        return self.head(self.encoder(tokens_NTD + self.position)[:, 0])


class Residual(nn.Module):
    """Two 3×3 convolutions with batch norm, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return relu(x_NCHW + self.norm2(self.conv2(relu(self.norm1(self.conv1(x_NCHW))))))


def resnet() -> nn.Module:
    """A stem, two residual blocks, the mean over positions."""
    stem = [nn.Unflatten(1, (1, SIDE, SIDE)), nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(
        *stem, Residual(16), nn.MaxPool2d(2), Residual(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )


class UNet(nn.Module):
    """One level down and up again, with a shortcut; one logit for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.middle = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.head = nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def forward(self, inputs_NF: Tensor) -> Tensor:
        """Logits (N, 1, H, W)."""
        fine_NCHW = self.down(inputs_NF.view(-1, 1, SIDE, SIDE))
        return self.head(torch.cat([fine_NCHW, self.up(self.middle(fine_NCHW))], dim=1))


def strokes(seed: int) -> Samples:
    """Digits under noise; the targets are the pixels of their strokes, (N, 1, H, W)."""
    whole = digits()
    generator = torch.Generator().manual_seed(seed)

    def pairs(clean_NF: Tensor) -> tuple[Tensor, Tensor]:
        noisy_NF = clean_NF + 0.7 * torch.randn(clean_NF.shape, generator=generator)
        return noisy_NF, (clean_NF > 0.5).float().view(-1, 1, SIDE, SIDE)

    return Samples(*pairs(whole.inputs_NF), *pairs(whole.valid_inputs_NF))


def autoencoder() -> nn.Module:
    """Eight numbers in the middle."""
    return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 8), nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 64))


def themselves(_seed: int) -> Samples:
    """Digits whose targets are the digits."""
    whole = digits()
    return Samples(whole.inputs_NF, whole.inputs_NF, whole.valid_inputs_NF, whole.valid_inputs_NF)


class VAE(nn.Module):
    """Outputs the picture beside mean and log-variance of its code, (N, 64 + 8 + 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
        self.decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64))

    def forward(self, inputs_NF: Tensor) -> Tensor:
        """The reconstruction, mean and log-variance side by side."""
        code_NF = self.encoder(inputs_NF)
        mean_NF, log_variance_NF = code_NF.chunk(2, dim=1)
        drawn_NF = mean_NF + torch.randn_like(mean_NF) * (log_variance_NF / 2).exp()
        return torch.cat([self.decoder(drawn_NF), code_NF], dim=1)


def evidence_bound(outputs_NF: Tensor, targets_NF: Tensor) -> Tensor:
    """The negative evidence lower bound, for each pixel (Kingma and Welling 2014, arXiv 1312.6114)."""
    picture_NF, mean_NF, log_variance_NF = outputs_NF.split((64, 8, 8), dim=1)
    divergence = (mean_NF.square() + log_variance_NF.exp() - 1 - log_variance_NF).sum(dim=1).mean() / 2
    return mse_loss(picture_NF, targets_NF) + 0.1 * divergence / 64


class Siamese(nn.Module):
    """The distance (N,) of two pictures, in a space that both are mapped to."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 16))

    def forward(self, pairs_N2F: Tensor) -> Tensor:
        """Distances (N,)."""
        one_ND, other_ND = self.embed(pairs_N2F[:, 0]), self.embed(pairs_N2F[:, 1])
        return (one_ND - other_ND).square().sum(dim=1).add(1e-6).sqrt()


def contrastive(distance_N: Tensor, same_N: Tensor) -> Tensor:
    """Hadsell, Chopra and LeCun 2006, with a margin of 2."""
    return (same_N * distance_N.square() + (1 - same_N) * relu(2 - distance_N).square()).mean()


def pairs_of_digits(seed: int) -> Samples:
    """Pairs (N, 2, F) of digits, half of them the same digit; targets 1 and 0."""
    whole = digits()
    generator = torch.Generator().manual_seed(seed)

    def pairs(inputs_NF: Tensor, targets_N: Tensor, count: int) -> tuple[Tensor, Tensor]:
        first_N = torch.randint(len(inputs_NF), (count,), generator=generator)
        order_N = torch.argsort(targets_N[first_N], stable=True)
        first_N = first_N[order_N]
        other_N = first_N.roll(1)  # nearly always the same digit
        other_N[::2] = first_N[torch.randperm(count, generator=generator)][::2]
        same_N = (targets_N[first_N] == targets_N[other_N]).float()
        return torch.stack([inputs_NF[first_N], inputs_NF[other_N]], dim=1), same_N

    train = pairs(whole.inputs_NF, whole.targets_N, 3000)
    return Samples(*train, *pairs(whole.valid_inputs_NF, whole.valid_targets_N, 300))


def discriminator() -> nn.Module:
    """Convolutions with stride and leaky ReLUs; one logit (N, 1)."""
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        nn.Conv2d(1, 12, 3, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(12, 24, 3, 2, 1),
        nn.BatchNorm2d(24),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(96, 1),
    )


def real_and_fake(seed: int) -> Samples:
    """Digits (target 1), and mixtures of two digits, as a half-trained generator makes them (target 0)."""
    whole = digits()
    generator = torch.Generator().manual_seed(seed)

    def both(real_NF: Tensor) -> tuple[Tensor, Tensor]:
        others_NF = real_NF[torch.randperm(len(real_NF), generator=generator)]
        fake_NF = 0.5 * (real_NF + others_NF) + 0.3 * torch.randn(real_NF.shape, generator=generator)
        return torch.cat([real_NF, fake_NF]), torch.cat([torch.ones(len(real_NF), 1), torch.zeros(len(real_NF), 1)])

    return Samples(*both(whole.inputs_NF), *both(whole.valid_inputs_NF))

"""Programs that learn codes of pictures: autoencoder, VAE, siamese network, and a GAN's discriminator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss, relu

from thalweg.diagnosis.zoo.data import Samples, digits
from thalweg.diagnosis.zoo.families.program import Program, accuracy_of_logit, explained, family


if TYPE_CHECKING:
    from torch import Tensor


def _rebuilt() -> Samples:
    found = digits()
    return Samples(found.inputs_NF, found.inputs_NF, found.valid_inputs_NF, found.valid_inputs_NF)


@family
def autoencoder(seed: int) -> Program:
    """64 pixels through a code of 12 numbers."""
    del seed
    model = nn.Sequential(
        nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 12), nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 64)
    )
    return Program(model, _rebuilt(), "1", 48, "5", "values", explained, mse_loss, steps=250)


class _VAE(nn.Module):
    def __init__(self, code: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 48), nn.ReLU())
        self.mean, self.logvar = nn.Linear(48, code), nn.Linear(48, code)
        self.decode = nn.Sequential(nn.Linear(code, 48), nn.ReLU(), nn.Linear(48, 64))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        hidden = self.body(pixels)
        mean, logvar = self.mean(hidden), self.logvar(hidden)
        code = mean + torch.randn_like(mean) * (0.5 * logvar).exp() if self.training else mean
        rebuilt = self.decode(code)
        divergence = 0.5 * (logvar.exp() + mean**2 - 1 - logvar).sum(1).mean()
        return {"loss": (rebuilt - pixels).square().sum(1).mean() + 0.5 * divergence, "rebuilt": rebuilt}


@family
def vae(seed: int) -> Program:
    """A variational autoencoder whose output holds the loss, as in transformers."""
    del seed

    def score(outputs: dict[str, Tensor], targets: Tensor) -> float:
        return explained(outputs["rebuilt"], targets)

    return Program(_VAE(), _rebuilt(), "body", 48, "decode.2", "own", score, None, steps=250)


class _Siamese(nn.Module):
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, width), nn.ReLU())
        self.head = nn.Linear(width, 8)

    def forward(self, pairs: Tensor) -> Tensor:
        first, second = self.head(self.body(pairs)).unbind(1)
        return (first - second).square().sum(1).add(1e-6).sqrt()


def _contrastive(distances: Tensor, same: Tensor) -> Tensor:
    return (same * distances.square() + (1 - same) * relu(2.0 - distances).square()).mean()


@family
def siamese(seed: int) -> Program:
    """Two digits, the same or not: distances and a contrastive loss."""
    generator = torch.Generator().manual_seed(seed)

    def pairs(inputs: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
        first = torch.randint(len(inputs), (count,), generator=generator)
        second = torch.randint(len(inputs), (count,), generator=generator)
        of = {int(label): (labels == label).nonzero()[:, 0] for label in labels.unique()}
        for at in range(0, count, 2):
            alike = of[int(labels[first[at]])]
            second[at] = alike[int(torch.randint(len(alike), (), generator=generator))]
        return torch.stack([inputs[first], inputs[second]], 1), (labels[first] == labels[second]).float()

    found = digits()
    samples = Samples(
        *pairs(found.inputs_NF, found.targets_N, 2000), *pairs(found.valid_inputs_NF, found.valid_targets_N, 400)
    )

    def score(distances: Tensor, same: Tensor) -> float:
        return accuracy_of_logit(1.0 - distances, same)

    return Program(_Siamese(), samples, "body", 48, "head", "own", score, _contrastive, steps=250, size=48)


@family
def discriminator(seed: int) -> Program:
    """A GAN's discriminator, on points: the generator takes a step before each batch is made."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(1200, 2, generator=generator) * torch.tensor([0.5, 0.2]) + torch.tensor([2.0, -1.0])
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    maker = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
    maker_steps = torch.optim.Adam(maker.parameters(), lr=2e-3, betas=(0.5, 0.999))
    samples = Samples(points[:1000], torch.ones(1000), points[1000:], torch.ones(200))
    loss_fn = binary_cross_entropy_with_logits

    def batch_of(step: int, seed: int) -> tuple[Tensor, Tensor]:
        real, ones = samples.batch(step, 32, seed)
        noise = torch.randn(32, 4, generator=torch.Generator().manual_seed(seed * 1_000_003 + step))
        fake = maker(noise)
        wanted = torch.autograd.grad(loss_fn(model(fake), ones), list(maker.parameters()), allow_unused=True)
        for parameter, gradient in zip(maker.parameters(), wanted, strict=True):
            parameter.grad = gradient
        maker_steps.step()
        return torch.cat([real, fake.detach()]), torch.cat([ones, torch.zeros(32)])

    def score(_outputs: Tensor, _targets: Tensor) -> float:
        """How much of the way from its first points to the real ones the generator has gone."""
        noise = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
        return float(1 - (maker(noise).mean(0) - points.mean(0)).norm() / points.mean(0).norm())

    return Program(
        model,
        samples,
        "1",
        32,
        "4",
        "own",
        score,
        loss_fn,
        options={"betas": (0.5, 0.999)},
        rate=4e-3,
        steps=300,
        loop={"batch_of": batch_of},
    )

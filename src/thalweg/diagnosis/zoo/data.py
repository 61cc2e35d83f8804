"""The zoo's data: 1,797 handwritten digits of 8×8 pixels, clothes from the built-in set, and a linear regression.

Shape suffixes: N samples, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from torch import Tensor

CLASSES = 10
FEATURES = 64


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs (N, F) and targets (N,), split into training and validation."""

    inputs_NF: Tensor
    targets_N: Tensor
    valid_inputs_NF: Tensor
    valid_targets_N: Tensor

    def batch(self, step: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Draw the batch of a step; a pure function of its arguments."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        chosen_N = torch.randint(len(self.inputs_NF), (size,), generator=generator)
        return self.inputs_NF[chosen_N], self.targets_N[chosen_N]


@cache
def digits() -> Samples:
    """Handwritten digits, normalized as a whole: 1,500 for training, 297 for validation.

    Source: Alpaydin and Kaynak 1998, https://archive.ics.uci.edu/dataset/80; they come with scikit-learn.
    """
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    inputs_NF = torch.tensor(inputs, dtype=torch.float32)
    inputs_NF = (inputs_NF - inputs_NF.mean()) / inputs_NF.std()
    targets_N = torch.tensor(targets, dtype=torch.int64)
    order_N = torch.randperm(len(targets_N), generator=torch.Generator().manual_seed(0))
    train_N, valid_N = order_N[:1500], order_N[1500:]
    return Samples(inputs_NF[train_N], targets_N[train_N], inputs_NF[valid_N], targets_N[valid_N])


def few_digits(count: int, *, wrong: float, seed: int) -> Samples:
    """A few digits, a share of them with random labels: few enough for a network to memorize."""
    whole = digits()
    generator = torch.Generator().manual_seed(seed)
    chosen_N = torch.randperm(len(whole.inputs_NF), generator=generator)[:count]
    targets_N = whole.targets_N[chosen_N].clone()
    flipped = int(wrong * count)
    targets_N[:flipped] = torch.randint(CLASSES, (flipped,), generator=generator)
    return Samples(whole.inputs_NF[chosen_N], targets_N, whole.valid_inputs_NF, whole.valid_targets_N)


def noisy_digits(*, wrong: float, seed: int) -> Samples:
    """All digits, twelve times each, with noise, and a share with random labels: the loss has a floor."""
    whole = digits()
    generator = torch.Generator().manual_seed(seed)
    inputs_NF = whole.inputs_NF.repeat(12, 1)
    inputs_NF = inputs_NF + 0.5 * torch.randn(inputs_NF.shape, generator=generator)
    targets_N = whole.targets_N.repeat(12)
    flipped_N = torch.rand(len(targets_N), generator=generator) < wrong
    targets_N = torch.where(flipped_N, torch.randint(CLASSES, targets_N.shape, generator=generator), targets_N)
    return Samples(inputs_NF, targets_N, whole.valid_inputs_NF, whole.valid_targets_N)


def shuffled_digits(seed: int) -> Samples:
    """Digits with labels unrelated to the pictures."""
    whole = noisy_digits(wrong=0.0, seed=seed)
    order_N = torch.randperm(len(whole.targets_N), generator=torch.Generator().manual_seed(seed))
    return Samples(whole.inputs_NF, whole.targets_N[order_N], whole.valid_inputs_NF, whole.valid_targets_N)


def linear_targets(seed: int, *, noise: float) -> Samples:
    """A linear regression with noise: the loss has one minimum, at the noise."""
    generator = torch.Generator().manual_seed(seed)
    inputs_NF = torch.randn(1500, FEATURES, generator=generator)
    weights_F = torch.randn(FEATURES, generator=generator) / FEATURES**0.5
    targets_N = inputs_NF @ weights_F + noise * torch.randn(1500, generator=generator)
    return Samples(inputs_NF[:1200], targets_N[:1200, None], inputs_NF[1200:], targets_N[1200:, None])


@cache
def built_in() -> Samples:
    """The first photos of the built-in set (Fashion-MNIST), gray, shrunk from 28 to 8 pixels, normalized as a whole."""
    import io
    import zipfile

    import numpy as np
    from PIL import Image

    from thalweg.data.builtin import ARCHIVE

    pictures: dict[str, list[tuple[int, np.ndarray]]] = {"training": [], "validation": []}
    with zipfile.ZipFile(ARCHIVE) as archive:
        for split, found in pictures.items():
            names = sorted(name for name in archive.namelist() if f"{split}/" in name and name.endswith(".png"))
            for name in names[:: max(1, len(names) // 1000)]:
                photo = Image.open(io.BytesIO(archive.read(name))).convert("L").resize((8, 8), Image.Resampling.BOX)
                found.append((int(name.rpartition("/")[2].split("_")[0]), np.asarray(photo, dtype=np.float32)))
    inputs = {
        split: torch.from_numpy(np.stack([pixels.ravel() for _, pixels in found])) for split, found in pictures.items()
    }
    targets = {split: torch.tensor([label for label, _ in found]) for split, found in pictures.items()}
    mean, deviation = inputs["training"].mean(), inputs["training"].std()
    scaled = {split: (pixels - mean) / deviation for split, pixels in inputs.items()}
    return Samples(scaled["training"], targets["training"], scaled["validation"], targets["validation"])


def rare_digits(seed: int, *, share: float = 0.01, noise: float = 2.0) -> Samples:
    """Eights under noise: label 1 for a rare few, 0 for all the other digits."""
    whole = digits()
    generator = torch.Generator().manual_seed(seed)
    eights_N = (whole.targets_N == 8).nonzero()[:, 0]
    others_N = (whole.targets_N != 8).nonzero()[:, 0]
    wanted_N = torch.rand(6000, generator=generator) < share
    from_eights_N = eights_N[torch.randint(len(eights_N), (6000,), generator=generator)]
    from_others_N = others_N[torch.randint(len(others_N), (6000,), generator=generator)]
    inputs_NF = whole.inputs_NF[torch.where(wanted_N, from_eights_N, from_others_N)]
    inputs_NF = inputs_NF + noise * torch.randn(inputs_NF.shape, generator=generator)
    targets_N = wanted_N.long()
    return Samples(inputs_NF[:5000], targets_N[:5000], inputs_NF[5000:], targets_N[5000:])

"""Twenty small sets of photos with a best learning rate that a grid of real trainings can find: photos × recipes.

The rules of the search in `thalweg find-lr` and `--lr auto` were chosen on `TUNING`; `REPORTED` gives the reported
results. The two share no photo: they have other classes of Imagenette, and other sources. Food-101's classes and the
photos of Imagenette are read from folders (`--photos`), clothes are the built-in photos, digits are scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.runs import TrainingConfig

TESTED = 600  # photos that judge a training, in no split of it
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A set of photos and the recipe that trains on it.

    Attributes:
        source: where the photos are from: a name of `SOURCES`.
        classes: which of the source's.
        photos: in the training split; the validation split has a fifth of that, at least 12.
        size: of the photos, in pixels.
        recipe: its name.
        epochs: of the training.
        rarest: photos of the last class, as a fraction of those of the first; the others lie between.
    """

    source: str
    classes: tuple[int, ...]
    photos: int
    size: int
    recipe: str
    epochs: int
    rarest: float = 1.0

    @property
    def name(self) -> str:
        """All of it in one word."""
        uneven = "" if self.rarest == 1 else "-uneven"
        return f"{self.source}{len(self.classes)}-{self.photos}-{self.size}px{uneven}-{self.recipe}-{self.epochs}e"

    def config(self, **changes: object) -> TrainingConfig:
        """The configuration of its training."""
        from thalweg.training.request import recipe

        fixed = {"precision": "fp32", "layout": "channels-last", "threads": 1}
        return recipe(self.recipe, size=self.size, epochs=self.epochs, **{**fixed, **changes})

    def write(self, root: Path, photos: Path) -> Path:
        """Write the photos below a folder, unless they are there, and return their folder.

        Args:
            root: the folder of all sets.
            photos: the folder that holds `food10` and `imagenette160`.
        """
        folder = root / self.name
        if folder.exists():
            return folder
        shares = np.linspace(1, self.rarest, len(self.classes))
        counts = {
            split: np.maximum(1, np.round(count * shares / shares.sum())).astype(int)
            for split, count in (("train", self.photos), ("valid", max(12, self.photos // 5)), ("test", TESTED))
        }
        random = np.random.default_rng([ord(letter) for letter in self.name])
        for place, label in enumerate(self.classes):
            pictures = SOURCES[self.source](photos, label)
            order = iter(random.permutation(len(pictures)).tolist())
            for split in SPLITS:
                home = folder / split / f"class{label}"
                home.mkdir(parents=True)
                for number, chosen in zip(range(counts[split][place]), order, strict=False):
                    _opened(pictures[chosen], self.size).save(home / f"{number}.png")
        return folder


def _opened(picture: Path | np.ndarray, size: int) -> Image.Image:
    image = Image.open(picture) if isinstance(picture, Path) else Image.fromarray(picture)
    return image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)


def _imagenette(photos: Path, label: int) -> list[Path | np.ndarray]:
    names = sorted(folder.name for folder in (photos / "imagenette160" / "train").iterdir())
    return sorted((photos / "imagenette160").glob(f"*/{names[label]}/*.jpg"))


def _food(photos: Path, label: int) -> list[Path | np.ndarray]:
    return sorted((photos / "food10").glob(f"*/{label}_*.jpg"))


def _clothes(_: Path, label: int) -> list[Path | np.ndarray]:
    from thalweg import data

    cache = data.build_cache(data.open_images("builtin"), size=28)
    rows = cache.rows("train")[cache.labels("train") == label]
    return list(cache.images_NHWC[rows[:1000]])


def _digits(_: Path, label: int) -> list[Path | np.ndarray]:
    from sklearn.datasets import load_digits

    pixels_ND, labels_N = load_digits(return_X_y=True)
    chosen = np.asarray(pixels_ND)[np.asarray(labels_N) == label].reshape(-1, 8, 8)
    return [np.round(pixels * 255 / 16).astype(np.uint8) for pixels in chosen]


SOURCES: dict[str, Callable[[Path, int], list[Path | np.ndarray]]] = {
    "imagenette": _imagenette,
    "food": _food,
    "clothes": _clothes,
    "digits": _digits,
}

TUNING = [
    PhotoSet("imagenette", (0, 1), 60, 32, "standard", 8),
    PhotoSet("imagenette", (0, 1, 2, 3, 4), 100, 32, "standard", 6),
    PhotoSet("imagenette", (0, 2, 4), 150, 28, "quick", 10),
    PhotoSet("imagenette", (0, 1, 2, 3, 4), 250, 32, "quick", 8),
    PhotoSet("imagenette", (1, 2, 3), 100, 32, "homework", 6),
    PhotoSet("imagenette", (0, 1, 2, 3, 4), 400, 28, "quick", 5, rarest=0.2),
    PhotoSet("clothes", (0, 2), 60, 28, "quick", 10),
    PhotoSet("clothes", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 150, 28, "standard", 5),
    PhotoSet("clothes", (2, 4, 6), 100, 28, "quick", 8, rarest=0.2),
    PhotoSet("clothes", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 1000, 28, "quick", 3),
]
REPORTED = [
    PhotoSet("food", (0, 1), 60, 32, "quick", 10),
    PhotoSet("food", (0, 3, 6), 100, 32, "standard", 6),
    PhotoSet("food", (0, 2, 4, 6, 8), 150, 28, "quick", 8),
    PhotoSet("food", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 600, 28, "quick", 4),
    PhotoSet("food", (1, 5, 9), 100, 32, "homework", 6, rarest=0.3),
    PhotoSet("imagenette", (5, 6), 60, 48, "quick", 8),
    PhotoSet("imagenette", (5, 6, 7, 8, 9), 250, 28, "standard", 4),
    PhotoSet("imagenette", (5, 7, 9), 400, 32, "quick", 5, rarest=0.2),
    PhotoSet("digits", (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 100, 28, "standard", 6),
    PhotoSet("digits", (3, 5, 8), 60, 32, "homework", 8),
]

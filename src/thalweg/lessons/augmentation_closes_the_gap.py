"""One photo in many forms: augmentation closes the gap between training and validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import draw_curves, show_pixels
from thalweg.lessons._learning import convolved_network, learn
from thalweg.lessons._photos import MOMENTS, SIDE, class_name, draw_photos
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.lessons._learning import Curves
    from thalweg.lessons._photos import Photos

_GRID = 4
_LAST = 5  # epochs over which losses are averaged, since that of one epoch is noisy


@dataclass(frozen=True)
class AugmentationClosesTheGap(Lesson):
    """A convolutional network on few photos, without and with an augmentation of `thalweg train`.

    Args:
        policy: name of the augmentation, as in `--augment`.
        each: training photos of each class.
        valid_each: validation photos of each class.
        epochs: of both trainings.
        channels: of the first convolution.
        learning_rate: of Adam.
        batch: photos.
        label: class of the photo that is shown; 9 is an ankle boot.
        seed: of photos, weights, batches and augmentation.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "General guidance" and homework 3,
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "augmentation-closes-the-gap"
    size: ClassVar[tuple[float, float]] = (15.0, 5.4)

    policy: str = "shift"
    each: int = 20
    valid_each: int = 30
    epochs: int = 40
    channels: int = 6
    learning_rate: float = 2e-3
    batch: int = 20
    label: int = 9
    seed: int = 0

    def run(self) -> Evidence:
        """Make one photo sixteen times; train twice from the same weights, in the same order."""
        photos = draw_photos("train", self.each, self.seed)
        curves = {name: self._train(photos, name) for name in ("none", self.policy)}
        numbers: dict[str, float] = {
            "photos": len(photos.labels_N),
            "valid_photos": 10 * self.valid_each,
            "epochs": self.epochs,
            "last": _LAST,
            "copies": _GRID**2,
        }
        for name, one in zip(("plain", "augmented"), curves.values(), strict=True):
            train, valid = (float(one.loss[split][-_LAST:].mean()) for split in ("train", "valid"))
            train_right, valid_right = (100 * float(one.right[split][-_LAST:].mean()) for split in ("train", "valid"))
            numbers |= {
                f"{name}_train": train,
                f"{name}_valid": valid,
                f"{name}_gap": valid - train,
                f"{name}_train_right": train_right,
                f"{name}_valid_right": valid_right,
            }
        shown = self._images(photos, _GRID**2)
        numbers["different"] = _different(shown)
        numbers["forms"] = _different(self._images(photos, self.epochs))
        numbers["gap_left"] = 100 * numbers["augmented_gap"] / numbers["plain_gap"]
        return Evidence(numbers, {"curves": curves, "shown": shown})

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The copies differ; the gap shrinks, for training gets harder and validation gets better."""
        numbers = evidence.numbers
        return (
            Check("different", numbers["different"], ">", 8),
            Check("gap", numbers["gap_left"], "<", 75),
            Check("harder", numbers["augmented_train"] / numbers["plain_train"], ">", 3),
            Check("better", numbers["augmented_valid"] / numbers["plain_valid"], "<", 1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """One photo sixteen times; the losses without and with augmentation on one scale."""
        left, middle, right = figure.subplots(1, 3)
        tiles_HW = evidence.data["shown"].reshape(_GRID, _GRID, SIDE, SIDE).swapaxes(1, 2).reshape((_GRID * SIDE,) * 2)
        show_pixels(left, tiles_HW, title=self.say("photo_title", copies=_GRID**2, name=class_name(self.label)))
        for place in range(1, _GRID):
            left.axhline(place * SIDE - 0.5, color="white", linewidth=2)
            left.axvline(place * SIDE - 0.5, color="white", linewidth=2)
        curves = evidence.data["curves"]
        highest = 1.05 * max(loss_E.max() for one in curves.values() for loss_E in one.loss.values())
        for axes, one, title in zip((middle, right), curves.values(), ("plain_title", "augmented_title"), strict=True):
            draw_curves(axes, {self.say(name): one.loss[name] for name in ("train", "valid")}, legend="upper right")
            axes.set_ylim(0, highest)
            label_axes(axes, title=self.say(title), x=self.axis("epoch"), y=self.axis("loss"))

    def _train(self, photos: Photos, policy: str) -> Curves:
        import torch

        from thalweg.data.augmentation import augmentation
        from thalweg.data.batches import Batches

        model = convolved_network(self.channels, self.seed)
        made = Batches(
            _augmenter(photos),
            np.arange(len(photos.labels_N)),
            photos.labels_N,
            size=SIDE,
            batch_size=self.batch,
            policy=augmentation(policy),
            seed=self.seed,
        )

        def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            for index in range(len(made)):
                images_NCHW, labels_N = made(epoch, index)
                yield images_NCHW[:, :1].contiguous(), labels_N

        return learn(
            model,
            batches,
            self.epochs,
            optimizer=torch.optim.Adam(model.parameters(), lr=self.learning_rate),
            watched={"train": photos.tensors(), "valid": draw_photos("valid", self.valid_each, self.seed).tensors()},
        )

    def _images(self, photos: Photos, count: int) -> NDArray[np.float64]:
        """The photo that is shown, augmented `count` times, in gray of shape (count, 28, 28)."""
        from thalweg.data.augmentation import augmentation, draw_crops

        rows_N = np.full(count, self.label)  # the classes take turns
        crops = draw_crops(augmentation(self.policy), count, SIDE, SIDE, np.random.default_rng(self.seed))
        mean, std = MOMENTS
        images_NCHW = _augmenter(photos)(rows_N, crops, SIDE)
        return np.clip(images_NCHW[:, 0].double().numpy() * std + mean, 0, 1)


def _different(images_NHW: NDArray[np.float64]) -> int:
    return len(np.unique(images_NHW.reshape(len(images_NHW), -1), axis=0))


def _augmenter(photos: Photos):  # noqa: ANN202 - its class loads torch
    from thalweg.data.augmenters import HostAugmenter

    mean, std = MOMENTS
    return HostAugmenter(np.ascontiguousarray(photos.images_NHWC), [mean] * 3, [std] * 3)

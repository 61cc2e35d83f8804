"""Normalization makes the valley round: one learning rate fits all directions, and the units no longer matter."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import QUIET, label_axes
from thalweg.lessons._drawing import LINES, draw_map
from thalweg.lessons._measures import distance, first_below
from thalweg.lessons._photos import CLASSES, SIDE, draw_photos
from thalweg.lessons._torch import one_thread, require_torch, seeded
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import parse


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.paths import Trace

_NEAR = 0.01  # distance that counts as arrived
_START = (-1.0, 1.0)
_LEARNED = 1.0  # loss of ten classes that counts as learned; guessing has 2.3


@dataclass(frozen=True)
class BatchNormRoundsTheValley(Lesson):
    """Two weights on features of unlike size; and a deep network on photos in several units, without and with norm.

    Args:
        unlike: ratio of the features' standard deviations.
        samples: of the two features.
        units: what pixels of 0 to 1 are multiplied by.
        rates: of plain gradient descent.
        steps: of each training.
        depth: hidden layers of the network.
        width: units of each.
        each: photos of each class.
        seed: of features, photos and weights.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Batch normalization", https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        Ioffe and Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167
    """

    name: ClassVar[str] = "batch-norm-rounds-the-valley"
    size: ClassVar[tuple[float, float]] = (13.5, 9.4)

    unlike: float = 10.0
    samples: int = 500
    units: tuple[float, ...] = (1.0, 16.0, 255.0)
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    steps: int = 80
    depth: int = 4
    width: int = 32
    each: int = 10
    seed: int = 0

    def run(self) -> Evidence:
        """Measure the curvatures of both regressions; the steepest curvature and the last losses of both networks."""
        require_torch()
        random = np.random.default_rng(self.seed)
        raw_N2 = random.normal(size=(self.samples, 2)) * [1.0, self.unlike]
        normed_N2 = (raw_N2 - raw_N2.mean(axis=0)) / raw_N2.std(axis=0)
        valleys = {name: _valley(features_N2) for name, features_N2 in (("raw", raw_N2), ("rounded", normed_N2))}
        correlation = float(np.asarray(np.corrcoef(raw_N2.T))[0, 1])
        networks = [(normed, unit) for normed in (False, True) for unit in self.units]
        sharpness = {key: self._sharpness(*key) for key in networks}
        losses = {key: self._losses(*key) for key in networks}
        plain_U, normed_U = (np.array([sharpness[normed, unit] for unit in self.units]) for normed in (False, True))
        works = {key: losses_R < _LEARNED for key, losses_R in losses.items()}
        plain_works, normed_works = (
            sum(all(works[kind, unit][at] for unit in self.units) for at in range(len(self.rates)))
            for kind in (False, True)
        )
        return Evidence(
            {
                "unlike": self.unlike,
                "raw_condition": valleys["raw"].condition,
                "rounded_condition": valleys["rounded"].condition,
                "rounded_formula": (1 + abs(correlation)) / (1 - abs(correlation)),
                "curvature_gap": max(valley.gap for valley in valleys.values()),
                "raw_arrival": first_below(distance(valleys["raw"].path), _NEAR),
                "rounded_arrival": first_below(distance(valleys["rounded"].path), _NEAR),
                "near": _NEAR,
                "depth": self.depth,
                "lowest_unit": self.units[0],
                "highest_unit": self.units[-1],
                "plain_lowest": float(plain_U.min()),
                "plain_highest": float(plain_U.max()),
                "plain_spread": float(plain_U.max() / plain_U.min()),
                "normed_sharpness": float(normed_U.mean()),
                "normed_spread": float(normed_U.max() / normed_U.min()),
                "rates": len(self.rates),
                "steps": self.steps,
                "learned": _LEARNED,
                "plain_works": plain_works,
                "normed_works": normed_works,
            },
            {"valleys": valleys, "plain": plain_U, "normed": normed_U, "losses": losses},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The closed forms hold; the valley is round; units change one network's curvature and not the other's."""
        numbers = evidence.numbers
        return (
            Check("curvature_gap", numbers["curvature_gap"], "<", 1e-9),
            Check("raw", numbers["raw_condition"], ">", 50),
            Check("rounded", abs(numbers["rounded_condition"] - numbers["rounded_formula"]), "<", 1e-9),
            Check("faster", numbers["raw_arrival"] / numbers["rounded_arrival"], ">", 10),
            Check("plain_spread", numbers["plain_spread"], ">", 100),
            Check("normed_spread", numbers["normed_spread"], "<", 1.1),
            Check("works", numbers["normed_works"] - numbers["plain_works"], "≥", 2),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Both valleys with a path at the best rate; the curvature against the unit; the losses against the rate."""
        above, (sharp, losses) = figure.subplots(2, 2, height_ratios=(5, 4))
        for axes, (name, valley) in zip(above, evidence.data["valleys"].items(), strict=True):
            draw_map(axes, valley.path.surface, {self.say("path"): valley.path}, legend="lower right")
            axes.plot(0, 0, "*", color=LINES[1].color, markersize=13, markeredgecolor="white", zorder=6)
            title = self.say(f"{name}_title", condition=f"{valley.condition:.3g}")
            label_axes(axes, title=title, x=self.say("first_axis"), y=self.say("second_axis"))
        for name, style in zip(("plain", "normed"), LINES, strict=False):
            look = {"color": style.color, "linestyle": style.dashes, "marker": style.marker, "linewidth": 2}
            sharp.plot(self.units, evidence.data[name], label=self.say(name), **look)
        sharp.set(xscale="log", yscale="log")
        sharp.set_xticks(self.units, [f"{unit:g}" for unit in self.units])
        sharp.minorticks_off()
        sharp.legend(loc="upper left")
        label_axes(sharp, title=self.say("sharpness_title"), x=self.say("unit_axis"), y=self.say("sharpness_axis"))
        self._loss_lines(losses, evidence)

    def _loss_lines(self, axes: Axes, evidence: Evidence) -> None:
        for (normed, unit), losses_R in evidence.data["losses"].items():
            style = LINES[1] if normed else LINES[0]
            name = self.say("in_unit", kind=self.say("normed" if normed else "plain"), unit=f"{unit:g}")
            marker = ("o", "s", "^")[self.units.index(unit) % 3]
            look = {"color": style.color, "linestyle": style.dashes, "marker": marker, "fillstyle": "none"}
            axes.plot(self.rates, np.nan_to_num(losses_R, nan=np.inf), label=name, **look)
        axes.axhline(_LEARNED, color=QUIET, linewidth=0.8)
        axes.set(xscale="log", ylim=(0, 4.6))
        axes.set_xticks(self.rates, [f"{rate:g}" for rate in self.rates])
        axes.minorticks_off()
        axes.legend(loc="upper left", ncols=2)
        label_axes(axes, title=self.say("losses_title", steps=self.steps), x=self.axis("rate"), y=self.axis("loss"))

    def _network(self, *, normed: bool) -> nn.Sequential:
        from torch import nn

        with seeded(self.seed):
            layers: list[nn.Module] = [nn.Flatten()]
            for inputs, outputs in pairwise((SIDE * SIDE, *[self.width] * self.depth)):
                layers += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] if normed else []), nn.ReLU()]
            return nn.Sequential(*layers, nn.Linear(self.width, CLASSES))

    def _photos(self, unit: float) -> tuple[Tensor, Tensor]:
        import torch

        photos = draw_photos("train", self.each, self.seed)
        return torch.from_numpy(photos.gray_NHW).float() * unit, torch.from_numpy(photos.labels_N)

    def _sharpness(self, normed: bool, unit: float) -> float:  # noqa: FBT001 - a key of the evidence
        """The largest eigenvalue of the Hessian at the first weights."""
        from torch.nn.functional import cross_entropy

        from thalweg.diagnosis.curvature import HessianOperator, extremes

        model = self._network(normed=normed)
        with one_thread(), HessianOperator(model, cross_entropy, [self._photos(unit)], mode="train") as hessian:
            return extremes(hessian, which="largest", tolerance=0.01).largest.value

    def _losses(self, normed: bool, unit: float) -> NDArray[np.float64]:  # noqa: FBT001 - a key of the evidence
        """The loss after gradient descent at each rate; NaN where it diverged."""
        import torch
        from torch.nn.functional import cross_entropy

        images, labels = self._photos(unit)
        found = []
        with one_thread():
            for rate in self.rates:
                model = self._network(normed=normed)
                optimizer = torch.optim.SGD(model.parameters(), lr=rate)
                for _ in range(self.steps):
                    optimizer.zero_grad()
                    cross_entropy(model(images), labels).backward()
                    optimizer.step()
                with torch.no_grad():
                    found.append(cross_entropy(model(images), labels).item())
        return np.array(found)


@dataclass(frozen=True)
class Valley:
    """A regression of two weights.

    Attributes:
        condition: largest curvature, relative to the smallest, from the features' second moments.
        gap: largest difference of those moments from the Hessian that torch computes of the loss, relative.
        path: gradient descent at the best rate, 2 / (sum of both curvatures).
    """

    condition: float
    gap: float
    path: Trace


def _valley(features_N2: NDArray[np.float64]) -> Valley:
    import torch

    moments_22 = features_N2.T @ features_N2 / len(features_N2)
    features = torch.from_numpy(features_N2)
    hessian_22 = torch.autograd.functional.hessian(
        lambda weights: 0.5 * (features @ weights).square().mean(), torch.zeros(2, dtype=torch.float64)
    )
    lowest, highest = np.linalg.eigvalsh(moments_22)
    (first, mixed), (_, second) = moments_22
    surface = parse(
        f"{float(first) / 2!r}*x**2 + {float(mixed)!r}*x*y + {float(second) / 2!r}*y**2",
        window=((-1.4, 1.4), (-1.4, 1.4)),
    )
    path = trace(surface, "sgd", lr=2 / float(lowest + highest), steps=1000, start=_START)
    gap = float(np.abs(hessian_22.numpy() - moments_22).max() / highest)  # type: ignore[union-attr]
    return Valley(float(highest / lowest), gap, path)

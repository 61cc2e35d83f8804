"""Photos learned by heart: the training loss falls on, the validation loss rises; and validation wears out, too."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import LINES, draw_curves
from thalweg.lessons._learning import dense_network, learn, shuffled
from thalweg.lessons._photos import CLASSES, draw_photos
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.lessons._learning import Curves


@dataclass(frozen=True)
class OverfittingAndValidation(Lesson):
    """One kind of network on few and on many photos; and the best of many guesses on few and on many photos.

    Args:
        each: photos of each class, for each training; the second is shown in full.
        updates: of every training, so that more photos mean fewer epochs.
        hidden: units of the hidden layer.
        learning_rate: of Adam.
        batch: photos.
        valid_each: validation photos of each class.
        guesses: how many random classifiers there are to choose from.
        judges: numbers of validation photos by which the best guess is chosen.
        seed: of photos, weights, batches and guesses.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "General guidance", https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        and 2022, "Why my validation set still overfits", https://speech.ee.ntu.edu.tw/~hylee/ml/2022-spring.php
    """

    name: ClassVar[str] = "overfitting-and-validation"
    size: ClassVar[tuple[float, float]] = (15.0, 5.2)

    each: tuple[int, ...] = (5, 20, 80, 320)
    updates: int = 600
    hidden: int = 256
    learning_rate: float = 1e-3
    batch: int = 20
    valid_each: int = 50
    guesses: int = 1000
    judges: tuple[int, ...] = (50, 100, 200, 500, 1000)
    seed: int = 0

    def run(self) -> Evidence:
        """Train on each number of photos; let each number of photos choose the best guess."""
        curves = [self._train(each) for each in self.each]
        shown = curves[1]
        valid_E = shown.loss["valid"]
        gaps = [100 * (one.right["train"][-1] - one.right["valid"][-1]) for one in curves]
        best, expected, unseen = self._choose()
        return Evidence(
            {
                "photos": CLASSES * self.each[1],
                "valid_photos": CLASSES * self.valid_each,
                "epochs": len(valid_E) - 1,
                "train_loss": float(shown.loss["train"][-1]),
                "train_right": 100 * float(shown.right["train"][-1]),
                "valid_lowest": float(valid_E.min()),
                "lowest_epoch": int(valid_E.argmin()),
                "valid_last": float(valid_E[-1]),
                "valid_right": 100 * float(shown.right["valid"][-1]),
                "few": CLASSES * self.each[0],
                "many": CLASSES * self.each[-1],
                "few_gap": float(gaps[0]),
                "many_gap": float(gaps[-1]),
                "guesses": self.guesses,
                "chance": 100 / CLASSES,
                "few_judges": self.judges[0],
                "many_judges": self.judges[-1],
                "few_best": float(best[0]),
                "few_expected": float(expected[0]),
                "many_best": float(best[-1]),
                "unseen": float(unseen[0]),
                "guess_gap": float(np.abs(best - expected).max()),
            },
            {"shown": shown, "gaps": gaps, "best": best, "expected": expected, "unseen": unseen},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Training loss vanishes while validation loss rises; more photos close the gap; few judges are fooled."""
        numbers = evidence.numbers
        return (
            Check("learned", numbers["train_loss"], "<", 0.05),
            Check("rises", numbers["valid_last"] / numbers["valid_lowest"], ">", 1.15),
            Check("gap", numbers["many_gap"] / numbers["few_gap"], "<", 0.5),
            Check("fooled", numbers["few_best"] - numbers["unseen"], ">", 8),
            Check("guess_gap", numbers["guess_gap"], "<", 6),
            Check("less_fooled", numbers["many_best"] - numbers["chance"], "<", 6),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Both losses against epochs; the gap against the number of photos; the best guess against its judges."""
        left, middle, right = figure.subplots(1, 3)
        shown: Curves = evidence.data["shown"]
        draw_curves(left, {self.say(name): shown.loss[name] for name in ("train", "valid")})
        label_axes(left, title=self.say("loss_title"), x=self.axis("epoch"), y=self.axis("loss"))
        photos = [CLASSES * each for each in self.each]
        middle.plot(photos, evidence.data["gaps"], marker="o", color=LINES[0].color, linewidth=2)
        middle.set(xscale="log", ylim=(0, None))
        middle.set_xticks(photos, [f"{count:,}" for count in photos], minor=False)
        middle.minorticks_off()
        label_axes(middle, title=self.say("gap_title"), x=self.say("photos_axis"), y=self.say("gap_axis"))
        self._guesses(right, evidence)

    def _guesses(self, axes: Axes, evidence: Evidence) -> None:
        lines = (("expected", ""), ("best", "s"), ("unseen", "^"))
        for (name, marker), style in zip(lines, LINES, strict=False):
            axes.plot(
                self.judges,
                evidence.data[name],
                marker=marker or None,
                linestyle="-" if not marker else "",
                color=style.color,
                markersize=8,
                fillstyle="none",
                label=self.say(name),
            )
        axes.set(xscale="log", ylim=(0, 40))
        axes.set_xticks(self.judges, [f"{count:,}" for count in self.judges])
        axes.minorticks_off()
        axes.legend(loc="upper right")
        label_axes(axes, title=self.say("guesses_title"), x=self.say("judges_axis"), y=self.say("right_axis"))

    def _train(self, each: int) -> Curves:
        import torch

        model = dense_network((self.hidden,), self.seed)
        images, labels = draw_photos("train", each, self.seed).tensors()
        epochs = max(1, round(self.updates * self.batch / len(labels)))
        return learn(
            model,
            shuffled(images, labels, self.batch, self.seed),
            epochs,
            optimizer=torch.optim.Adam(model.parameters(), lr=self.learning_rate),
            watched={"train": (images, labels), "valid": draw_photos("valid", self.valid_each).tensors()},
        )

    def _choose(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """For each number of judges, in percent: the best guess there, its expectation, and its accuracy elsewhere."""
        labels_N = draw_photos("test", max(self.judges) // CLASSES).labels_N
        random = np.random.default_rng([self.seed, 2])
        right_GN = random.integers(CLASSES, size=(self.guesses, len(labels_N))) == labels_N
        elsewhere_GN = random.integers(CLASSES, size=(self.guesses, len(labels_N))) == labels_N  # the guesses go on
        found = []
        for judges in self.judges:
            share_G = 100 * right_GN[:, :judges].mean(axis=1)
            chosen = int(share_G.argmax())
            found.append(
                (share_G[chosen], best_of(self.guesses, judges, 1 / CLASSES), 100 * elsewhere_GN[chosen].mean())
            )
        best, expected, unseen = np.array(found).T
        return best, expected, unseen


def best_of(count: int, trials: int, chance: float) -> float:
    """The expected largest share of successes among `count` independent rows of `trials` each, in percent.

    P(largest ≤ k) = F(k)^count with F the binomial distribution; the expectation is Σ (1 − F(k)^count).

    Example:
        >>> round(best_of(1, 50, 0.1), 6), round(best_of(2, 1, 0.5), 6)
        (10.0, 75.0)
    """
    shares_K = [comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials)]
    below_K = np.cumsum(shares_K)
    return 100 * float((1 - below_K**count).sum()) / trials

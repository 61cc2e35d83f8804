"""Stop when the validation loss has not improved for a while, and keep the best weights: judged on a third set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from thalweg.figures.style import INK, QUIET, label_axes
from thalweg.lessons._drawing import LINES, draw_curves
from thalweg.lessons._learning import dense_network, learn, shuffled
from thalweg.lessons._photos import CLASSES, draw_photos
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EarlyStopping(Lesson):
    """One training, stopped with several patiences afterwards; the stop sees the validation photos only.

    Args:
        each: training photos of each class.
        valid_each: validation photos of each class.
        test_each: test photos of each class.
        epochs: of the training that is not stopped.
        hidden: units of the hidden layer.
        learning_rate: of Adam.
        batch: photos.
        patience: epochs without a better validation loss, that of the text.
        patiences: those of the picture.
        seed: of photos, weights and batches.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "General guidance", https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        Prechelt, Early Stopping — But When?, 1998, https://doi.org/10.1007/3-540-49430-8_3
    """

    name: ClassVar[str] = "early-stopping"
    size: ClassVar[tuple[float, float]] = (13.5, 5.2)

    each: int = 20
    valid_each: int = 30
    test_each: int = 50
    epochs: int = 60
    hidden: int = 256
    learning_rate: float = 1e-3
    batch: int = 20
    patience: int = 8
    patiences: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    seed: int = 0

    def run(self) -> Evidence:
        """Train to the end, then stop in hindsight at every patience."""
        import torch

        model = dense_network((self.hidden,), self.seed)
        images, labels = draw_photos("train", self.each, self.seed).tensors()
        curves = learn(
            model,
            shuffled(images, labels, self.batch, self.seed),
            self.epochs,
            optimizer=torch.optim.Adam(model.parameters(), lr=self.learning_rate),
            watched={
                "train": (images, labels),
                "valid": draw_photos("valid", self.valid_each, self.seed).tensors(),
                "test": draw_photos("test", self.test_each, self.seed).tensors(),
            },
        )
        test_E = curves.loss["test"]
        stops = [stop(curves.loss["valid"], patience) for patience in self.patiences]
        best, last = stop(curves.loss["valid"], self.patience)
        return Evidence(
            {
                "photos": len(labels),
                "valid_photos": CLASSES * self.valid_each,
                "test_photos": CLASSES * self.test_each,
                "epochs": self.epochs,
                "patience": self.patience,
                "best": best,
                "last": last,
                "saved": 100 * (1 - last / self.epochs),
                "valid_best": float(curves.loss["valid"][best]),
                "test_best": float(test_E[best]),
                "test_end": float(test_E[-1]),
                "test_lowest": float(test_E.min()),
                "test_lowest_epoch": int(test_E.argmin()),
                "train_best": float(curves.loss["train"][best]),
                "train_end": float(curves.loss["train"][-1]),
                "right_best": 100 * float(curves.right["test"][best]),
                "right_end": 100 * float(curves.right["test"][-1]),
                "hasty": self.patiences[0],
                "hasty_best": stops[0][0],
                "hasty_test": float(test_E[stops[0][0]]),
                "slow": self.patiences[-1],
                "slow_last": stops[-1][1],
            },
            {"curves": curves, "stops": stops},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """It stops before the end, with a test loss near the lowest and far below the last; training loss misleads."""
        numbers = evidence.numbers
        return (
            Check("stops", numbers["last"] / self.epochs, "<", 0.75),
            Check("better", numbers["test_best"] / numbers["test_end"], "<", 0.9),
            Check("near", numbers["test_best"] / numbers["test_lowest"], "<", 1.1),
            Check("training", numbers["train_best"] / numbers["train_end"], ">", 5),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The three losses with the stop; the test loss and the epochs of every patience."""
        left, right = figure.subplots(1, 2)
        curves, stops = evidence.data["curves"], evidence.data["stops"]
        draw_curves(
            left, {self.say(name): curves.loss[name] for name in ("train", "valid", "test")}, legend="upper right"
        )
        best, last = int(evidence.numbers["best"]), int(evidence.numbers["last"])
        left.plot(best, curves.loss["valid"][best], "o", color=INK, markersize=9, fillstyle="none")
        for epoch, name in ((best, "kept"), (last, "stopped")):
            left.axvline(epoch, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
            left.annotate(self.say(name), (epoch, 0.04), xytext=(4, 0), textcoords="offset points")
        label_axes(left, title=self.say("loss_title"), x=self.axis("epoch"), y=self.axis("loss"))
        losses = [curves.loss["test"][kept] for kept, _ in stops]
        right.plot(self.patiences, losses, marker="o", color=LINES[2].color, linewidth=2)
        right.axhline(curves.loss["test"][-1], color=QUIET, linestyle=(0, (3, 2)), label=self.say("unstopped"))
        for patience, loss, (_, end) in zip(self.patiences, losses, stops, strict=True):
            right.annotate(
                self.say("run", epochs=end), (patience, loss), xytext=(0, 8), textcoords="offset points", ha="center"
            )
        right.set(xscale="log", ylim=(0, 1.2 * curves.loss["test"][-1]), xlim=(0.6, 1.4 * self.patiences[-1]))
        right.set_xticks(self.patiences, [f"{patience}" for patience in self.patiences])
        right.minorticks_off()
        right.legend(loc="lower right")
        label_axes(right, title=self.say("patience_title"), x=self.say("patience_axis"), y=self.say("test_axis"))


def stop(loss_E: Sequence[float] | NDArray[np.float64], patience: int) -> tuple[int, int]:
    """The epoch whose weights are kept, and the epoch at which training stops.

    Args:
        loss_E: the validation loss before the first epoch and after each.
        patience: stops after so many epochs without a lower loss, at least 1.

    Example:
        >>> stop([3.0, 1.0, 2.0, 2.0, 0.5], 2), stop([3.0, 1.0, 2.0, 2.0, 0.5], 3)
        ((1, 3), (4, 4))
    """
    best = 0
    for epoch, loss in enumerate(loss_E):
        if loss < loss_E[best]:
            best = epoch
        if epoch - best >= patience:
            return best, epoch
    return best, len(loss_E) - 1

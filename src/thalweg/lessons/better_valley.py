"""Fine-tunings end in one valley and learn sooner; a ridge separates trainings from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons import _transfer as transfer
from thalweg.lessons._drawing import LINES, number_steps
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POSITIONS = 41
_SETS = ("scratch", "weights", "random")  # the last: from the same weights, before they had learned anything


@dataclass(frozen=True)
class BetterValley(Lesson):
    """Pairs of trainings on the same few photos, and the straight line between the two ends of each pair.

    Each training of the first pair has its own first weights. Both of the second start from weights that know other
    classes, with a new classifier each. The third shows what the mere common start does.

    Args:
        known: classes of the built-in set that the weights have learned.
        new: classes that are to be learned.
        known_each: photos of each known class.
        each: photos of each new class.
        known_steps: of the training on the known classes.
        steps: of each training on the new classes.
        low: loss that counts as learned, in nats.
        seed: of photos, weights and batches.

    Source:
        Neyshabur, Sedghi and Zhang, What is being transferred in transfer learning?, 2020,
        https://arxiv.org/abs/2008.11687, section 3.3
    """

    name: ClassVar[str] = "better-valley"

    known: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    new: tuple[int, ...] = (6, 7, 8, 9)
    known_each: int = 300
    each: int = 20
    known_steps: int = 250
    steps: int = 100
    low: float = 0.3
    seed: int = 0

    def run(self) -> Evidence:
        """Train on the known classes, then six times on the new ones; measure the three lines."""
        known = transfer.Photos.drawn(self.known, self.known_each, self.seed)
        photos = transfer.Photos.drawn(self.new, self.each, self.seed)
        pixels, salt = photos.pixels_ND.shape[1], 1000 * self.seed
        first = transfer.first_weights(salt, pixels, len(self.known))
        learned, _ = transfer.train(first, known, self.known_steps, seed=salt, watched=False)
        ends: dict[str, list[transfer.Weights]] = {name: [] for name in _SETS}
        losses: dict[str, list[np.ndarray]] = {name: [] for name in _SETS}
        for turn in (1, 2):
            fresh = transfer.first_weights(salt + turn, pixels, len(self.new))
            starts = (fresh, *(transfer.with_new_classifier(weights, fresh) for weights in (learned, first)))
            for name, start in zip(_SETS, starts, strict=True):
                end, losses_S = transfer.train(start, photos, self.steps, seed=salt + turn)
                ends[name].append(end)
                losses[name].append(losses_S)
        positions_P = np.linspace(0, 1, _POSITIONS)
        lines = {name: transfer.line(ends[name], photos, positions_P) for name in _SETS}
        numbers = {
            "known": len(self.known),
            "new": len(self.new),
            "known_each": self.known_each,
            "each": self.each,
            "steps": self.steps,
            "low": self.low,
        }
        for name in _SETS:
            numbers |= {
                f"{name}_ridge": transfer.ridge(lines[name]),
                f"{name}_end": float(max(lines[name][0], lines[name][-1])),
                f"{name}_apart": transfer.apart(ends[name]),
                f"{name}_learned": float(max(_first_below(losses_S, self.low) for losses_S in losses[name])),
            }
        numbers["sooner"] = numbers["weights_learned"] / min(numbers["scratch_learned"], numbers["random_learned"])
        return Evidence(numbers, {"positions": positions_P, "lines": lines, "losses": losses})

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """All ends are low; a ridge is only between those from scratch; weights that know something learn sooner."""
        numbers = evidence.numbers
        return (
            Check("ends", max(numbers[f"{name}_end"] for name in _SETS), "<", 0.05),
            Check("scratch_ridge", numbers["scratch_ridge"], ">", 0.1),
            Check("weights_ridge", numbers["weights_ridge"], "<", 0.05),
            Check("sooner", numbers["sooner"], "<", 0.9),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The loss along the lines, and the loss of all trainings against steps."""
        across, along = figure.subplots(1, 2)
        for name, style in zip(_SETS, LINES, strict=False):
            look = {"color": style.color, "linestyle": style.dashes, "linewidth": 2}
            across.plot(
                evidence.data["positions"], evidence.data["lines"][name], **look, label=self.say(f"{name}_name")
            )
            across.plot([0, 1], evidence.data["lines"][name][[0, -1]], style.marker, color=style.color, markersize=8)
            for losses_S in evidence.data["losses"][name]:
                along.plot(losses_S, **look)
        across.set(ylim=(0, None), xlim=(-0.03, 1.03))
        along.set(ylim=(0, None))
        across.legend(loc="upper right", handlelength=3.2)
        number_steps(along, self.steps)
        label_axes(across, title=self.say("line_title"), x=self.say("line_axis"), y=self.axis("loss"))
        label_axes(along, title=self.say("steps_title"), x=self.axis("step"), y=self.axis("loss"))


def _first_below(values_S: np.ndarray, bound: float) -> float:
    below_N = np.flatnonzero(values_S < bound)
    return float(below_N[0]) if len(below_N) else np.inf

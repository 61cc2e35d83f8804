"""The live display of a training: a chart of loss and accuracy that grows, and the time left."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

from thalweg.i18n import t
from thalweg.notebooks.cell import cell, folded, listing
from thalweg.notebooks.curves import Curves
from thalweg.notebooks.places import output_in
from thalweg.report.html import Html, tag
from thalweg.runs import files
from thalweg.training.printing import lines_of_start, numbers_line, result_lines, working_line
from thalweg.training.progress import Listener, Pace


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from thalweg._notebook import Place
    from thalweg.notebooks.places import Output
    from thalweg.runs import Run
    from thalweg.training.progress import Progress

SECONDS_BETWEEN_FRAMES: Final = 0.5
MOST_TIME: Final = 0.01  # fraction of the time that may go into frames
_POINTS: Final = 400  # of a line; then two become one


class Live(Listener):
    """Shows a training in a notebook while it runs: twice a second, or less often where frames would cost 1 %.

    Args:
        output: shows a frame.
        clock: gives seconds.
    """

    def __init__(self, output: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._clock = output, clock
        self._next = -float("inf")
        self._before: list[Html] = []  # of the runs that ended, where several are trained
        self._notes: list[str] = []
        self._pace, self._stage = Pace(clock), ""
        self._status, self._share = "", 0.0
        self._shows = False
        self._begin()

    def _begin(self) -> None:
        self._name, self._end, self._ended = "", None, False
        self._running = _Means()
        self._epochs: list[Mapping[str, float]] = []
        self._latest: tuple[float, float] | None = None
        self._whole: Curves | None = None  # with every step, once it has ended

    def note(self, key: str, **values: Any) -> None:
        """Add a message."""
        self._notes.append(t(key, **values))
        self._draw()

    def listing(self, done: int, total: int) -> None:
        """Show how many files are found, then how many are compared."""
        if not total:
            self.working("listing", done, 0)
        elif done < total:  # otherwise a listing has ended, and nothing is compared yet
            self.working("comparing", done, total)

    def checking(self, done: int, total: int) -> None:
        """Show how many photos are checked."""
        self.working("checking", done, total)

    def caching(self, done: int, total: int) -> None:
        """Show how many photos are decoded."""
        self.working("caching", done, total)

    def working(self, stage: str, done: float, total: float) -> None:
        """Show the stage, and the time that the rest takes; this comes once for each photo, so it does little."""
        self._pace.report(done, total)
        self._stage, self._share = stage, self._pace.share
        self._draw()

    def started(self, run: Path, facts: Mapping[str, Any]) -> None:
        """Begin the charts of a run; those of the one before stay above."""
        if self._name:
            self._before.append(self._run())
            self._begin()
        self._name = str(run)
        opened: Run = facts["run"]
        self._end = opened.config.epochs
        self._notes += lines_of_start(run, facts)
        if "resumed_at" in facts:
            self._take(opened)
        self._say(t("notebook.begins"), 0.0)
        self._draw()

    def _take(self, run: Run) -> None:
        """Take the histories of the sessions before."""
        steps, epochs = run.steps(), run.epochs()
        for epoch, loss in zip(steps["epoch"], steps["loss"], strict=True):
            self._running.add(float(epoch), float(loss))
        names = list(epochs.units)
        self._epochs += [dict(zip(names, map(float, row), strict=True)) for row in epochs.rows_NC]

    def progressed(self, progress: Progress) -> None:
        """Add a point to the chart."""
        self._running.add(progress.epoch, progress.loss)
        self._latest = (progress.epoch, progress.accuracy)
        self._say(numbers_line(progress), progress.share)
        self._draw()

    def epoch_ended(self, row: Mapping[str, float]) -> None:
        """Add an epoch to the chart."""
        self._epochs.append(row)
        self._latest = None
        self._draw()

    def ended(self, run: Run, summary: Mapping[str, Any]) -> None:
        """Show how it ended, with the histories as they are in the run."""
        stopped = summary["stopped"]
        self._whole, self._ended = Curves.of(run.steps(), run.epochs()), True
        if stopped == "interrupted":
            self._say(t("notebook.interrupted", step=summary["steps"], run=str(run.path)), self._share)
        else:
            self._say(" · ".join([t(f"report.stopped_{stopped}"), *result_lines(summary)]), 1.0)
        self._draw(final=True)

    def close(self, error: BaseException | None = None) -> None:
        """Show the last frame; if an error ended the training, what it says."""
        if isinstance(error, KeyboardInterrupt):
            self._say(t("notebook.cut", run=self._name) if self._name else t("notebook.cut_early"), self._share)
        elif error is not None:
            self._say(t("notebook.failed", reason=str(error) or type(error).__name__), self._share)
        elif not self._ended:
            self._say(t("notebook.done"), 1.0)
        if self._shows:
            self._draw(final=True)

    def _say(self, status: str, share: float) -> None:
        """Set what stands above the bar, and how full it is."""
        self._stage, self._status, self._share = "", status, share

    def _line(self) -> str:
        """The state in a line, as of now."""
        return working_line(self._stage, self._pace) if self._stage else self._status

    def _draw(self, *, final: bool = False) -> None:
        """Show a frame if one is due."""
        now = self._clock()
        if now < self._next and not final:
            return
        content = cell(*self._before, self._run(), self._messages())
        try:
            self._output.show(str(content), self._line())
        except Exception:  # noqa: BLE001 - a notebook that is gone must not end the training
            self._next = float("inf")
            return
        self._shows = True
        took = self._clock() - now
        self._next = now + max(SECONDS_BETWEEN_FRAMES, took / MOST_TIME)

    def _run(self) -> Html:
        """The charts of the run that is trained, and its state."""
        curves = self._whole or Curves(
            epoch_S=self._running.x,
            loss_S=self._running.y,
            epoch_E=[row["epoch"] for row in self._epochs],
            train_accuracy_E=[row["train_accuracy"] for row in self._epochs],
            valid_loss_E=[row["valid_loss"] for row in self._epochs],
            valid_accuracy_E=[row["valid_accuracy"] for row in self._epochs],
            end=self._end,
            running=self._latest,
            valid_map_E=[row[files.VALID_MAP] for row in self._epochs if files.VALID_MAP in row],
            valid_top5_E=self._top5(),
        )
        bar = tag("div", tag("div", style=f"width:{100 * self._share:.1f}%"), class_="bar")
        return tag(
            "section",
            tag("p", tag("strong", self._name)) if self._name else None,
            tag("p", line, class_="numbers") if (line := self._line()) else None,
            bar if self._share < 1 else None,
            curves.charts() if len(curves.epoch_S) or len(curves.epoch_E) else None,
        )

    def _top5(self) -> list[float]:
        """The top-5 accuracy of each epoch; those that 0.1.0 trained have none."""
        known = any(files.VALID_TOP5 in row for row in self._epochs)
        return [row.get(files.VALID_TOP5, math.nan) for row in self._epochs] if known else []

    def _messages(self) -> Html | None:
        if not self._notes:
            return None
        return folded(t("notebook.messages", count=len(self._notes)), listing(self._notes))


class _Means:
    """Points whose number stays bounded: when there are too many, each two neighbors become their mean."""

    def __init__(self) -> None:
        self.x: list[float] = []
        self.y: list[float] = []
        self._each = 1
        self._open: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        """Add a point."""
        self._open.append((x, y))
        if len(self._open) < self._each:
            return
        self.x.append(sum(x for x, _ in self._open) / self._each)
        self.y.append(sum(y for _, y in self._open) / self._each)
        self._open.clear()
        if len(self.x) >= _POINTS:
            self.x, self.y = (
                [sum(pair) / 2 for pair in zip(one[::2], one[1::2], strict=True)] for one in (self.x, self.y)
            )
            self._each *= 2


def live_in(place: Place) -> Live:
    """Open a live display in the output of the cell that runs."""
    return Live(output_in(place))

"""Progress on stderr, of a training and of other long work: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from thalweg.distributed.joining import is_first
from thalweg.i18n import percent, t
from thalweg.runs import files
from thalweg.training.printing import Lines, Printer, duration, kind_of, numbers_line, result_lines, say, working_line
from thalweg.training.progress import Listener, Pace


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rich.progress import Task

    from thalweg.runs import Run, TrainingConfig
    from thalweg.training.progress import Progress as TrainingProgress

SECONDS_BETWEEN_LINES_OF_WORK = 10.0
BAR_WIDTH = 8  # short, because the numbers matter more and the line must fit in 80 columns


class _Live(Lines):
    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars
        self._task = bars.add_task("", total=None, numbers="", visible=False)

    def line(self, message: str) -> None:
        self._bars.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def listing(self, done: int, total: int) -> None:
        if total:
            self._photos("training.stage_comparing", done, total)
        else:
            numbers = f"{t('training.stage_listing')}  {done:,}"
            self._bars.update(self._task, completed=0, total=None, numbers=numbers, visible=True)

    def checking(self, done: int, total: int) -> None:
        self._photos("training.stage_checking", done, total)

    def caching(self, done: int, total: int) -> None:
        self._photos("training.stage_caching", done, total)

    def _photos(self, doing: str, done: int, total: int) -> None:
        numbers = f"{t(doing)}  {done:,} / {total:,}"
        self._bars.update(self._task, completed=done, total=total, numbers=numbers, visible=done < total)

    def progressed(self, progress: TrainingProgress) -> None:
        numbers = numbers_line(progress)
        self._bars.update(self._task, completed=progress.share, total=1.0, numbers=numbers, visible=True)


@contextmanager
def showing(_config: TrainingConfig | None) -> Iterator[Listener]:
    """Yield a listener that shows progress on stderr, live on a terminal; the first process's."""
    if not is_first():
        yield Listener()
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Printer()
        return
    columns = (BarColumn(bar_width=BAR_WIDTH), TextColumn("{task.fields[numbers]}"))
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bars:
        yield _Live(bars)


class _Work(Listener):
    """Long work that is no training: its stage, how much of all is done, and how long the rest takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.pace = Pace(clock)
        self._stage = ""

    def note(self, key: str, **values: Any) -> None:
        self.line(t(key, **values))

    def listing(self, done: int, total: int) -> None:
        if not total:
            self.working("listing", done, 0)
        elif done < total:  # otherwise a listing has ended, and nothing is compared yet
            self.working("comparing", done, total)

    def checking(self, done: int, total: int) -> None:
        self.working("checking", done, total)

    def caching(self, done: int, total: int) -> None:
        self.working("caching", done, total)

    def working(self, stage: str, done: float, total: float) -> None:
        is_new_stage, self._stage = stage != self._stage, stage
        self.pace.report(done, total)
        self.show(is_new_stage=is_new_stage)

    def show(self, *, is_new_stage: bool) -> None:
        """Show the state after a report."""
        raise NotImplementedError

    def line(self, message: str) -> None:
        say(message)

    def text(self) -> str:
        """The state in one line, as of now."""
        return working_line(self._stage, self.pace)


class _PlainWork(_Work):
    _said_at = -SECONDS_BETWEEN_LINES_OF_WORK

    def show(self, *, is_new_stage: bool) -> None:
        is_due = self.clock() - self._said_at > SECONDS_BETWEEN_LINES_OF_WORK
        if self.pace.share < 1 and (is_new_stage or is_due):
            self._said_at = self.clock()
            say(f"  {self.text()}")


class _LiveWork(_Work):
    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars
        self._task = bars.add_task("", total=1.0, visible=False, work=self)

    def show(self, *, is_new_stage: bool) -> None:
        self._bars.update(self._task, completed=self.pace.share, visible=self.pace.share < 1, refresh=is_new_stage)

    def line(self, message: str) -> None:
        self._bars.console.print(message, markup=False, highlight=False, soft_wrap=True)


class _TextOfWork(ProgressColumn):
    """Counts down by itself between two reports."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["work"].text(), overflow="ellipsis", no_wrap=True)


@contextmanager
def working(stage: str | None = None) -> Iterator[Listener]:
    """Yield a listener that shows the progress of long work on stderr, live on a terminal.

    Args:
        stage: shown at once, before the first report; it covers the time that imports take.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _begun(_PlainWork(), stage)
        return
    with Progress(
        BarColumn(bar_width=BAR_WIDTH), _TextOfWork(), console=console, transient=True, refresh_per_second=4
    ) as bars:
        yield _begun(_LiveWork(bars), stage)


def _begun(work: _Work, stage: str | None) -> _Work:
    if stage is not None:
        work.working(stage, 0, 1)
    return work


def say_result(run: Run) -> None:
    """Print accuracies, time and the next steps; the result goes to stdout."""
    summary = run.summary()
    lines = [t("training.stopped_" + summary["stopped"], epochs=summary["epochs"], steps=summary["steps"])]
    lines += result_lines(summary)
    seconds = summary["seconds"]
    parts = {name: seconds.get(name, 0.0) for name in ("preparing", "training", "data", "evaluation")}
    parts["rest"] = max(0.0, seconds["total"] - sum(parts.values()))
    times = {name: duration(value) for name, value in parts.items()}
    lines.append(t("training.result_time", total=duration(seconds["total"]), **times))
    lines.append(t("training.result_report", report=run.path / files.REPORT))
    lines.append(t("training.result_predict", run=run.path))
    print("\n".join(lines))  # noqa: T201 - this is the output


def say_folds(out: Path, summary: Mapping[str, Any]) -> None:
    """Print the out-of-fold accuracy, and how to predict with all folds; the result goes to stdout."""
    by_fold = ", ".join(percent(accuracy, 2) for accuracy in summary["by_fold"])
    key = f"training.result_folds_{kind_of(summary)}".removesuffix("_")
    line = t(key, **{**summary, "by_fold": by_fold})
    print(line, t("training.result_predict", run=out), sep="\n")  # noqa: T201 - this is the output

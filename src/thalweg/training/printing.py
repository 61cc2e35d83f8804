"""The progress of a training in lines on stderr, and the choice of what shows it."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from thalweg import _notebook
from thalweg.i18n import t
from thalweg.runs import files
from thalweg.training.progress import Listener, Pace


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from thalweg.training.progress import Progress

SECONDS_BETWEEN_PLAIN_LINES = 30.0
SECONDS_UNTIL_SHOWN = 1.0  # of work that seldom takes longer


def say(message: str) -> None:
    """Print one line on stderr, to be wrapped by the terminal."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - the command line speaks


def duration(seconds: float) -> str:
    """Format seconds as minutes and seconds, with hours if there are any.

    Example:
        >>> duration(83), duration(3725)
        ('1:23', '1:02:05')
    """
    if not seconds < float("inf"):
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def lines_of_start(run: Path, facts: Mapping[str, Any]) -> list[str]:
    """What a training begins with: network, number format and folder; or where it goes on.

    Args:
        run: the run's folder.
        facts: as `Listener.started` receives them.
    """
    if "resumed_at" in facts:
        return [t("training.resumed", run=run, step=facts["resumed_at"])]
    card, choice, environment = facts["model"], facts["choice"], facts["run"].environment
    size = facts["run"].config.size
    chosen = f"{choice.format.precision} {choice.format.layout}"
    lines = [
        t("training.model_line", model=card.name, parameters=card.parameters / 1e6, gflops=card.flops / 1e9, size=size),
        t("training.format_line", chosen=chosen, device=environment["device"], threads=environment["threads"]),
    ]
    if choice.photos_per_second:
        rates = ", ".join(
            f"{form.precision} {form.layout} {rate:.0f}" for form, rate in choice.photos_per_second.items()
        )
        lines.append(t("training.rates_line", rates=rates))
    return [*lines, t("training.run_line", run=run)]


class Lines(Listener):
    """Whole lines, which both kinds of display print."""

    epochs: int | None = None

    def note(self, key: str, **values: Any) -> None:
        """Print a message."""
        self.line(t(key, **values))

    def started(self, run: Path, facts: Mapping[str, Any]) -> None:
        """Print the network, the number format and the folder."""
        self.epochs = facts["run"].config.epochs
        for message in lines_of_start(run, facts):
            self.line(message)

    def epoch_ended(self, row: Mapping[str, float]) -> None:
        """Print the epoch's losses and accuracies."""
        total = "" if self.epochs is None else f"/{self.epochs}"
        told = {**row, "epoch": f"{row['epoch']:.0f}{total}", "time": duration(row["seconds"])}
        more = {files.VALID_MAP: "_several", files.VALID_TOP5: "_top5"}
        kind = next((suffix for column, suffix in more.items() if column in row), "")
        self.line(t(f"training.epoch_line{kind}", **told))

    def line(self, message: str) -> None:
        """Print a line."""
        say(message)


class Printer(Lines):
    """Prints the progress of a training on stderr: the choices, each epoch, and a line every half minute.

    Example:
        >>> Printer().note("training.drawing")  # on stderr
    """

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def progressed(self, progress: Progress) -> None:
        """Print a line now and then."""
        if time.monotonic() - self._said_at > SECONDS_BETWEEN_PLAIN_LINES:
            self._said_at = time.monotonic()
            say(f"  {progress.share:4.0%}  {numbers_line(progress)}")


def numbers_line(progress: Progress) -> str:
    """The numbers of a progress report in one line."""
    return t(
        "training.progress_line_several" if progress.several else "training.progress_line",
        epoch=progress.epoch,
        loss=progress.loss,
        accuracy=progress.accuracy,
        norm=progress.gradient_norm,
        rate=progress.photos_per_second,
        left=duration(progress.seconds_left),
    )


def result_lines(summary: Mapping[str, Any]) -> list[str]:
    """The scores of the splits that a finished run was evaluated on.

    Args:
        summary: of the run.
    """
    found = []
    for split in ("valid", "test"):
        if result := summary.get(split):
            key = f"{kind_of(result)}{split}"
            told = {**result, "loss": float("nan") if result["loss"] is None else result["loss"]}
            found.append(t(f"training.result_{key}", epoch=summary["kept_epoch"], **told))
    return found


def kind_of(result: Mapping[str, Any]) -> str:
    """What the catalogue's key of a result begins with: which scores it has besides the accuracy."""
    kinds = {"mean_average_precision": "several_", "top5_accuracy": "top5_"}
    return next((kind for name, kind in kinds.items() if name in result), "")


def working_line(stage: str, pace: Pace) -> str:
    """How far some work is in one line, as of now.

    Args:
        stage: `training.stage_STAGE` names it; empty: none.
        pace: of the work.
    """
    name, left = t(f"training.stage_{stage}") if stage else "", pace.seconds_left()
    if pace.counted is not None:
        return t("training.working_counted", stage=name, count=pace.counted)
    if left is None:
        return t("training.working_begins", stage=name)
    return t("training.working_line", stage=name, share=pace.share, left=duration(left))


@contextmanager
def _closed_at_the_end(display: Any) -> Iterator[Listener]:
    """Yield what shows progress, and close it, with the error if there is one."""
    try:
        yield display
    except BaseException as error:
        display.close(error)
        raise
    display.close()


@contextmanager
def heard(listener: Listener | None, verbose: bool | None = None) -> Iterator[Listener]:  # noqa: FBT001 - of `train`
    """Yield what receives the progress of a call from Python.

    Args:
        listener: the caller's, if there is one.
        verbose: True: a chart in a notebook, lines on stderr elsewhere. False: nothing. None: a chart in a notebook,
            lines at Python's prompt, nothing in a program.
    """
    place = None if listener is not None or verbose is False else _notebook.place()
    if place is not None:
        with _closed_at_the_end(_notebook.live(place)) as display:
            yield display
    elif listener is not None:
        yield listener
    else:
        speaks = _notebook.interactive() if verbose is None else verbose
        yield Printer() if speaks else Listener()


class StatusLine(Listener):
    """One line on a terminal's stderr with the state of some work; it is gone at the end."""

    def __init__(self) -> None:
        from rich.console import Console

        self._pace = Pace()
        self._status = Console(stderr=True).status("")
        self._status.start()

    def working(self, stage: str, done: float, total: float) -> None:
        """Show the stage and how far the work is."""
        from rich.text import Text

        self._pace.report(done, total)
        self._status.update(Text(working_line(stage, self._pace), overflow="ellipsis", no_wrap=True))

    def close(self, _error: BaseException | None = None) -> None:
        """Take the line away."""
        self._status.stop()


class _OnceLong(Listener):
    """Shows the progress of work once that has taken a second by the clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._began = clock, clock()
        self._display: Any = None

    def working(self, stage: str, done: float, total: float) -> None:
        if self._display is None and self._clock() - self._began > SECONDS_UNTIL_SHOWN:
            place = _notebook.place()
            self._display = StatusLine() if place is None else _notebook.live(place)
        if self._display is not None:
            self._display.working(stage, done, total)

    def close(self, error: BaseException | None = None) -> None:
        if self._display is not None:
            self._display.close(error)


@contextmanager
def heard_if_long(listener: Listener | None, clock: Callable[[], float] = time.monotonic) -> Iterator[Listener]:
    """Yield what receives the progress of work that seldom takes longer than a second.

    Args:
        listener: the caller's, if there is one. None: where the work does take longer, a notebook shows its progress
            in the cell, and a terminal in one line, which is gone at the end; a program without either shows nothing.
        clock: gives seconds.
    """
    if listener is not None:
        yield listener
        return
    if _notebook.place() is None and not _is_terminal():
        yield Listener()
        return
    with _closed_at_the_end(_OnceLong(clock)) as display:
        yield display


def _is_terminal() -> bool:
    """Whether stderr is a terminal; it may be closed, or another object."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False

"""`thalweg train`: from a folder of photos to a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._options import training_flags
from thalweg.cli._output import JsonFlag, print_json
from thalweg.distributed.joining import is_first, is_one_of_many
from thalweg.errors import INTERRUPTED, DataError, StorageError, UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.errors import ThalwegError
    from thalweg.runs import Run, TrainingConfig


_RESTARTS = 3
_MOST_PROCESSES = 1024


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train", help=t("training.help_train"), rich_help_panel=None)(train)


@training_flags
def train(
    photos: Annotated[str | None, typer.Argument(metavar="DIR", help=t("training.help_photos"))] = None,
    recipe: Annotated[str | None, typer.Option(help=t("training.help_recipe"))] = None,
    out: Annotated[Path | None, typer.Option(help=t("training.help_out"))] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help=t("training.help_resume"))] = None,
    moved: Annotated[str | None, typer.Option("--photos", metavar="DIR", help=t("training.help_moved"))] = None,
    processes: Annotated[int | None, typer.Option(metavar="N", help=t("training.help_processes"))] = None,
    max_restarts: Annotated[int, typer.Option(metavar="N", help=t("training.help_max_restarts"))] = _RESTARTS,
    log: Annotated[list[str] | None, typer.Option(metavar="TARGET", help=t("loggers.help_log"))] = None,
    as_json: JsonFlag = False,
    **overrides: Any,
) -> None:
    """Train, or resume a run."""
    if _starts_others(processes, max_restarts):
        return
    if resume is not None:
        if photos is not None or out is not None or recipe is not None:
            raise UsageError("training.resume_alone", run=resume)
        go_on(resume, moved, overrides, log=log or None, as_json=as_json)
    elif moved is not None:
        raise UsageError("training.moved_alone")
    elif photos is None:
        raise UsageError("training.no_photos")
    else:
        begin(photos, requested(photos, recipe, overrides), out, log=log or (), as_json=as_json)


def _starts_others(processes: int | None, restarts: int) -> bool:
    """Start the processes that were asked for, and end with their exit code; False in a process that trains."""
    if processes is None or is_one_of_many():
        return False
    if not 1 <= processes <= _MOST_PROCESSES or restarts < 0:
        raise UsageError("distributed.bad_number", processes=processes, most=_MOST_PROCESSES, restarts=restarts)
    if processes == 1:
        return False
    from thalweg.distributed.launching import launch

    if code := launch(sys.argv[1:], processes, restarts):
        raise typer.Exit(code)
    return True


def requested(photos: str, recipe: str | None, overrides: dict[str, Any]) -> TrainingConfig:
    """Resolve the requested configuration, and print the choices made for the user."""
    from thalweg.cli._progress import say
    from thalweg.training import resolve

    def note(key: str, **values: Any) -> None:
        if is_first():
            say(t(key, **values))

    return resolve(recipe, overrides, photos=photos, note=note)


def begin(photos: str, config: TrainingConfig, out: Path | None, *, log: Sequence[str] = (), as_json: bool) -> None:
    """Train, draw, and print the results."""
    from thalweg.cli._progress import showing
    from thalweg.cli.data import bring
    from thalweg.loggers.live import opened
    from thalweg.training import train as train_run
    from thalweg.training import train_folds

    if is_first():
        bring(photos)
    with opened(log, _tell) as loggers:
        if config.folds and config.fold is None:
            with showing(config) as listener:
                runs = train_folds(photos, config, out, listener=listener, log=loggers)
            conclude_folds(runs, as_json=as_json)
            return
        with showing(config) as listener:
            run = train_run(photos, config, out, listener=listener, log=loggers)
        if is_first():
            conclude(run, as_json=as_json)


def go_on(
    path: Path,
    photos: str | None = None,
    ends: Mapping[str, Any] | None = None,
    *,
    log: Sequence[str] | None = None,
    as_json: bool,
) -> None:
    """Resume a run from its last checkpoint, draw, and print the results."""
    ends = ends or {}
    from thalweg.cli._progress import showing
    from thalweg.loggers.live import opened
    from thalweg.runs import Run, expand_folds, files
    from thalweg.training import resume as resume_run
    from thalweg.training import resume_folds
    from thalweg.training.request import extended

    with opened(log, _tell, before=expand_folds([path])) as loggers:
        if (path / files.FOLDS).is_dir():
            if is_one_of_many():
                raise UsageError("distributed.folds_resumed", run=path)
            with showing(extended(Run.open(path / files.FOLDS / "0").config, ends)) as listener:
                runs = resume_folds(path, photos=photos, listener=listener, log=loggers, **ends)
            conclude_folds(runs, as_json=as_json)
            return
        with showing(extended(Run.open(path).config, ends) if is_first() else None) as listener:
            run = resume_run(path, photos=photos, listener=listener, log=loggers, **ends)
        if is_first():
            conclude(run, as_json=as_json)


def _tell(key: str, **values: Any) -> None:
    """Say that a logger fails."""
    from thalweg.cli._progress import say

    if is_first():
        say(t(key, **values))


def submit(run: Run) -> None:
    """Write the homework's submission for an unlabeled test split."""
    from thalweg.cli._progress import say
    from thalweg.prediction import predict, submission_notes, write_submission
    from thalweg.runs import files
    from thalweg.runs.photos import unlabeled_test

    if run.data["test"] and not run.summary().get("test"):
        path = run.path / files.SUBMISSION
        predictions = predict(run.path, unlabeled_test(run.find_photos()))
        write_submission(predictions, path)
        say(t("training.submission", path=path))
        for one in submission_notes(predictions):
            say(str(one))


def conclude(run: Run, *, as_json: bool) -> None:
    """Draw the pictures, write the report, print the result."""
    from thalweg.cli._progress import say, say_result

    interrupted = run.summary()["stopped"] == "interrupted"
    failure = None
    if interrupted:
        say(t("training.interrupted", step=run.summary()["steps"], run=run.path))
    elif failure := _draw_and_submit(run):
        say(t("training.result_incomplete", reason=failure))
    if as_json:
        print_json({"run": str(run.path), **run.summary()})
    elif not interrupted:
        say_result(run)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if isinstance(failure, StorageError):
        raise typer.Exit(failure.exit_code)


def _draw_and_submit(run: Run) -> ThalwegError | None:
    """Draw and predict after a training; return what hindered it: photos moved away, a full disk."""
    from thalweg.cli._progress import say
    from thalweg.report import draw_run

    say(t("training.drawing"))
    try:
        draw_run(run.path)
        submit(run)
    except (DataError, StorageError) as error:
        return error
    return None


def conclude_folds(runs: list[Run], *, as_json: bool) -> None:
    """Draw every fold's pictures, and print the combined result."""
    from thalweg.cli._progress import say, say_folds
    from thalweg.runs import files, schema

    out = runs[-1].path.parents[1]
    if runs[-1].summary()["stopped"] == "interrupted":
        say(t("training.interrupted", step=runs[-1].summary()["steps"], run=out))
        raise typer.Exit(INTERRUPTED)
    from thalweg.report import draw_run

    say(t("training.drawing"))
    for run in runs:
        draw_run(run.path)
    summary = schema.read_json(out / files.SUMMARY)
    if as_json:
        print_json({"run": str(out), **summary})
    else:
        say_folds(out, summary)

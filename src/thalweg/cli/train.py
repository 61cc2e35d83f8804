"""`thalweg train`: from a folder of photos to a run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._options import AUTO, flags_of
from thalweg.cli._output import JsonFlag, print_json
from thalweg.errors import UsageError
from thalweg.i18n import t
from thalweg.training.config import TrainingConfig


if TYPE_CHECKING:
    from thalweg.training import Run

INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train", help=t("training.help_train"), rich_help_panel=None)(train)


@flags_of(TrainingConfig, "training")
def train(
    photos: Annotated[str | None, typer.Argument(metavar="[DIR]", help=t("training.help_photos"))] = None,
    recipe: Annotated[str | None, typer.Option(help=t("training.help_recipe"))] = None,
    out: Annotated[Path | None, typer.Option(help=t("training.help_out"))] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help=t("training.help_resume"))] = None,
    as_json: JsonFlag = False,
    **overrides: Any,
) -> None:
    """Train, or go on with a run."""
    if resume is not None:
        if photos is not None or out is not None or recipe is not None or overrides:
            raise UsageError("training.resume_alone", run=resume)
        go_on(resume, as_json=as_json)
    elif photos is None:
        raise UsageError("training.no_photos")
    else:
        chosen = recipe or default_recipe(photos, overrides)
        begin(photos, configured(chosen, overrides), out or free_folder(Path("runs"), photos), as_json=as_json)


def configured(recipe: str, overrides: dict[str, Any]) -> TrainingConfig:
    """A recipe with some fields changed.

    Another optimizer comes with its own usual rate, since the recipe's was chosen for the recipe's optimizer; the rest
    is as in `fields_of`.
    """
    from thalweg.training.recipes import recipe as named

    fields = fields_of(overrides)
    config = named(recipe)
    if fields.get("optimizer", config.optimizer) != config.optimizer and "lr" not in fields:
        from thalweg.cli._progress import say
        from thalweg.training.optimizers import usual_rate

        fields["lr"] = usual_rate(fields["optimizer"])
        if "find_lr" not in fields:
            say(t("training.usual_rate", lr=fields["lr"], optimizer=fields["optimizer"], recipe=recipe))
    return replace(config, **fields)


def fields_of(overrides: dict[str, Any]) -> dict[str, Any]:
    """The fields that options mean.

    A budget alone takes the place of the epochs, `--lr auto` is `find_lr`, and the sizes that a recipe grows through
    are for its own network.
    """
    fields = dict(overrides)
    if "model" in fields:
        fields.setdefault("smaller_sizes", ())
    if fields.get("lr") == AUTO:  # the recipe's own rate stays, for where nothing is found
        del fields["lr"]
        fields["find_lr"] = True
    if "budget" in fields:
        fields.setdefault("epochs", None)
    return fields


def default_recipe(photos: str, overrides: dict[str, Any]) -> str:
    """`standard`; with a budget and no end by epochs, what the budget affords, which is said."""
    if "budget" not in overrides or "epochs" in overrides:
        return "standard"
    from thalweg.cli._progress import say
    from thalweg.training.recipes import affordable

    fields = fields_of(overrides)
    del fields["epochs"]  # the recipe's: it is asked how many of them the budget affords
    found = affordable(photos, **fields)
    say(t("training.recipe_chosen", **found._asdict()))
    return found.recipe


def free_folder(parent: Path, photos: str) -> Path:
    """The first of `parent/NAME`, `parent/NAME-2`, ... that is not there yet."""
    name = Path(photos).resolve().name.split(".")[0] or "run"
    candidates = (parent / (name if number == 1 else f"{name}-{number}") for number in range(1, sys.maxsize))
    return next(path for path in candidates if not path.exists())


def begin(photos: str, config: TrainingConfig, out: Path, *, as_json: bool) -> None:
    """Train, draw, and say what came out."""
    from thalweg.cli._progress import showing
    from thalweg.training import train as train_run
    from thalweg.training import train_folds

    if config.folds and config.fold is None:
        with showing(config) as listener:
            runs = train_folds(photos, config, out, listener=listener)
        conclude_folds(runs, out, as_json=as_json)
        return
    with showing(config) as listener:
        run = train_run(photos, config, out, listener=listener)
    conclude(run, as_json=as_json)


def go_on(path: Path, *, as_json: bool) -> None:
    """The same, from a run's last checkpoint."""
    from thalweg.cli._progress import showing
    from thalweg.training import Run, resume_folds
    from thalweg.training import resume as resume_run

    if (path / "folds").is_dir():
        with showing(Run.open(path / "folds" / "0").config) as listener:
            runs = resume_folds(path, listener=listener)
        conclude_folds(runs, path, as_json=as_json)
        return
    with showing(Run.open(path).config) as listener:
        run = resume_run(path, listener=listener)
    conclude(run, as_json=as_json)


def submit(run: Run) -> None:
    """Write the homework's submission for a test split that has no labels."""
    from thalweg.cli._progress import say
    from thalweg.prediction import predict, write_submission

    if run.data["test"] and not run.summary().get("test"):
        path = run.path / "submission.csv"
        write_submission(predict(run.path, run.data["path"]), path)
        say(t("training.submission", path=path))


def conclude(run: Run, *, as_json: bool) -> None:
    """Draw the pictures, write the report, print the result."""
    from thalweg.cli._progress import say, say_result

    interrupted = run.summary()["stopped"] == "interrupted"
    if interrupted:
        say(t("training.interrupted", step=run.summary()["steps"], run=run.path))
    else:
        from thalweg.report import draw_run

        say(t("training.drawing"))
        draw_run(run.path)
        submit(run)
    if as_json:
        print_json({"run": str(run.path), **run.summary()})
    elif not interrupted:
        say_result(run)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def conclude_folds(runs: list[Run], out: Path, *, as_json: bool) -> None:
    """Draw every fold's pictures, and print what all folds say together."""
    from thalweg.cli._progress import say, say_folds

    if runs[-1].summary()["stopped"] == "interrupted":
        say(t("training.interrupted", step=runs[-1].summary()["steps"], run=out))
        raise typer.Exit(INTERRUPTED)
    from thalweg.report import draw_run

    say(t("training.drawing"))
    for run in runs:
        draw_run(run.path)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        print_json({"run": str(out), **summary})
    else:
        say_folds(out, summary)

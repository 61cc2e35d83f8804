"""`thalweg predict`: a submission for a folder, the five most probable classes for one photo."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._output import JsonFlag, note, print_data, print_json, print_table
from thalweg.data.sources import is_picture
from thalweg.errors import UsageError
from thalweg.i18n import percent, t


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.data import ImageSet
    from thalweg.prediction import Predictions

BEST = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict", help=t("prediction.help_predict"))(predict)


def predict(
    paths: Annotated[list[str], typer.Argument(metavar="RUN... PHOTOS", help=t("prediction.help_runs"))],
    out: Annotated[Path | None, typer.Option("--out", "-o", help=t("prediction.help_out"))] = None,
    vote: Annotated[bool, typer.Option("--vote", help=t("prediction.help_vote"))] = False,
    tta: Annotated[int, typer.Option(help=t("prediction.help_tta"))] = 1,
    names: Annotated[bool | None, typer.Option("--names/--numbers", help=t("prediction.help_names"))] = None,
    endings: Annotated[bool | None, typer.Option("--endings/--no-endings", help=t("prediction.help_endings"))] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help=t("prediction.help_probabilities"))] = False,
    sort_into: Annotated[Path | None, typer.Option("--sort-into", help=t("prediction.help_sort_into"))] = None,
    link: Annotated[bool, typer.Option("--link", help=t("prediction.help_link"))] = False,
    as_json: JsonFlag = False,
) -> None:
    """Classify photos with the kept weights of runs."""
    from thalweg.prediction import sort_photos, submission_notes, submission_text, write_submission

    runs, photos = _runs_and_photos(paths)
    if not runs or not photos:
        raise UsageError("prediction.nothing_given")
    from thalweg.cli._progress import working
    from thalweg.data import open_photos

    with working("opening") as listener:
        images = open_photos(photos, progress=listener.listing)
        predictions = _classify(runs, images, partial(listener.working, "photos"), tta=tta, vote=vote)
    for message in predictions.notes:
        note(str(message))
    for bad in predictions.bad:
        note(t("prediction.bad_photo", reason=bad))
    style: dict[str, Any] = {"names": names, "endings": endings, "probabilities": probabilities}
    for one in submission_notes(predictions, **style):
        note(str(one))
    if out is not None:
        write_submission(predictions, out, **style)
        note(t("prediction.written", count=len(predictions.photos), path=out))
    if sort_into is not None:
        placed = sort_photos(predictions, images, sort_into, link=link)
        note(t("prediction.sorted", count=sum(placed.values()), classes=len(placed), path=sort_into))
    if as_json:
        print_json(_payload(predictions))
    elif out is not None or sort_into is not None:
        return
    elif len(photos) == len(predictions.photos) == 1 and Path(photos[0]).is_file():
        _print_best(predictions, photos[0], None if probabilities else BEST)
    else:
        print_data(submission_text(predictions, **style))


def _print_best(predictions: Predictions, title: str, count: int | None) -> None:
    """Print the most probable classes of one photo; of several labels, also which it is given."""
    best, columns = predictions.best(0, count), [t(f"prediction.column_{name}") for name in ("class", "probability")]
    if predictions.thresholds_C is None:
        print_table(columns, [(name, percent(probability)) for name, probability in best], title=title)
        return
    least = dict(zip(predictions.classes, predictions.thresholds_C, strict=True))
    rows = [
        (
            name,
            percent(probability),
            percent(least[name]),
            t("report.yes" if probability >= least[name] else "report.no"),
        )
        for name, probability in best
    ]
    print_table([*columns, *(t(f"prediction.column_{name}") for name in ("threshold", "given"))], rows, title=title)


def _runs_and_photos(paths: list[str]) -> tuple[list[str], list[str]]:
    """The runs, and what to classify: the last path, or all single photos at the end."""
    first = len(paths) - 1
    while first > 0 and is_picture(paths[first - 1]) and is_picture(paths[-1]):
        first -= 1
    return paths[:first], paths[first:]


def _classify(
    runs: list[str], photos: ImageSet, progress: Callable[[int, int], None], *, tta: int, vote: bool
) -> Predictions:
    """Classify with runs, or with exported models, which need no torch."""
    exported = [run.lower().endswith(".onnx") for run in runs]
    if all(exported):
        from thalweg.prediction import predict_onnx

        return predict_onnx(runs, photos, tta=tta, vote=vote, progress=progress)
    if any(exported):
        raise UsageError("prediction.mixed_kinds")
    from thalweg.prediction import predict as classify
    from thalweg.training.machine import keep_freed

    keep_freed()  # the process is ours, and ends with the command
    return classify(runs, photos, tta=tta, vote=vote, progress=progress)


def _payload(predictions: Predictions) -> dict[str, object]:
    import numpy as np

    given_NC = None if predictions.thresholds_C is None else predictions.given_NC
    photos = [
        {
            "path": photo.path,
            "category": int(predictions.label_N[row]),
            "class": predictions.classes[predictions.label_N[row]],
            **(
                {}
                if given_NC is None
                else {"labels": [predictions.classes[at] for at in np.flatnonzero(given_NC[row])]}
            ),
            "best": [{"class": name, "probability": probability} for name, probability in predictions.best(row, BEST)],
        }
        for row, photo in enumerate(predictions.photos)
    ]
    bad = [{"path": bad.path, "reason": str(bad)} for bad in predictions.bad]
    return {"classes": list(predictions.classes), "photos": photos, "bad": bad}

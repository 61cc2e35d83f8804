"""Draw every picture of a run from the data that it keeps.

Shape suffixes: N photos of the validation split, C classes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from thalweg.errors import StorageError, ThalwegError
from thalweg.figures import confusion, curves, layers, mistakes, reliability, tsne
from thalweg.report.formulas import formulas_of
from thalweg.report.page import write_report
from thalweg.report.scores import confusion_matrix
from thalweg.runs import Run, RunFolder, files, softmax
from thalweg.runs.config import without_effect


def draw_run(path: Path | str, *, photos: Path | str | None = None) -> Path:
    """Draw the pictures of a run into its folder, then write its report.

    If a picture cannot be drawn, for instance because the photos are gone, the run's messages record the reason. The
    run's summary records the time of drawing.

    Args:
        path: the run's folder.
        photos: where its photos are now, if they have moved.

    Returns:
        The report.

    Raises:
        RunError: the folder is not a run.
        StorageError: a file cannot be written.
    """
    began = time.monotonic()
    path = Path(path)
    run = Run.open(path, photos=photos)
    jobs = {"curves": _draw_curves, "layers": _draw_layers}
    if run.evaluation.exists():
        jobs |= {"confusion": _draw_confusion, "mistakes": _draw_mistakes, "reliability": _draw_reliability}
        jobs |= {"tsne-mid": _draw_map, "tsne-top": _draw_map}
    failures = [reason for name, draw in jobs.items() if (reason := _failure(draw, run, path / f"{name}.png"))]
    _keep(run, failures, time.monotonic() - began)
    return write_report(path)


def _failure(draw: Any, run: Run, picture: Path) -> str | None:
    """Draw a picture; return why that failed, or None. An older picture does not replace it."""
    try:
        draw(run, picture)
    except StorageError:
        raise
    except ThalwegError as error:
        picture.unlink(missing_ok=True)
        return f"{picture.name}: {error}"
    return None


def _keep(run: Run, failures: list[str], seconds: float) -> None:
    summary = run.summary()
    messages = list(dict.fromkeys([*summary.get("messages", []), *failures]))
    times = {**summary.get("seconds", {}), "pictures": seconds}
    run.write_json(files.SUMMARY, {**summary, "messages": messages, "seconds": times})


def _draw_curves(run: Run, picture: Path) -> None:
    training = RunFolder(run.path).training
    fitted = "lr" in without_effect(training)
    curves(run.steps(), run.epochs(), picture, formulas=formulas_of(training), fitted=fitted, processes=run.processes())


def _draw_layers(run: Run, picture: Path) -> None:
    layers(run.layers(), picture)


def _draw_confusion(run: Run, picture: Path) -> None:
    outputs = run.outputs()
    predicted_N = outputs["logits"].argmax(axis=1)
    confusion(confusion_matrix(outputs["labels"], predicted_N, len(run.classes)), run.classes, picture)


def _draw_mistakes(run: Run, picture: Path) -> None:
    outputs = run.outputs()
    probability_NC = run.probabilities()
    cache = run.open_photos()
    rows = cache.rows("valid")
    mistakes(
        [cache.images_NHWC[row] for row in rows],  # memory-mapped: the photos stay on disk until they are drawn
        outputs["labels"],
        probability_NC.argmax(axis=1),
        probability_NC.max(axis=1),
        run.classes,
        picture,
        [cache.photos[row].path for row in rows],
    )


def _draw_reliability(run: Run, picture: Path) -> None:
    outputs = run.outputs()
    plain_NC, scaled_NC = softmax(outputs["logits"]), run.probabilities()
    reliability(plain_NC, scaled_NC, outputs["labels"], picture, temperature=run.temperature)


def _draw_map(run: Run, picture: Path) -> None:
    layer = picture.stem.removeprefix("tsne-")
    outputs = run.outputs()
    predicted_N = outputs["logits"].argmax(axis=1)
    tsne(outputs[layer], outputs["labels"], run.classes, picture, title_key=layer, predicted_N=predicted_N)

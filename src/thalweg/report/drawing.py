"""Every picture of a run, from what the training has kept.

Shape suffixes: N photos of the validation split, C classes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from thalweg.data import build_cache
from thalweg.errors import StorageError, ThalwegError
from thalweg.figures import confusion, curves, layers, mistakes, reliability, tsne
from thalweg.report.page import write_report
from thalweg.report.scores import confusion_matrix
from thalweg.training import Run
from thalweg.training.calibration import probabilities
from thalweg.training.preparation import opened


if TYPE_CHECKING:
    from pathlib import Path


def draw_run(path: Path) -> Path:
    """Draw the pictures of a run into its folder, then write its report.

    A picture that cannot be drawn, for instance because the photos are gone, is left out, and its reason is kept
    among the run's messages. The time that it took is kept in the run's summary.

    Args:
        path: the run's folder.

    Returns:
        The report.

    Raises:
        RunError: not a run.
        StorageError: a file cannot be written.
    """
    began = time.monotonic()
    run = Run.open(path)
    jobs = {"curves": _draw_curves, "layers": _draw_layers}
    if run.evaluation.exists():
        jobs |= {"confusion": _draw_confusion, "mistakes": _draw_mistakes, "reliability": _draw_reliability}
        jobs |= {"tsne-mid": _draw_map, "tsne-top": _draw_map}
    failures = [reason for name, draw in jobs.items() if (reason := _failure(draw, run, path / f"{name}.png"))]
    _keep(run, failures, time.monotonic() - began)
    return write_report(path)


def _failure(draw: Any, run: Run, picture: Path) -> str | None:
    """Why a picture could not be drawn, or None; an older picture does not stand in for it."""
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
    run.write_json("summary.json", {**summary, "messages": messages, "seconds": times})


def _draw_curves(run: Run, picture: Path) -> None:
    curves(run.steps(), run.epochs(), picture)


def _draw_layers(run: Run, picture: Path) -> None:
    layers(run.layers(), picture)


def _draw_confusion(run: Run, picture: Path) -> None:
    outputs = run.outputs()
    predicted_N = outputs["logits"].argmax(axis=1)
    confusion(confusion_matrix(outputs["labels"], predicted_N, len(run.classes)), run.classes, picture)


def _draw_mistakes(run: Run, picture: Path) -> None:
    outputs = run.outputs()
    probability_NC = probabilities(outputs["logits"], run.temperature)
    config = run.config
    images = opened(run.data["path"], config)
    cache = build_cache(images, size=run.data["stored"], resize=config.resize)
    rows = cache.rows("valid")
    if cache.fingerprint != run.data["fingerprint"]:
        raise ThalwegError("report.photos_changed", path=run.data["path"])
    mistakes(
        [cache.images_NHWC[row] for row in rows],  # views: the photos stay on the disk until they are drawn
        outputs["labels"],
        probability_NC.argmax(axis=1),
        probability_NC.max(axis=1),
        run.classes,
        picture,
        [cache.photos[row].path for row in rows],
    )


def _draw_reliability(run: Run, picture: Path) -> None:
    outputs = run.outputs()
    plain_NC, scaled_NC = (probabilities(outputs["logits"], temperature) for temperature in (1.0, run.temperature))
    reliability(plain_NC, scaled_NC, outputs["labels"], picture, temperature=run.temperature)


def _draw_map(run: Run, picture: Path) -> None:
    layer = picture.stem.removeprefix("tsne-")
    outputs = run.outputs()
    predicted_N = outputs["logits"].argmax(axis=1)
    tsne(outputs[layer], outputs["labels"], run.classes, picture, title_key=layer, predicted_N=predicted_N)

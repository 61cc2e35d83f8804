"""Draw every picture of a run from the data that it keeps.

Shape suffixes: N photos of the validation split, C classes.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg._files import write_text
from thalweg.diagnosis.review import Review, review_of
from thalweg.errors import DataError, RunError, StorageError, ThalwegError, UnknownNameError
from thalweg.figures import confusion, curves, doubted, layers, mistakes, reliability, tsne
from thalweg.figures.average_precision import average_precision
from thalweg.figures.class_choice import MOST_NAMED, confused_pairs, confusion_matrix, example_rows
from thalweg.figures.run_evaluation import MOST_SHOWN, Cell, wrongly_labeled
from thalweg.figures.run_many_classes import MOST_PAIRS, Example, confusion_of_many
from thalweg.figures.style import Kept
from thalweg.i18n import t
from thalweg.report.doubts import doubts_section
from thalweg.report.formulas import formulas_of
from thalweg.report.html import tag
from thalweg.report.page import document, write_report
from thalweg.report.scores import scores_table
from thalweg.report.several import label_scores, rarest_labels, wrong_labels
from thalweg.runs import Run, RunFolder, files
from thalweg.runs.answers import Answers
from thalweg.runs.config import without_effect


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from thalweg.figures.style import Picture, Target

_FEWEST = 2  # classes
_POINTS = 3500  # of a map, which bounds the time of t-SNE
_POINTS_OF_MANY = 2000  # if only some classes have a color


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
    evaluated, drawings = run.evaluation.exists(), _drawings_of(run)
    failures = [
        reason
        for name, draw in {**drawings, files.DOUBTS: _draw_doubts}.items()
        if (evaluated or name not in _OF_OUTPUTS) and (reason := _failure(draw, run, path / f"{name}.png"))
    ]
    if evaluated and not run.task.several:  # whose table in the report lists every class
        failures += [reason] if (reason := _failure(_write_scores, run, path / files.CLASS_SCORES)) else []
    _keep(run, failures, time.monotonic() - began)
    return write_report(path)


def write_review(review: Review) -> Path:
    """Draw the doubted photos of a review, and write `review.html` into the reviewed folder, in the current language.

    The page says why if the photos cannot be drawn.

    Args:
        review: from `thalweg.diagnosis.review_of`.

    Returns:
        The page.

    Raises:
        StorageError: a file cannot be written.
    """
    failure = None
    try:
        draw_doubts(review, review.path / f"{files.DOUBTS}.png")
    except StorageError:
        raise
    except ThalwegError as error:
        (review.path / f"{files.DOUBTS}.png").unlink(missing_ok=True)
        failure = str(error)
    folder = RunFolder(review.path)
    title = t("report.doubts_title", run=folder.path.resolve().name)
    page = review.path / files.REVIEW_PAGE
    write_text(page, document(title, [tag("h1", title), doubts_section(folder, review, failure)]))
    return page


def figure_of(run: Run, name: str) -> Picture:
    """Draw one of the pictures of a run, without a file.

    Args:
        run: the run.
        name: one of `run.task.pictures`.

    Raises:
        UnknownNameError: there is no such picture.
        RunError: the run lacks what it shows.
        DataError: the photos are gone.
    """
    drawings = _drawings_of(run)
    if name not in drawings:
        raise UnknownNameError("picture", name, drawings)
    kept = Kept()
    drawings[name](run, kept)
    return kept.figure


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


def _draw_curves(run: Run, picture: Target) -> None:
    training = RunFolder(run.path).training
    fitted = "lr" in without_effect(training)
    curves(run.steps(), run.epochs(), picture, formulas=formulas_of(training), fitted=fitted, processes=run.processes())


def _draw_layers(run: Run, picture: Target) -> None:
    layers(run.layers(), picture)


def _write_scores(run: Run, file: Path) -> None:
    """The scores of every class, of which the report lists some."""
    answers = _answers_of(run)
    matrix_CC = confusion_matrix(answers.labels_N, answers.predicted_N, len(run.classes))
    write_text(file, scores_table(matrix_CC, run.classes))


def _answers_of(run: Run, *, scaled: bool = False) -> Answers:
    """The answers on the validation split; with the run's temperature if probabilities are shown."""
    return Answers(run.outputs(), len(run.classes), run.temperature if scaled else 1.0)


def _draw_confusion(run: Run, picture: Target) -> None:
    many = len(run.classes) > MOST_NAMED
    answers = _answers_of(run, scaled=many)
    matrix_CC = confusion_matrix(answers.labels_N, answers.predicted_N, len(run.classes))
    if many:
        confusion_of_many(matrix_CC, run.classes, picture, _examples(run, answers, matrix_CC))
    else:
        confusion(matrix_CC, run.classes, picture)


def _examples(run: Run, answers: Answers, matrix_CC: NDArray[np.integer]) -> list[Example]:
    """Photos of the most confused pairs; none if the photos are gone, which the picture of the mistakes reports."""
    try:
        cache = run.open_photos()
    except (DataError, RunError):
        return []
    rows = cache.rows("valid")
    pairs = confused_pairs(matrix_CC, MOST_PAIRS)
    chosen = example_rows(pairs, answers.labels_N, answers.predicted_N, answers.probability_N)
    return [Example(*(None if row is None else cache.images_NHWC[rows[row]] for row in both)) for both in chosen]


def _draw_mistakes(run: Run, picture: Target) -> None:
    answers = _answers_of(run, scaled=True)
    cache = run.open_photos()
    rows = cache.rows("valid")
    mistakes(
        [cache.images_NHWC[row] for row in rows],  # memory-mapped: the photos stay on disk until they are drawn
        answers.labels_N,
        answers.predicted_N,
        answers.probability_N,
        run.classes,
        picture,
        [cache.photos[row].path for row in rows],
    )


def _draw_doubts(run: Run, picture: Path) -> None:
    """The photos whose labels are doubted; no picture if there are none, or photos may have several."""
    if (
        not run.task.several
        and (run.path / files.SPLIT).exists()
        and len(set(run.outputs()["labels"].tolist())) >= _FEWEST
    ):
        draw_doubts(review_of(run.path), picture)
    else:
        picture.unlink(missing_ok=True)


def draw_doubts(review: Review, picture: Path) -> None:
    """Draw the most doubted photos of a review; remove an older picture if none is doubted.

    Raises:
        DataError: the photos are gone.
        RunError: the photos have changed.
        StorageError: the file cannot be written.
    """
    if not review.photos:
        picture.unlink(missing_ok=True)
        return
    cache = review.run.open_photos()
    row_of = {photo.path: row for row, photo in enumerate(cache.photos)}
    cells = [
        Cell(cache.images_NHWC[row_of[one.path]], one.given, one.suggested, one.probability_suggested, one.path)
        for one in review.photos[:MOST_SHOWN]
    ]
    doubted(cells, len(review.photos), picture)


def _draw_reliability(run: Run, picture: Target) -> None:
    answers = _answers_of(run, scaled=True)
    reliability(answers.plain_N, answers.probability_N, answers.right_N, picture, temperature=run.temperature)


def _draw_map(run: Run, picture: Target, layer: str) -> None:
    outputs = run.outputs()
    predicted_N = Answers(outputs, len(run.classes)).predicted_N
    limit = _POINTS if len(run.classes) <= MOST_NAMED else _POINTS_OF_MANY
    tsne(outputs[layer], outputs["labels"], run.classes, picture, title_key=layer, predicted_N=predicted_N, limit=limit)


def _draw_average_precision(run: Run, picture: Target) -> None:
    labels_NC = run.outputs()["labels"]
    found = label_scores(run.probabilities(), labels_NC > 0, run.thresholds or ())
    shares_C, count = labels_NC.mean(axis=0), len(labels_NC)
    average_precision(found.average_precision_C, found.f1_C, shares_C, run.classes, picture, photos=count)


def _draw_wrong_labels(run: Run, picture: Target) -> None:
    """The photos with the most confidently wrong labels."""
    probability_NC, true_NC = run.probabilities(), run.outputs()["labels"] > 0
    wrong = wrong_labels(probability_NC, true_NC, run.task.decided(probability_NC, run.thresholds))
    cache = run.open_photos()
    rows_N, cells = cache.rows("valid"), []
    for row, label in zip(wrong.rows_M[:MOST_SHOWN].tolist(), wrong.label_M.tolist(), strict=False):
        photo = cache.photos[rows_N[row]]
        given = photo.written(run.classes) or t("data.no_label")
        other = f"{'−' if true_NC[row, label] else '+'} {run.classes[label]}"
        cells.append(Cell(cache.images_NHWC[rows_N[row]], given, other, float(probability_NC[row, label]), photo.path))
    wrongly_labeled(cells, len(wrong.rows_M), len(true_NC), picture)


def _draw_reliability_of_labels(run: Run, picture: Target) -> None:
    """Each pair of a photo and a class is an answer, yes or no, with a probability of its own."""
    outputs, task = run.outputs(), run.task
    count, classes = outputs["labels"].shape

    plain_A, scaled_A = task.probabilities(outputs["logits"]).ravel(), run.probabilities().ravel()
    right_A = (plain_A > 1 / 2) == (outputs["labels"].ravel() > 0)  # no temperature changes which side it is
    plain_A, scaled_A = (np.maximum(yes_A, 1 - yes_A) for yes_A in (plain_A, scaled_A))
    title = t("figures.reliability_title_several", count=count * classes, photos=count, classes=classes)
    reliability(plain_A, scaled_A, right_A, picture, temperature=run.temperature, answers=title)


def _draw_map_of_labels(run: Run, picture: Target, layer: str) -> None:
    """Photos colored by their rarest label: it tells most about them."""
    outputs = run.outputs()
    rarest_N = rarest_labels(outputs["labels"])
    given_NC = run.task.decided(run.probabilities(), run.thresholds)
    right_N = (given_NC == (outputs["labels"] > 0)).all(axis=1)
    predicted_N, names = np.where(right_N, rarest_N, -1), (*run.classes, t("data.no_label"))
    limit = _POINTS if len(names) <= MOST_NAMED else _POINTS_OF_MANY
    about = {"title_key": layer, "limit": limit, "by_rarest": True}
    tsne(outputs[layer], rarest_N, names, picture, predicted_N=predicted_N, **about)


def _drawings_of(run: Run) -> Mapping[str, Callable[[Run, Target], None]]:
    return _OF_SEVERAL if run.task.several else _DRAWINGS


_DRAWINGS: Mapping[str, Callable[[Run, Target], None]] = {
    "curves": _draw_curves,
    "layers": _draw_layers,
    "confusion": _draw_confusion,
    "mistakes": _draw_mistakes,
    "reliability": _draw_reliability,
    "tsne-mid": partial(_draw_map, layer="mid"),
    "tsne-top": partial(_draw_map, layer="top"),
}
_OF_SEVERAL: Mapping[str, Callable[[Run, Target], None]] = {
    "curves": _draw_curves,
    "layers": _draw_layers,
    "average-precision": _draw_average_precision,
    "mistakes": _draw_wrong_labels,
    "reliability": _draw_reliability_of_labels,
    "tsne-mid": partial(_draw_map_of_labels, layer="mid"),
    "tsne-top": partial(_draw_map_of_labels, layer="top"),
}
_OF_OUTPUTS = {*_DRAWINGS, *_OF_SEVERAL, files.DOUBTS} - {"curves", "layers"}  # of the network on the validation split

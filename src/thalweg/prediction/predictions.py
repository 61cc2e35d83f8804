"""Predictions of a run or an exported model, and the homework's submission; nothing here needs torch.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg._files import write_text
from thalweg._notebook import shown_as
from thalweg.data.label_sets import written
from thalweg.data.sources import Note
from thalweg.runs.tasks import ONE, SEVERAL


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.data import BadImage, Cache, Photo

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that Excel and LibreOffice take for a formula


@dataclass(frozen=True, slots=True)
class Predictions:
    """The class probabilities of each photo.

    Attributes:
        photos: all photos, in natural order of their paths.
        classes: names of the classes, in the order of the columns.
        probability_NC: probability of each class; each row sums to 1, if a photo has one label.
        bad: photos that could not be read. Their rows are the class frequencies of the training split, so that a
            submission has a row for every photo.
        notes: what the user should know about how the photos were opened.
        homework: whether the runs were trained on the homework's flat layout, whose submission has numbers for classes
            and no endings of files.
        thresholds_C: the probability from which on a photo is given each class, if it may have several; None: it has
            the most probable one.
    """

    photos: tuple[Photo, ...] = field(repr=False)
    classes: tuple[str, ...]
    probability_NC: NDArray[np.float64] = field(repr=False)
    bad: tuple[BadImage, ...]
    notes: tuple[Note, ...] = ()
    homework: bool = False
    thresholds_C: tuple[float, ...] | None = None

    _repr_html_ = shown_as("predictions")

    @property
    def label_N(self) -> NDArray[np.int64]:  # noqa: N802 - shape suffix
        """The most probable class of each photo."""
        return self.probability_NC.argmax(axis=1)

    @property
    def given_NC(self) -> NDArray[np.bool_]:  # noqa: N802 - shape suffix
        """Which classes each photo is given: the most probable one, or all that reach their threshold."""
        task = ONE if self.thresholds_C is None else SEVERAL
        return task.decided(self.probability_NC, self.thresholds_C)

    @property
    def names(self) -> list[str]:
        """The name of the class that each photo is given; of several labels, their names as `cat;dog`, or nothing."""
        return [written(self.classes[label] for label in np.flatnonzero(given_C)) for given_C in self.given_NC]

    def best(self, row: int, count: int | None = 5) -> list[tuple[str, float]]:
        """The most probable classes of a photo, with their probabilities, from the most probable down.

        Args:
            row: of the photo.
            count: number of classes, at most; None: all.
        """
        probability_C = self.probability_NC[row]
        order = (-probability_C).argsort(kind="stable")[:count]
        return [(self.classes[label], float(probability_C[label])) for label in order]


def in_order(
    cached_NC: NDArray[np.float64], cache: Cache, photos: Sequence[Photo], class_shares: Sequence[float]
) -> NDArray[np.float64]:
    """Arrange predictions as one row per photo; photos missing from the cache get the class frequencies."""
    row_of = {photo.path: row for row, photo in enumerate(cache.photos)}
    prior_C = np.asarray(class_shares)
    return np.stack([cached_NC[row_of[photo.path]] if photo.path in row_of else prior_C for photo in photos])


def submission_text(
    predictions: Predictions, *, names: bool | None = None, endings: bool | None = None, probabilities: bool = False
) -> str:
    """Return the text of a submission, `Id,Category`, in natural order of the photos.

    Args:
        predictions: from `predict`.
        names: write the class's name, or its number; None: the name, except in the homework.
        endings: keep the ending of the file's name; None: keep it, except in the homework.
        probabilities: add a column for each class.

    Returns:
        CSV with the columns Id and Category, which is `cat;dog` of several labels. Id is the file's name; its folders
        are added if two photos would share an Id, and its ending if they still would.
    """
    if names is None:
        names = not predictions.homework
    numbers = [written(map(str, np.flatnonzero(given_C))) for given_C in predictions.given_NC]
    categories = predictions.names if names else numbers
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["Id", "Category", *(predictions.classes if probabilities else ())])
    for identity, category, probability_C in zip(
        _identities(predictions, endings=endings), categories, predictions.probability_NC, strict=True
    ):
        columns = [f"{probability:.6f}" for probability in probability_C] if probabilities else []
        writer.writerow([identity, category, *columns])
    return lines.getvalue()


def write_submission(
    predictions: Predictions,
    path: Path | str,
    *,
    names: bool | None = None,
    endings: bool | None = None,
    probabilities: bool = False,
) -> None:
    """Write a submission atomically; the options are those of `submission_text`.

    Raises:
        StorageError: the file cannot be written.
    """
    text = submission_text(predictions, names=names, endings=endings, probabilities=probabilities)
    write_text(Path(path), text)


def submission_notes(
    predictions: Predictions, *, names: bool | None = None, endings: bool | None = None, probabilities: bool = False
) -> tuple[Note, ...]:
    """What a reader of a submission should know: cells that a spreadsheet would run as formulas.

    Args:
        predictions: from `predict`.
        names: as for the submission.
        endings: as for the submission.
        probabilities: as for the submission.
    """
    cells = dict.fromkeys(_identities(predictions, endings=endings))
    if names or (names is None and not predictions.homework) or probabilities:
        cells |= dict.fromkeys(predictions.classes)
    formulas = [cell for cell in cells if cell.startswith(_FORMULAS) and not _is_number(cell)]
    if not formulas:
        return ()
    return (Note("prediction.note_formulas", {"count": len(formulas), "example": formulas[0]}),)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _identities(predictions: Predictions, *, endings: bool | None) -> list[str]:
    paths = [PurePosixPath(photo.path) for photo in predictions.photos]
    if endings or (endings is None and not predictions.homework):
        named = Counter(path.name for path in paths)
        return [path.name if named[path.name] == 1 else str(path) for path in paths]
    times = Counter(path.stem for path in paths)
    longer = Counter(path.with_suffix("") for path in paths)

    def identity(path: PurePosixPath) -> str:
        if times[path.stem] == 1:
            return path.stem
        return str(path.with_suffix("") if longer[path.with_suffix("")] == 1 else path)

    return [identity(path) for path in paths]

"""The homework's submission: `Id,Category`, a row a picture."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from thalweg._files import write_text


if TYPE_CHECKING:
    from thalweg.prediction.predictions import Predictions


def submission_text(predictions: Predictions, *, names: bool = False, probabilities: bool = False) -> str:
    """The text of a submission, in natural order of the pictures.

    Args:
        predictions: from `predict`.
        names: the class's name as the category, in place of its number.
        probabilities: a column more for each class.

    Returns:
        CSV with the columns Id (the file's name without its ending; with its folders, and then its ending, where that
        would be the same for two pictures) and Category.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["Id", "Category", *(predictions.classes if probabilities else ())])
    for identity, label, probability_C in zip(
        _identities(predictions), predictions.label_N, predictions.probability_NC, strict=True
    ):
        category = predictions.classes[label] if names else label
        columns = [f"{probability:.6f}" for probability in probability_C] if probabilities else []
        writer.writerow([identity, category, *columns])
    return lines.getvalue()


def write_submission(
    predictions: Predictions, path: Path | str, *, names: bool = False, probabilities: bool = False
) -> None:
    """Write a submission, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(Path(path), submission_text(predictions, names=names, probabilities=probabilities))


def _identities(predictions: Predictions) -> list[str]:
    paths = [PurePosixPath(photo.path) for photo in predictions.photos]
    times = Counter(path.stem for path in paths)
    longer = Counter(path.with_suffix("") for path in paths)

    def identity(path: PurePosixPath) -> str:
        if times[path.stem] == 1:
            return path.stem
        return str(path.with_suffix("") if longer[path.with_suffix("")] == 1 else path)

    return [identity(path) for path in paths]

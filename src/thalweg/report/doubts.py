"""The section with the labels that predictions doubt: photos, pairs of classes, and the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.diagnosis.review import COLUMNS, review_of
from thalweg.errors import ThalwegError
from thalweg.i18n import t
from thalweg.report.html import Html, table, tag
from thalweg.report.sections import figure
from thalweg.runs import files


if TYPE_CHECKING:
    from thalweg.diagnosis import Review
    from thalweg.runs import RunFolder

_LISTED = 20


def doubts_of_run(folder: RunFolder) -> Html | None:
    """The section of a run's report; None if no doubted photos were drawn, or the run is damaged."""
    if files.DOUBTS not in folder.pictures:
        return None
    try:
        return doubts_section(folder, review_of(folder.path))
    except ThalwegError:  # another section says what is missing
        return None


def doubts_section(folder: RunFolder, review: Review, failure: str | None = None) -> Html:
    """The section of a review.

    Args:
        folder: the reviewed folder.
        review: of the folder.
        failure: why there is no picture; None: there is one if labels are doubted.
    """
    estimate, covered = review.sentences
    return tag(
        "section",
        tag("h2", t("report.doubts")),
        tag("p", estimate),
        tag("p", covered, class_="note"),
        tag("p", failure, class_="warning") if failure else None,
        figure(folder, files.DOUBTS) if files.DOUBTS in folder.pictures else None,
        _pairs(review) if review.photos and review.pairs else None,
        _list(review) if review.photos else tag("p", t("diagnosis.review_none")),
        tag("p", _rest(folder, review), class_="note") if len(review.photos) > _LISTED else None,
    )


def _pairs(review: Review) -> Html:
    columns = [t(f"diagnosis.review_column_{name}") for name in ("given", "true", "photos")]
    rows = [(given, true, f"{count:.0f}") for given, true, count in review.pairs]
    return table(columns, rows, numeric=(2,), name=t("diagnosis.review_pairs"))


def _list(review: Review) -> Html:
    columns = [t(f"diagnosis.review_column_{name}") for name in COLUMNS]
    rows = [one.cells() for one in review.photos[:_LISTED]]
    return table(columns, rows, numeric=(3, 4), name=t("diagnosis.review_title"))


def _rest(folder: RunFolder, review: Review) -> str:
    """How many rows are not listed, and what lists them."""
    return t("report.doubts_rest", count=len(review.photos) - _LISTED, run=folder.path)

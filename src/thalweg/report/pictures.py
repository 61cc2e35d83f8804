"""The pictures of a run, put into the page."""

from __future__ import annotations

from base64 import b64encode
from struct import unpack
from typing import TYPE_CHECKING

from thalweg.i18n import t
from thalweg.report.html import Html, join, table, tag
from thalweg.report.scores import class_scores, confusion_matrix
from thalweg.report.words import percent


if TYPE_CHECKING:
    from thalweg.runs import RunFolder

_CSS_PIXELS_A_PIXEL = 96 / 150  # an inch has 96 pixels in CSS and 150 in our pictures: letters get their true size


def picture_sections(folder: RunFolder) -> list[Html]:
    """Curves, layers, confusion with the classes' scores, mistakes, and both maps of features."""
    maps = [_figure(folder, name) for name in ("tsne-mid", "tsne-top")]
    return [
        tag("section", tag("h2", t("report.curves")), _figure(folder, "curves")),
        tag("section", tag("h2", t("report.layers")), _figure(folder, "layers")),
        tag("section", tag("h2", t("report.classes")), _figure(folder, "confusion"), _class_table(folder)),
        tag("section", tag("h2", t("report.mistakes")), _figure(folder, "mistakes")),
        tag("section", tag("h2", t("report.reliability")), _figure(folder, "reliability")),
        tag("section", tag("h2", t("report.maps")), tag("p", t("report.maps_about")), *maps),
    ]


def _figure(folder: RunFolder, name: str) -> Html:
    key = name.replace("-", "_")
    content = folder.pictures.get(name)
    if content is None:
        return tag("p", t("report.no_picture", name=f"{name}.png"), class_="note")
    source = "data:image/png;base64," + b64encode(content).decode()
    width, height = (round(side * _CSS_PIXELS_A_PIXEL) for side in unpack(">II", content[16:24]))  # PNG's first chunk
    image = tag("img", src=source, width=width, height=height, alt=t(f"report.alt_{key}"))
    return tag("figure", image, tag("figcaption", t(f"report.caption_{key}")))


def _class_table(folder: RunFolder) -> Html:
    if folder.outputs is None:
        return tag("p", t("report.no_outputs"), class_="note")
    (logits_NC, labels_N), names = folder.outputs, folder.classes
    matrix_CC = confusion_matrix(labels_N, logits_NC.argmax(axis=1), len(names))
    rows = [
        (
            name,
            f"{score.photos:,}",
            percent(score.recall),
            percent(score.precision),
            percent(score.f1),
            "–" if score.taken_for is None else t("report.taken", name=names[score.taken_for], count=score.taken_times),
        )
        for name, score in zip(names, class_scores(matrix_CC), strict=True)
    ]
    columns = [t(f"report.column_{column}") for column in ("class", "photos", "recall", "precision", "f1", "taken_for")]
    scores = table(columns, rows, numeric=(1, 2, 3, 4), name=t("report.classes"))
    return join([scores, tag("p", t("report.scores_about"), class_="note")])

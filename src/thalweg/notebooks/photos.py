"""What sets of photos, their check, and predictions show in a notebook."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from thalweg.data.builtin import name_of
from thalweg.data.photos import SPLITS
from thalweg.i18n import joined, percent, t
from thalweg.notebooks.cell import folded, listing
from thalweg.report.facts import check_parts
from thalweg.report.html import Html, table, tag


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thalweg.data import ImageSet
    from thalweg.data.check import Check
    from thalweg.prediction import Classifier, Predictions

_ROWS = 20


def check_of(check: Check) -> Iterator[Html | None]:
    """Where the photos are, what is wrong with them, how many there are, and how large."""
    yield tag("p", tag("strong", t("notebook.check", root=name_of(check.root), count=check.photos)), class_="verdict")
    yield from check_parts(check.to_json())
    ranges = {"width": check.width, "height": check.height, "size_bytes": check.size_bytes}
    columns = ["", *(t(f"data.column_{column}") for column in ("smallest", "median", "largest"))]
    rows = [
        (t(f"data.range_{name}"), f"{one.smallest:,}", f"{one.median:,}", f"{one.largest:,}")
        for name, one in ranges.items()
    ]
    yield folded(t("notebook.sizes"), table(columns, rows, numeric=(1, 2, 3), name=t("notebook.sizes")))
    odd = [(t(f"data.odd_{name}"), f"{len(paths):,}", paths[0]) for name, paths in check.oddities.items() if paths]
    if odd:
        columns = [t(f"data.column_{column}") for column in ("unusual", "photos", "example")]
        yield folded(t("data.column_unusual"), table(columns, odd, numeric=(1,), name=t("data.column_unusual")))


def images_of(images: ImageSet) -> Iterator[Html | None]:
    """The layout that was found, the photos of each class, and two of them by name."""
    yield tag("p", images.describe(), class_="lead")
    counts = {
        split: Counter(label for photo in images.split(split) for label in photo.all_labels or (None,))
        for split in SPLITS
    }
    labels = dict.fromkeys([*range(len(images.classes)), *(label for count in counts.values() for label in count)])
    rows = [
        (
            t("data.no_label") if label is None else images.classes[label],
            *(f"{counts[split][label]:,}" for split in SPLITS),
            "" if label is None else joined(images.examples.get(images.classes[label], ())),
        )
        for label in labels
    ]
    columns = [
        t("data.column_class"),
        *(t(f"data.split_{split}") for split in SPLITS),
        t("data.column_examples"),
    ]
    yield tag("div", table(columns, rows, numeric=(1, 2, 3), name=t("report.photos")), class_="long")
    if images.notes:
        yield listing(map(str, images.notes))


def predictions_of(predictions: Predictions) -> Iterator[Html | None]:
    """The first photos with their classes, and how many photos each class got."""
    total = len(predictions.photos)
    yield tag("p", t("notebook.predictions", count=total, classes=len(predictions.classes)), class_="lead")
    if predictions.bad:
        yield tag("ul", *(tag("li", str(one)) for one in predictions.bad[:_ROWS]), class_="warning")
    rows = []
    for row, photo in enumerate(predictions.photos[:_ROWS]):
        (name, probability), *others = predictions.best(row, 2)
        second = " ".join((others[0][0], percent(others[0][1]))) if others else ""
        if predictions.thresholds_C is not None:  # the labels, and beside them the most probable class
            given, probable = predictions.names[row] or t("data.no_label"), " ".join((name, percent(probability)))
            rows.append((photo.path, given, probable, second))
            continue
        rows.append((photo.path, name, percent(probability), second))
    columns = [t("report.column_photo"), t("prediction.column_class"), t("prediction.column_probability")]
    yield table([*columns, t("notebook.column_second")], rows, numeric=(2,), name=t("notebook.predicted"))
    if total > _ROWS:
        yield tag("p", t("notebook.more", count=total - _ROWS), class_="note")
        counts = dict(zip(predictions.classes, predictions.given_NC.sum(axis=0), strict=True))
        rows = [(name, f"{counts[name]:,}") for name in predictions.classes if counts[name]]
        columns = [t("prediction.column_class"), t("data.column_photos")]
        yield folded(t("notebook.by_class"), table(columns, rows, numeric=(1,), name=t("notebook.by_class")))
    if predictions.notes:
        yield listing(map(str, predictions.notes))


def classifier_of(classifier: Classifier) -> Iterator[Html | None]:
    """The run that it comes from, and the classes."""
    run = classifier.run
    facts = t("notebook.classifier", run=str(run.path), model=run.config.model, size=run.config.size)
    yield tag("p", facts, class_="lead")
    yield folded(t("notebook.classes", count=len(classifier.classes)), listing(classifier.classes))

"""The sections with the results: the headline numbers, then the pictures and the scores of the classes."""

from __future__ import annotations

from base64 import b64encode
from struct import unpack
from typing import TYPE_CHECKING

from thalweg.figures.class_choice import MOST_NAMED, by_accuracy, confusion_matrix
from thalweg.i18n import t
from thalweg.report.formulas import formula_section
from thalweg.report.html import Html, duration, join, percent, table, tag
from thalweg.report.scores import class_scores, largest_class, unvalidated, wilson_interval
from thalweg.report.several import label_table
from thalweg.runs import files
from thalweg.runs.folder import mapping, number, sequence
from thalweg.runs.tasks import TOP


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from thalweg.report.scores import ClassScore
    from thalweg.runs import RunFolder

_ENDINGS = ("budget", "done", "interrupted", "nan", "patience")
_SPLITS = ("valid", "test")
_OTHER_OF_SEVERAL = ("curves", "mistakes", "reliability")  # pictures with other words, if photos have several labels
_OF_CLASSES = ("confusion",)  # pictures that show many classes in another way
_UNEVEN = 1.2  # times the even share, above which the largest class is named
_LONG = 13  # letters that a card has room for in its largest type
_CSS_PIXELS = 96  # an inch
_DPI = 150  # of our pictures: `figures.style` has it, but needs matplotlib


def headline(folder: RunFolder) -> Html:
    """Accuracies, time, network and photos; how the run ended; its messages."""
    cards = [
        tag(
            "div",
            tag("dt", name),
            tag("dd", value, class_="long" if len(value) > _LONG else None),
            tag("dd", note, class_="note"),
        )
        for name, value, note in _cards(folder)
    ]
    messages = [tag("li", str(message)) for message in sequence(folder.summary.get("messages"))]
    return join(
        [
            tag("h1", t("report.title", run=folder.path.resolve().name)),
            tag("p", _ending(folder), class_="lead"),
            tag("ul", *messages, class_="warning") if messages else None,
            tag("dl", *cards, class_="cards"),
        ]
    )


def _cards(folder: RunFolder) -> Iterator[tuple[str, str, str]]:
    """Name, value and note of each number that is known."""
    for split in _SPLITS:
        result = mapping(folder.summary.get(split))
        if folder.task.several:
            yield from _label_card(split, result)
            continue
        accuracy, count = number(result.get("accuracy")), number(result.get("count"))
        if accuracy is not None and 0 <= accuracy <= 1 and count and count >= 1:
            yield t(f"report.accuracy_{split}"), percent(accuracy), _certainty(folder, accuracy, int(count))
        if (top5 := number(result.get("top5_accuracy"))) is not None and folder.classes:
            about = t("report.top5_about", chance=percent(min(1.0, TOP / len(folder.classes))))
            yield t(f"report.top5_{split}"), percent(top5), about
    seconds = mapping(folder.summary.get("seconds"))
    total = number(seconds.get("total"))
    if total is not None:
        yield t("report.time"), duration(total), _epochs(folder)
    if "model" in folder.training:
        yield t("report.network"), str(folder.training["model"]), _sight(folder)
    weights = mapping(folder.data.get("weights"))
    if "source" in weights:
        yield t("report.weights"), str(weights["source"]), _origin(weights)
    counts = [number(folder.data.get(split)) for split in ("train", *_SPLITS)]
    if any(counts):
        train, valid, test = (int(count or 0) for count in counts)
        yield t("report.photos"), f"{train + valid + test:,}", t("report.splits", train=train, valid=valid, test=test)


def _label_card(split: str, result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The mean average precision of a split, with the scores at the thresholds."""
    names = ("mean_average_precision", "micro_f1", "macro_f1", "accuracy", "count")
    found = {name: value for name in names if (value := number(result.get(name))) is not None}
    if len(found) == len(names):
        shares = {name: percent(found[name]) for name in names[:-1]}
        note = t(f"report.label_scores_{split}", count=int(found["count"]), **shares)
        yield t(f"report.map_{split}"), shares["mean_average_precision"], note


def _certainty(folder: RunFolder, accuracy: float, count: int) -> str:
    """How sure the number is, and what a guess would reach."""
    low, high = wilson_interval(round(accuracy * count), count)
    certain = t("report.certainty", count=count, low=100 * low, high=100 * high)
    if not folder.classes:
        return certain
    even = 1 / len(folder.classes)
    largest, share = largest_class(folder.answers.labels_N, len(folder.classes)) if folder.answers else (0, even)
    lines = [certain, t("report.chance", chance=percent(even))]
    if share > _UNEVEN * even:
        lines.append(t("report.largest_class", name=folder.classes[largest], share=percent(share)))
    if low <= max(share, even):
        lines.append(t("report.not_above_chance"))
    return " ".join(lines)


def _epochs(folder: RunFolder) -> str:
    epochs, steps = number(folder.summary.get("epochs")), number(folder.summary.get("steps"))
    return t("report.epochs_and_steps", epochs=int(epochs or 0), steps=int(steps or 0))


def _sight(folder: RunFolder) -> str:
    size = number(folder.training.get("size"))
    return t("report.sees", size=int(size)) if size else ""


def _origin(weights: Mapping[str, Any]) -> str:
    """How much of the weights fitted, and their license; more is in their own section."""
    share = number(weights.get("share"))
    license_ = f"{weights.get('license') or ''}"
    parts = [
        t("report.weights_share", share=percent(share)) if share is not None else "",
        t("report.weights_license", license=license_) if license_ else t("report.weights_unlicensed"),
    ]
    return " ".join(part for part in parts if part)


def _ending(folder: RunFolder) -> str:
    stopped = folder.summary.get("stopped")
    if stopped not in _ENDINGS:
        return t("report.stopped_unknown")
    ending, best = (
        t(f"report.stopped_{stopped}"),
        number(folder.summary.get("kept_epoch", folder.summary.get("best_epoch"))),
    )
    return t("report.ending_and_best", ending=ending, epoch=int(best)) if best else ending


def picture_sections(folder: RunFolder) -> list[Html | None]:
    """Curves, formulas, layers, confusion with the classes' scores, mistakes, both maps of features, and landscapes."""
    maps = [figure(folder, name) for name in ("tsne-mid", "tsne-top")]
    several = folder.task.several
    classes = "average-precision" if several else "confusion"
    about = t("report.maps_about_several" if several else "report.maps_about")
    return [
        tag("section", tag("h2", t("report.curves")), figure(folder, "curves")),
        formula_section(folder),
        tag("section", tag("h2", t("report.layers")), figure(folder, "layers")),
        tag("section", tag("h2", t("report.classes")), figure(folder, classes), class_table(folder)),
        tag("section", tag("h2", t("report.mistakes")), figure(folder, "mistakes")),
        tag("section", tag("h2", t("report.reliability")), figure(folder, "reliability")),
        tag("section", tag("h2", t("report.maps")), tag("p", about), *maps),
        _landscapes(folder),
    ]


def _landscapes(folder: RunFolder) -> Html | None:
    """The slices of the loss that were drawn on request."""
    drawn = [figure(folder, name) for name in files.LANDSCAPES if name in folder.pictures]
    return tag("section", tag("h2", t("report.landscapes")), *drawn) if drawn else None


def figure(folder: RunFolder, name: str) -> Html:
    """A picture of the run with its caption, or a line that says that it is missing."""
    key = name.replace("-", "_")
    if name in _OF_CLASSES and len(folder.classes) > MOST_NAMED:
        key += "_many"
    content = folder.pictures.get(name)
    if content is None:
        return tag("p", t("report.no_picture", name=f"{name}.png"), class_="note")
    if folder.task.several and name in _OTHER_OF_SEVERAL:
        key = f"{key}_several"
    return tag("figure", inline_png(content, t(f"report.alt_{key}")), tag("figcaption", t(f"report.caption_{key}")))


def inline_png(content: bytes, alt: str, dpi: int = _DPI) -> Html:
    """A picture within the page.

    Args:
        content: of the PNG file.
        alt: what it shows, in words.
        dpi: pixels per inch, of which CSS has 96, so that text keeps its size.
    """
    source = "data:image/png;base64," + b64encode(content).decode()
    width, height = (round(side * _CSS_PIXELS / dpi) for side in unpack(">II", content[16:24]))  # PNG's first chunk
    return tag("img", src=source, width=width, height=height, alt=alt)


def class_table(folder: RunFolder) -> Html:
    """Precision, recall and F1 on the validation split: of every class, or of the worst 50 of more.

    Of several labels a photo, also average precision, and of every class.
    """
    if folder.task.several:
        return label_table(folder)
    if folder.answers is None:
        return tag("p", t("report.no_outputs"), class_="note")
    answers, names = folder.answers, folder.classes
    matrix_CC = confusion_matrix(answers.labels_N, answers.predicted_N, len(names))
    scores = class_scores(matrix_CC)
    listed = range(len(names)) if len(names) <= MOST_NAMED else by_accuracy(matrix_CC)[:MOST_NAMED]
    rows = [_class_row(names, index, scores[index]) for index in listed]
    columns = [t(f"report.column_{column}") for column in ("class", "photos", "recall", "precision", "f1", "taken_for")]
    missing = unvalidated(answers.labels_N, names)
    rest = t("report.classes_rest", listed=len(rows), count=len(names), file=files.CLASS_SCORES)
    return join(
        [
            table(columns, rows, numeric=(1, 2, 3, 4), name=t("report.classes")),
            tag("p", rest, class_="note") if len(rows) < len(names) else None,
            tag("p", missing, class_="note") if missing else None,
            tag("p", t("report.scores_about"), class_="note"),
        ]
    )


def _class_row(names: Sequence[str], index: int, score: ClassScore) -> tuple[str, ...]:
    shares = (percent(share) for share in (score.recall, score.precision, score.f1))
    taken = "–" if score.taken_for is None else t("report.taken", name=names[score.taken_for], count=score.taken_times)
    return names[index], f"{score.photos:,}", *shares, taken

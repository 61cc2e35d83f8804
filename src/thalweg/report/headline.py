"""The top of the page: what came out, in one look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.i18n import t
from thalweg.report.html import Html, join, tag
from thalweg.report.scores import wilson_interval
from thalweg.report.words import duration, percent
from thalweg.runs.folder import mapping, number, sequence


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thalweg.runs import RunFolder

_ENDINGS = ("budget", "done", "interrupted", "nan", "patience")
_SPLITS = ("valid", "test")


def headline(folder: RunFolder) -> Html:
    """Accuracies, time, network and photos; how it ended; what the training had to say."""
    cards = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="note"))
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
        accuracy, count = number(result.get("accuracy")), number(result.get("count"))
        if accuracy is not None and count:
            yield t(f"report.accuracy_{split}"), percent(accuracy), _certainty(accuracy, int(count))
    seconds = mapping(folder.summary.get("seconds"))
    total = number(seconds.get("total"))
    if total is not None:
        yield t("report.time"), duration(total), _epochs(folder)
    if "model" in folder.training:
        yield t("report.network"), str(folder.training["model"]), _sight(folder)
    counts = [number(folder.data.get(split)) for split in ("train", *_SPLITS)]
    if any(counts):
        train, valid, test = (int(count or 0) for count in counts)
        yield t("report.photos"), f"{train + valid + test:,}", t("report.splits", train=train, valid=valid, test=test)


def _certainty(accuracy: float, count: int) -> str:
    low, high = wilson_interval(round(accuracy * count), count)
    return t("report.certainty", count=count, low=100 * low, high=100 * high)


def _epochs(folder: RunFolder) -> str:
    epochs, steps = number(folder.summary.get("epochs")), number(folder.summary.get("steps"))
    return t("report.epochs_and_steps", epochs=int(epochs or 0), steps=int(steps or 0))


def _sight(folder: RunFolder) -> str:
    size = number(folder.training.get("size"))
    return t("report.sees", size=int(size)) if size else ""


def _ending(folder: RunFolder) -> str:
    stopped = folder.summary.get("stopped")
    if stopped not in _ENDINGS:
        return t("report.stopped_unknown")
    ending, best = (
        t(f"report.stopped_{stopped}"),
        number(folder.summary.get("kept_epoch", folder.summary.get("best_epoch"))),
    )
    return t("report.ending_and_best", ending=ending, epoch=int(best)) if best else ending

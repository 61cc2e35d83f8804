"""The runs of the folder, the rows of their histories, and how far updates move their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.errors import UsageError
from thalweg.history.columns import UPDATE_RATIO
from thalweg.history.overview import Overview
from thalweg.history.tail import HistoryTail
from thalweg.i18n import t
from thalweg.runs import files
from thalweg.server.answers import read_frame
from thalweg.server.request import Entry
from thalweg.server.websocket import STREAMS, Feed, columns_of


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.runs import Run
    from thalweg.server.request import Visit

    Frame = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def rows(visit: Visit) -> Frame:
    """The rows of a history from a given one on, or those between two steps, in the socket's format.

    Raises:
        RunError: there is no such run.
        UsageError: there is no such history.
    """
    stream = visit.query.get("stream", "steps")
    if stream not in STREAMS:
        raise UsageError("page.bad_field", name="stream", value=stream[:80])
    tail = HistoryTail(visit.run.path / STREAMS[stream])
    if "high" in visit.query:
        cut = Overview(tail).between(visit.whole("low", most=2**53), visit.whole("high", most=2**53))
        return {"run": visit.run_name, "stream": stream, "per": cut.per}, columns_of(tail, cut.rows_NC)
    news = Feed(visit.run_name, stream, tail, visit.whole("since")).news()
    return read_frame(news) if news else ({"run": visit.run_name, "stream": stream, "columns": []}, {})


def update_ratios(run: Run) -> Frame:
    """The length of updates relative to that of the weights, for each layer, if the run has measured it.

    Returns:
        The layers' names and a sentence about usual values; `step` and one array per layer.
    """
    tail = HistoryTail(run.path / files.LAYERS)
    names = [name for name in tail.columns if name.endswith(UPDATE_RATIO)]
    if not names or "step" not in tail.columns:
        missing = {"layers": [], "sentence": t("page.layers_sentence"), "missing": t("page.layers_missing")}
        return missing, {"step": np.empty(0)}
    rows_NC = Overview(tail).whole().rows_NC
    arrays: dict[str, Any] = {"step": rows_NC[:, tail.columns.index("step")]}
    arrays |= {str(place): rows_NC[:, tail.columns.index(name)] for place, name in enumerate(names)}
    layers = [name.removesuffix(UPDATE_RATIO) for name in names]
    return {"layers": layers, "sentence": t("page.layers_sentence"), "missing": None}, arrays


ROUTES: Final = (
    Entry("GET", "runs", lambda visit: visit.service.listing()),
    Entry("GET", "rows", rows),
    Entry("GET", "layers", lambda visit: update_ratios(visit.run)),
)

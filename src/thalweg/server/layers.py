"""How far an update moves each layer beside how large it is, where the run has measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.history.columns import UPDATE_RATIO as SUFFIX
from thalweg.history.tail import HistoryTail
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.server.lab import Answer
    from thalweg.training import Run


def update_ratios(run: Run) -> Answer:
    """Columns whose name ends with `.update_ratio`, of the run's history of layers.

    Returns:
        The layers' names and a sentence that says what is usual; `step` and one array a layer.
    """
    tail = HistoryTail(run.path / "history" / "layers")
    names = [name for name in tail.columns if name.endswith(SUFFIX)]
    if names and "step" in tail.columns:
        rows_NC = tail.rows(0)
        arrays: dict[str, Any] = {"step": rows_NC[:, tail.columns.index("step")]}
        arrays |= {str(place): rows_NC[:, tail.columns.index(name)] for place, name in enumerate(names)}
        layers = [name.removesuffix(SUFFIX) for name in names]
        return {"layers": layers, "sentence": t("page.layers_sentence"), "missing": None}, arrays
    return {"layers": [], "sentence": t("page.layers_sentence"), "missing": t("page.layers_missing")}, {
        "step": np.empty(0)
    }

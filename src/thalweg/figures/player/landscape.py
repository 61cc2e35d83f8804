"""A landscape in the player: the loss over a plane of weights, and on it the training's own path, epoch by epoch.

Shape suffixes: H, W points of the grid, K checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from thalweg._files import write_text
from thalweg.figures.lab.heightmap import heightmap_on
from thalweg.figures.lab.scene import styles_of
from thalweg.figures.player.document import fill_page, stage
from thalweg.figures.player.packing import pack
from thalweg.figures.player.payload import key_list, series_of, texts
from thalweg.figures.player.relief import relief_of
from thalweg.i18n import get_language, t


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.diagnosis.landscape import Landscape
    from thalweg.figures.lab.axes import View
    from thalweg.figures.player.relief import Mark

    Columns = dict[str, NDArray[np.float64]]

FORMULA: Final = "L(a, b) = L(θ + a·d₁ + b·d₂)"

_LOG_FROM: Final = 20.0  # ratio of a chart's ends
_ROOM: Final = 0.04  # around a chart's values
_TABLE: Final = ("loss", "x", "y", "distance", "moved", "outside")
_CHARTS: Final = ("loss", "distance", "moved", "outside")
_OWN: Final = ("picture", "picture_keys", "optimizers", "critical", "charts", "events", "first", "back", "forward",
               "last", "scrub", "step")  # fmt: skip


def write_landscape(
    found: Landscape, file: Path | str, *, name: str = "", view: View = "3d", squared_error: bool = False
) -> None:
    """Write one HTML file that shows a landscape and plays the training's path over it, without a network.

    Args:
        found: the landscape.
        file: where to write; replaced whole or not at all.
        name: of the run.
        view: what the page shows first, `contour` or `3d`.
        squared_error: whether the loss is a squared error instead of cross-entropy.

    Raises:
        StorageError: the file cannot be written.
    """
    payload = payload_of(found, name=name, view=view, squared_error=squared_error)
    first, *further = payload["notes"]
    slots = {
        "lang": get_language(),
        "title": payload["title"],
        "formula": payload["formula"],
        "kept_note": first,
        "settings_note": " ".join(further),
    }
    write_text(file, fill_page(slots, payload, raw={"help": key_list(), "player": stage_of(found, name=name)}))


def stage_of(found: Landscape, *, name: str = "", prefix: str = "") -> str:
    """The player for a landscape as HTML in the language in force.

    Args:
        found: the landscape.
        name: of the run.
        prefix: of every id, where a page has another player.
    """
    own = {f"page_{key}": t(f"landscape.page_{key}") for key in _OWN}
    own["picture_summary"] = f"{_title(found, name)}. {t('landscape.page_summary')}"
    own["table_note"] = t(f"landscape.page_axes_{found.kind}")
    return stage(own, prefix=prefix, formulas=False, still=found.trajectory is None)


def payload_of(found: Landscape, *, name: str = "", view: View = "3d", squared_error: bool = False) -> dict[str, Any]:
    """Everything that the page draws, as JSON; its numbers are in one packed block.

    Args:
        found: the landscape.
        name: of the run.
        view: what the page shows first.
        squared_error: whether the loss is a squared error instead of cross-entropy.

    Example:
        >>> import numpy as np
        >>> from thalweg.diagnosis.landscape import Landscape
        >>> along = np.linspace(-1, 1, 3)
        >>> found = Landscape("random", along, along, np.add.outer(along**2, along**2), 0.0, 10, 4, 0)
        >>> payload_of(found)["surface"]["window"]
        [[-1.0, 1.0], [-1.0, 1.0]]
    """
    heightmap = heightmap_on(found.a_W, found.b_H, found.loss_HW)
    drawing, arrays = relief_of(heightmap, ("a", "b"), _marks(found))
    loss_name = t("landscape.axis_loss_mse" if squared_error else "landscape.axis_loss")
    steps_K, series = _series(found)
    arrays["steps"] = steps_K
    for number, columns in enumerate(series.values()):
        arrays |= {f"{number}.{column}": values_K for column, values_K in columns.items()}
        arrays[f"{number}.height"] = heightmap.heights(columns["loss"]).astype(np.float32)
    block, slots = pack(arrays)
    styles = styles_of([t(f"landscape.{key}") for key in series])
    return {
        "view": view,
        "texts": {**texts(), **{f"page_{key}": t(f"landscape.page_{key}") for key in ("optimizer", "step_of")}},
        "surface": {**drawing, "height_name": loss_name},
        "critical_kinds": [{"kind": kind, "text": t(f"landscape.{key}")} for key, kind in _signs(found).items()],
        "title": _title(found, name),
        "formula": FORMULA,
        "step_axis": {"kind": "linear", "name": t("landscape.axis_epoch")},
        "panels": _panels(series, {"loss": loss_name}),
        "table": [{"column": name, "title": _column(name)} for name in _TABLE if name in next(iter(series.values()))],
        "series": [{**series_of(style), "dots": True} for style in styles],
        "events": _events(found),
        "formulas": [[] for _ in series],
        "notes": _notes(found),
        "slots": slots,
        "block": block,
    }


def _series(found: Landscape) -> tuple[NDArray[np.float64], dict[str, Columns]]:
    """The epochs, and each path's numbers: the projection, which lies on the ground, and the training itself."""
    way = found.trajectory
    if way is None:
        return np.zeros(1), {"key_origin": {"x": np.zeros(1), "y": np.zeros(1), "loss": np.array([found.loss])}}
    unknown_K = np.full(len(way.a_K), np.nan)
    place: Columns = {"x": way.a_K, "y": way.b_K}
    far: Columns = {"distance": way.distance_K, "moved": way.moved_K, "outside": way.outside_K}
    return way.epochs_K.astype(np.float64), {
        "page_projection": {**place, "loss": way.plane_loss_K, **dict.fromkeys(far, unknown_K)},
        "page_training": {**place, "loss": way.loss_K, **far},
    }


def _signs(found: Landscape) -> dict[str, Literal["square", "star"]]:
    """The points with a sign of their own, by the key of their name."""
    return {"key_origin": "star"} if found.trajectory is None else {"key_start": "square", "key_end": "star"}


def _marks(found: Landscape) -> list[Mark]:
    way = found.trajectory
    if way is None:
        return [("star", 0.0, 0.0, found.loss)]
    ends = [("square", 0), ("star", -1)]
    return [(kind, float(way.a_K[at]), float(way.b_K[at]), float(way.plane_loss_K[at])) for kind, at in ends]


def _panels(series: dict[str, Columns], names: dict[str, str]) -> list[dict[str, Any]]:
    """The charts of a path of more than one epoch."""
    columns = {column: [one[column] for one in series.values() if column in one] for column in _CHARTS}
    return [
        _panel(column, np.concatenate(found), names.get(column, _column(column)))
        for column, found in columns.items()
        if found and len(found[0]) > 1
    ]


def _panel(column: str, values_N: NDArray[np.float64], title: str) -> dict[str, Any]:
    known = values_N[np.isfinite(values_N)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low = low if column == "loss" else 0.0
    is_log = column == "loss" and 0 < _LOG_FROM * low < high
    room = (high / low) ** _ROOM if is_log else _ROOM * (high - low or 1.0)
    return {
        "column": column,
        "title": title,
        "summary": t("landscape.page_chart", title=title),
        "kind": "log" if is_log else "linear",
        "range": [low / room, high * room] if is_log else [low - room, high + room],
    }


def _column(column: str) -> str:
    return t(f"landscape.page_column_{column}")


def _events(found: Landscape) -> list[dict[str, Any]]:
    """What the slice shows, as sentences; those of an epoch lead to it."""
    way = found.trajectory
    if way is None:
        return [{"series": 0, "step": None, "text": t("landscape.page_random_about")}]
    farthest = int(np.argmax(way.outside_K * way.distance_K))
    begins, ends = (
        {"epoch": int(way.epochs_K[at]), "loss": float(way.loss_K[at]), "inside": float(way.plane_loss_K[at])}
        for at in (0, -1)
    )
    told: list[tuple[int | None, str]] = [(None, t("landscape.outside", held=way.held, outside=way.outside))]
    told.append((begins["epoch"], t("landscape.page_begins", **begins)))
    if round(way.outside_K[farthest], 3):
        epoch, outside = int(way.epochs_K[farthest]), float(way.outside_K[farthest])
        told.append((epoch, t("landscape.page_farthest", epoch=epoch, outside=outside)))
    told.append((ends["epoch"], t("landscape.page_ends", **ends)))
    return [{"series": 1, "step": step, "text": text} for step, text in told]


def _notes(found: Landscape) -> list[str]:
    slice_ = t("landscape.slice", parameters=found.parameters, examples=found.examples).replace("\n", " ")
    return [slice_, *([] if found.trajectory is None else [t("landscape.outside_more")])]


def _title(found: Landscape, name: str) -> str:
    title = t(f"landscape.title_{found.kind}")
    return f"{name}: {title}" if name else title

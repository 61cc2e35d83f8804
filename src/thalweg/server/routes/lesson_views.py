"""The views of lessons that a visitor changes himself: numbers of the lesson's own experiment, which the page draws.

Shape suffixes: H, W cells of a map, L layers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg import lessons
from thalweg.errors import UnknownNameError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thalweg.lessons import Evidence, Lesson
    from thalweg.optimizers import Optimizer
    from thalweg.server.request import Visit

    Frame = tuple[dict[str, Any], dict[str, NDArray[Any]]]

_STEPS: Final = 300  # of a path that a click on a map plays
_HATCHED: Final = 255  # the shade of a cell that does not converge
_DARKEST: Final = 254
_ROOM: Final = 2.0  # a factor around the values of a logarithmic axis


@lru_cache(maxsize=64)
def evidence_of(lesson: Lesson) -> Evidence:
    """Run a lesson once; its numbers never change."""
    return lesson.run()


def view(visit: Visit) -> Frame:
    """What the page draws of a lesson that has a view.

    Raises:
        UnknownNameError: no such lesson, or one without a view.
        UsageError: a setting is invalid.
    """
    name = visit.query.get("name", "")
    if name not in VIEWS:
        raise UnknownNameError("lesson", name, VIEWS)
    return VIEWS[name](visit)


def momentum_maps(_visit: Visit) -> Frame:
    """The map of momentum in closed form and simulated, and Adam's, with what a click on a cell plays."""
    from thalweg.figures.lab.scene import styles_of
    from thalweg.lessons.momentum_map import MomentumMapLesson, digits
    from thalweg.optimizers import get
    from thalweg.optimizers.reading import changed

    lesson = lessons.get("momentum-map")
    assert isinstance(lesson, MomentumMapLesson)  # noqa: S101 - for the type checker
    data = evidence_of(lesson).data
    found, adam = data["found"], data["adam"]
    rows, columns = np.unravel_index(adam.arrival_HW.argmin(), adam.arrival_HW.shape)
    adam_best = {"x": float(adam.rate_W[columns]), "y": float(adam.beta2_H[rows])}
    border_B = np.linspace(0, float(found.momentum_H[-1]), 200)
    borders = lesson.borders(border_B)
    arrays = {
        "momentum.x": found.rate_W,
        "momentum.y": found.momentum_H,
        "momentum.shade": _shades(digits(found.worst_HW)),
        "momentum.factor": found.worst_HW.ravel(),
        "momentum.simulated": found.worst_simulated_HW.ravel(),
        "momentum.flat": found.damping_EHW[0].astype(np.uint8).ravel(),
        "momentum.steep": found.damping_EHW[-1].astype(np.uint8).ravel(),
        "adam.x": adam.rate_W,
        "adam.y": adam.beta2_H,
        "adam.shade": _shades(digits(adam.factor_HW)),
        "adam.arrival": adam.arrival_HW.ravel(),
        "border": border_B,
        **{f"border.{name}": rate_B for name, rate_B in borders.items()},
    }
    momentum, best = get("momentum"), lesson.best
    maps = [
        {
            "name": "momentum",
            "title": lesson.say("closed_title"),
            "axes": [lesson.axis("rate"), lesson.say("momentum_axis")],
            "setting": "momentum",
            "best": {"x": best.lr, "y": best.momentum},
            "beside": _row(changed(momentum, "momentum", _rounded(best.momentum)), best.lr),
            "borders": [
                {"name": name, "label": style.label, "color": {"light": style.color, "dark": style.color_on_dark}}
                for name, style in zip(borders, styles_of([lesson.say(name) for name in borders]), strict=True)
            ],
        },
        {
            "name": "adam",
            "title": lesson.say("adam_title", steps=lesson.adam_steps),
            "axes": [lesson.axis("rate"), "1 − β₂"],
            "setting": "beta2",
            "best": adam_best,
            "beside": _row(changed(get("adam"), "beta2", _rounded(adam_best["y"])), adam_best["x"]),
            "borders": [],
        },
    ]
    return {"maps": maps, "fields": momentum_fields(lesson), "digit": lesson.say("digit_axis")}, arrays


def momentum_fields(lesson: Any) -> dict[str, str]:
    """The fields of the lab's address without optimizers: the lesson's own valley and start."""
    x, y = lesson.start
    parameters = f"condition={lesson.condition:g},angle={lesson.angle:g}"
    return {"surface": "valley", "parameters": parameters, "start": f"{x:.6g},{y:.6g}", "steps": str(_STEPS)}


def depth(visit: Visit) -> Frame:
    """Activations and gradients through the layers, measured and in closed form, without and with normalization.

    Raises:
        UsageError: a setting is invalid.
    """
    from thalweg.figures.lab.scene import styles_of
    from thalweg.figures.player.payload import series_of
    from thalweg.figures.player.payload import texts as player_texts
    from thalweg.lessons.initialization import KINDS, Initialization

    own = {name: visit.whole(name, most=most) for name, (_, most) in DEPTH_LIMITS.items() if name in visit.query}
    for name, value in own.items():
        if value < DEPTH_LIMITS[name][0]:
            visit.refuse(name)
    lesson = Initialization(**own)
    evidence = evidence_of(lesson)
    arrays: dict[str, NDArray[Any]] = {"steps": np.arange(1.0, lesson.depth + 1)}
    for name in ("plain", "normed"):
        for number, kind in enumerate(KINDS):
            measured = evidence.data[name][kind]
            closed = lesson.closed(kind, measured, normalized=name == "normed")
            for part in ("activations", "gradients"):
                arrays[f"{number}.{name}_{part}"] = getattr(measured, f"{part}_L")
                arrays[f"{number}.{name}_{part}_closed"] = getattr(closed, f"{part}_L")
    columns = [
        {"column": f"{part}{which}", "title": lesson.say("closed" if which else f"{part}_axis")}
        for part in ("activations", "gradients")
        for which in ("", "_closed")
    ]
    titles = {
        f"{name}_{part}": lesson.say(f"{name}_{part}_title")
        for name in ("plain", "normed")
        for part in ("activations", "gradients")
    }
    header = {
        "series": [series_of(style) for style in styles_of([lesson.say(kind) for kind in KINDS])],
        "columns": columns,
        "titles": titles,
        "ranges": {name: _range(arrays, name) for name in titles},
        "layer": lesson.say("layer_axis"),
        "texts": player_texts(),
        "settings": {name: getattr(lesson, name) for name in DEPTH_LIMITS},
        "limits": DEPTH_LIMITS,
        "error": evidence.numbers["error"],
        "factors": [lesson.factors()[kind] for kind in KINDS],
        "alt": t("lab.page_chart_summary", title=lesson.title),
    }
    return header, arrays


DEPTH_LIMITS: Final = {"depth": (2, 40), "width": (16, 192), "seed": (0, 99)}
"""Settings of the view of depth, and their ranges."""

VIEWS: Final[dict[str, Callable[[Visit], Frame]]] = {"initialization": depth, "momentum-map": momentum_maps}


def _row(optimizer: Optimizer, lr: float) -> str:
    """An optimizer and its rate as the lab's address has them."""
    from thalweg.optimizers.reading import text_of

    return f"{text_of(optimizer)}:{_rounded(lr):.10g}:"


def _rounded(value: float) -> float:
    """A number with as many digits as the page shows."""
    return float(f"{value:.4g}")


def _range(arrays: dict[str, NDArray[Any]], name: str) -> list[float]:
    """The ends of a logarithmic axis for what is measured and its closed forms."""
    values = np.concatenate([array for key, array in arrays.items() if key.split(".")[-1].startswith(name)])
    values = values[(values > 0) & np.isfinite(values)]
    return [float(values.min()) / _ROOM, float(values.max()) * _ROOM]


def _shades(digit_HW: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cells from 0 (fast) to 254 (slow) by the logarithm of the steps that make the error a tenth; 255: never."""
    from thalweg.lessons.momentum_map import SLOWEST

    converges_HW = np.isfinite(digit_HW)
    low = float(digit_HW[converges_HW].min())
    share_HW = np.log(np.where(converges_HW, digit_HW, low).clip(low, SLOWEST) / low) / np.log(SLOWEST / low)
    return np.where(converges_HW, np.rint(share_HW * _DARKEST), _HATCHED).astype(np.uint8).ravel()

"""`thalweg surface --map`: where traces end and how many steps they take, over starts or two hyper-parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.cli._output import print_table
from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.cli._lab_options import OptimizerChoice
    from thalweg.paths import Map
    from thalweg.surfaces import Surface

POINTS: Final = 81
"""Traces along each side of a map."""

_DECADES: Final = 2.0
"""Range of a map of learning rates on both sides of the suggested one."""

_MEMORIES: Final = ("alpha", "beta1", "beta2", "momentum", "rho")
"""Hyper-parameters that set how slowly the optimizer forgets: their distance from 1 matters."""


def read_map(
    text: str, surface: Surface, choice: OptimizerChoice, *, steps: Any, schedule: str, noise: float, seed: int
) -> Map:
    """Compute the map of `--map starts`, or of `--map lr,beta1=0:0.99`."""
    from thalweg.paths import map_hyperparameters, map_starts
    from thalweg.paths.rates import suggest_lr

    lr = suggest_lr(surface, choice.optimizer) if choice.lr is None else choice.lr
    shared: dict[str, Any] = {"lr": lr, "steps": steps, "schedule": schedule, "noise": noise, "seed": seed}
    if text == "starts":
        return map_starts(surface, choice.optimizer, points=(POINTS, POINTS), **shared)
    words = [word.strip() for word in text.split(",")]
    if len(words) != 2:
        raise UsageError("lab.bad_map", text=text)
    return map_hyperparameters(surface, choice.optimizer, *(_axis(word, lr) for word in words), **shared)


def print_map(found: Map) -> None:
    """Print how many traces end where, and after how many steps."""
    columns = [t(f"lab.heading_{name}") for name in ("end", "share", "median_steps")]
    print_table(columns, [(end["end"], end["share"], end["median_steps"]) for end in _ends(found)])


def map_document(found: Map) -> dict[str, Any]:
    """Return everything that a map's picture shows, for JSON."""
    return {
        "optimizer": found.optimizer.name,
        "steps": found.steps,
        "x": {"name": found.x_name, "values": found.x_W},
        "y": {"name": found.y_name, "values": found.y_H},
        "ends": _ends(found),
        "outcome": found.outcome_HW,
        "settled": found.settled_HW,
        "loss": found.loss_HW,
    }


def _ends(found: Map) -> list[dict[str, Any]]:
    from thalweg.figures.surface_map import outcomes_of

    return [
        {
            "outcome": outcome,
            "end": words,
            "share": float(np.mean(found.outcome_HW == outcome)),
            "median_steps": float(np.median(found.settled_HW[found.outcome_HW == outcome])),
        }
        for outcome, words in outcomes_of(found)
    ]


def _axis(word: str, lr: float) -> tuple[str, list[float]]:
    """A hyper-parameter and its values: `lr`, or `lr=0.001:1`."""
    name, equals, span = word.partition("=")
    name = name.strip()
    if equals:
        return name, _between(name, *_span(span, word)).tolist()
    if name == "lr":
        return name, np.geomspace(lr / 10**_DECADES, lr * 10**_DECADES, POINTS).tolist()
    if name in _MEMORIES:
        return name, (1 - np.geomspace(1, 1e-4, POINTS)).tolist()
    raise UsageError("lab.map_needs_span", name=name)


def _between(name: str, low: float, high: float) -> NDArray[np.float64]:
    """Values from low to high, spaced evenly in the distance from 1, in the magnitude, or in the value itself."""
    if name in _MEMORIES and high < 1:
        return 1 - np.geomspace(1 - low, 1 - high, POINTS)
    return np.geomspace(low, high, POINTS) if low > 0 else np.linspace(low, high, POINTS)


def _span(text: str, word: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        raise UsageError("lab.bad_span", word=word) from None
    if not colon or not -np.inf < ends[0] < ends[1] < np.inf:
        raise UsageError("lab.bad_span", word=word)
    return ends

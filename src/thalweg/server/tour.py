"""The lessons as a guided tour: each sets the page, says what to look at, and shows its check."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from thalweg import lessons


if TYPE_CHECKING:
    from thalweg.lessons import Evidence

# What each lesson of the lab puts into the address; numbers that the lesson has as a setting are taken from it.
_STAGES: Final[dict[str, dict[str, Any]]] = {
    "saddle-or-minimum": {
        "surface": "toy_network",
        "rules": "sgd:0.05:;adam:0.02:",
        "steps": 300,
        "start": "0.02,0.02",
    },
    "momentum-escapes": {"surface": "{surface}", "rules": "sgd:{lr}:;momentum:{lr}:"},
    "convex-valley": {
        "surface": "valley",
        "parameters": "condition={condition:g}",
        "rules": "sgd:0.19:;adagrad:{adagrad_rate:g}:",
        "steps": 10_000,
    },
    "adagrad-arrives-and-bursts": {
        "surface": "valley",
        "parameters": "angle={angle}",
        "rules": "adagrad_mean:{lr}:;adagrad:{lr}:",
    },
    "decay-calms": {
        "surface": "valley",
        "parameters": "angle={angle}",
        "rules": "adagrad_mean:{lr}:constant;adagrad_mean:{lr}:inverse_time(10%)",
    },
    "rmsprop-forgets": {"surface": "turn", "rules": "rmsprop:{lr}:;adagrad:{lr}:;adagrad_mean:{lr}:"},
    "adam-is-both": {"surface": "valley", "rules": "momentum:{lr}:;rmsprop:{lr}:;adam:{lr}:"},
    "warm-up": {
        "surface": "{formula}",
        "rules": "adam:{lr}:constant;adam:{lr}:warmup({warmup})",
        "noise": "{noise}",
    },
    "mse-or-cross-entropy": {"tab": "losses"},
}


def listing() -> list[dict[str, Any]]:
    """Every lesson with its title, in the order in which they are best read, and what it sets on the page."""
    return [{"name": name, "title": lessons.title_of(name), "stage": stage_of(name)} for name in lessons.names()]


def lesson(name: str) -> dict[str, Any]:
    """A lesson's words with its numbers, and its checks.

    Raises:
        UnknownNameError: no such lesson.
    """
    told = lessons.get(name)
    evidence = _evidence(name)
    order = lessons.names()
    place = order.index(name)
    return {
        "name": name,
        "title": told.title,
        "lines": told.tell(evidence),
        "checks": [
            {"claim": told.claim(check), "got": f"{check.got:.4g}", "expected": check.expected, "holds": check.passed}
            for check in told.checks(evidence)
        ],
        "stage": stage_of(name),
        "next": order[place + 1] if place + 1 < len(order) else None,
    }


def picture(name: str) -> bytes:
    """The lesson's own picture as PNG.

    Raises:
        UnknownNameError: no such lesson.
    """
    from thalweg.figures.style import drawing

    told = lessons.get(name)
    file = BytesIO()
    with drawing(width=told.size[0], height=told.size[1], dpi=100) as figure:
        figure.suptitle(told.title, x=0.01, ha="left")
        told.draw(_evidence(name), figure)
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def stage_of(name: str) -> dict[str, str] | None:
    """What the address of the page says for a lesson; None for those that have only a picture."""
    stage = _STAGES.get(name)
    if stage is None:
        return None
    told = lessons.get(name)
    settings = {**vars(told), "lr": getattr(told, "learning_rate", None)}
    fields = {"tab": "lab", **{key: str(value).format(**settings) for key, value in stage.items()}}
    if "steps" in settings:
        fields.setdefault("steps", str(settings["steps"]))
    if "start" in settings:
        x, y = settings["start"]
        own = {"x": f"{x:g}", "y": f"{y:g}"} if fields["tab"] == "losses" else {"start": f"{x:g},{y:g}"}
        fields = {**own, **fields}
    return fields


@cache
def _evidence(name: str) -> Evidence:
    """A lesson is run once; its numbers are the same every time."""
    return lessons.get(name).run()

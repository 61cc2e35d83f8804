"""The lessons as a guided tour: each sets up the page, says what to look at, and shows its checks."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from thalweg import lessons
from thalweg.server.request import Entry
from thalweg.server.routes.lesson_views import VIEWS, evidence_of, view


if TYPE_CHECKING:
    from thalweg.server.request import Visit

# the fields of the page's address for each lesson of the lab; the lesson's settings fill in the numbers
_SETUPS: Final[dict[str, dict[str, Any]]] = {
    # at 2 / λ of the steep direction, a step of gradient descent lands exactly opposite: the loss stands still
    "stuck-but-gradient-large": {"surface": "valley", "optimizers": "sgd:0.2:;sgd:0.1:", "steps": 300},
    "saddle-or-minimum": {
        "surface": "toy_network",
        "optimizers": "sgd:0.05:;adam:0.02:",
        "steps": 300,
        "start": "0.02,0.02",
    },
    "momentum-escapes": {"surface": "{surface}", "optimizers": "sgd:{lr}:;momentum:{lr}:"},
    "convex-valley": {
        "surface": "valley",
        "parameters": "condition={condition:g}",
        "optimizers": "sgd:0.19:;adagrad:{adagrad_rate:g}:",
        "steps": 10_000,
    },
    "adagrad-arrives-and-bursts": {
        "surface": "valley",
        "parameters": "angle={angle}",
        "optimizers": "adagrad_mean:{lr}:;adagrad:{lr}:",
    },
    "decay-calms": {
        "surface": "valley",
        "parameters": "angle={angle}",
        "optimizers": "adagrad_mean:{lr}:constant;adagrad_mean:{lr}:inverse_time(10%)",
    },
    "rmsprop-forgets": {"surface": "turn", "optimizers": "rmsprop:{lr}:;adagrad:{lr}:;adagrad_mean:{lr}:"},
    "adam-is-both": {"surface": "valley", "optimizers": "momentum:{lr}:;rmsprop:{lr}:;adam:{lr}:"},
    "warm-up": {
        "surface": "{formula}",
        "optimizers": "adam:{lr}:constant;adam:{lr}:warmup({warmup})",
        "noise": "{noise}",
    },
    "mse-or-cross-entropy": {"tab": "losses"},
    "momentum-map": {
        "surface": "valley",
        "parameters": "condition={condition:g},angle={angle:g}",
        "optimizers": "momentum(momentum={best.momentum:.4g}):{best.lr:.4g}:;sgd:{plain_lr:.4g}:",
        "steps": 300,
    },
}


def listing() -> list[dict[str, Any]]:
    """Every lesson with its title, its setup of the page and whether it has a view, in the order of the course."""
    return [
        {"name": name, "title": lessons.title_of(name), "setup": setup_of(name), "has_view": name in VIEWS}
        for name in lessons.names()
    ]


def lesson(name: str) -> dict[str, Any]:
    """A lesson's sentences with its numbers, and its checks.

    Raises:
        UnknownNameError: there is no such lesson.
    """
    from thalweg.figures.player.formulas import block_of
    from thalweg.formulas import get

    found = lessons.get(name)
    evidence = evidence_of(found)
    order = lessons.names()
    place = order.index(name)
    return {
        "name": name,
        "title": found.title,
        "lines": found.tell(evidence),
        "checks": [
            {"claim": found.claim(check), "got": check.measured, "expected": check.expected, "holds": check.passed}
            for check in found.checks(evidence)
        ],
        "formulas": [block_of(get(formula)) for formula in found.formulas],
        "setup": setup_of(name),
        "next": order[place + 1] if place + 1 < len(order) else None,
    }


def picture(name: str) -> bytes:
    """A lesson's own picture as PNG.

    Raises:
        UnknownNameError: there is no such lesson.
    """
    file = BytesIO()
    found = lessons.get(name)
    found.write_picture(evidence_of(found), file, dpi=100)
    return file.getvalue()


def setup_of(name: str) -> dict[str, str] | None:
    """The fields of the page's address for a lesson; None for a lesson that has only a picture."""
    setup = _SETUPS.get(name)
    if setup is None:
        return None
    found = lessons.get(name)
    own = {name: getattr(found, name) for name in ("best", "plain_lr", "start") if hasattr(found, name)}
    settings = {**vars(found), "lr": getattr(found, "learning_rate", None), **own}
    fields = {"tab": "lab", **{key: str(value).format(**settings) for key, value in setup.items()}}
    if "steps" in settings:
        fields.setdefault("steps", str(settings["steps"]))
    if "start" in settings:
        x, y = settings["start"]
        own = {"x": f"{x:g}", "y": f"{y:g}"} if fields["tab"] == "losses" else {"start": f"{x:g},{y:g}"}
        fields = {**own, **fields}
    return fields


def _name(visit: Visit) -> str:
    return visit.query.get("name", "")


ROUTES: Final = (
    Entry("GET", "lessons", lambda _visit: {"lessons": listing()}),
    Entry("GET", "lesson", lambda visit: lesson(_name(visit))),
    Entry("GET", "lesson/picture", lambda visit: picture(_name(visit))),
    Entry("GET", "lesson/view", view, needs_network=True),
)

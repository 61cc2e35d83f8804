"""The lab: surfaces and paths over them, in numbers that the page draws."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.figures.lab.relief import Relief
    from thalweg.paths import Path
    from thalweg.server.asking import Form
    from thalweg.surfaces import Surface

    Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]

MOST_RULES: Final = 8
CHARTS: Final = ("loss", "gradient_norm", "lr", "rate_x", "rate_y", "stability_y")

_BUDGET: Final = 16_000  # kept steps times paths: what is drawn within one frame
_MOST_KEPT: Final = 4_000
_MOST_UPDATES: Final = 2_000_000  # steps times paths: seconds of one core, and 130 MB
_SIDE: Final = 385  # grid points a side of the surface
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_LETTERS: Final = ("x", "y", "w1", "w2", "pi", "e")  # formulas of one word


def catalogue() -> dict[str, Any]:
    """What can be chosen: surfaces, rules and schedules, with their words."""
    from thalweg import optimizers, schedules, surfaces
    from thalweg.surfaces.catalogue import CATALOGUE

    return {
        "surfaces": [
            {"name": name, "about": t(f"lab.about_{name}"), "parameters": dict(CATALOGUE[name].parameters)}
            for name in surfaces.names()
        ],
        "rules": list(optimizers.names()),
        "schedules": list(schedules.names()),
    }


def ground(form: Form) -> Answer:
    """A surface as it is drawn.

    Raises:
        UsageError: the formula or the window cannot be meant.
    """
    from thalweg.figures.lab.texts import formula_of, title_of
    from thalweg.figures.player.payload import ground_of, texts

    surface = surface_of(form)
    facts, arrays = ground_of(surface, relief_for(surface))
    named = {"title": title_of(surface), "formula": formula_of(surface, longest=240), "start": surface.start}
    return {**facts, **named, "texts": texts()}, arrays


def paths(form: Form) -> Answer:
    """Up to eight paths over a surface, at the steps that are drawn.

    Raises:
        UsageError: a rule, a rate, a schedule or a start cannot be meant.
    """
    from thalweg.figures.player.payload import traces_of

    surface = surface_of(form)
    traced = trace_all(form, surface)
    scene = scene_of(surface, [path for path, _ in traced], [label for _, label in traced], shown=CHARTS)
    facts, arrays = traces_of(scene)
    rates = [path.lr for path, _ in traced]
    return {**facts, "note": scene.kept.note, "rates": rates}, arrays


def trace_all(form: Form, surface: Surface) -> list[tuple[Path, str]]:
    """The paths that a form asks for, each with its label.

    Raises:
        UsageError: see `paths`.
    """
    from thalweg import optimizers
    from thalweg.paths import trace
    from thalweg.paths.rates import suggest_lr

    rows = form.forms("rules", most=MOST_RULES)
    steps = form.whole("steps", least=1, most=_MOST_UPDATES, default=1_000)
    if steps * len(rows) > _MOST_UPDATES:
        raise UsageError("page.too_many_updates", most=f"{_MOST_UPDATES:,}")
    noise = form.number("noise", least=0, most=1e6, default=0.0)
    seed = form.whole("seed", least=0, most=2**32 - 1, default=0)
    found, words = [], []
    for row in rows:
        rule = optimizers.get(row.text("rule", longest=60))
        schedule = row.text("schedule", longest=400, default="constant") or "constant"
        lr = suggest_lr(surface, rule) if row.values.get("lr") is None else row.number("lr", least=1e-300, most=1e300)
        found.append(trace(surface, rule, lr=lr, schedule=schedule, steps=steps, noise=noise, seed=seed))
        words.append((rule.name, f"η={lr:g}", schedule))
    return list(zip(found, labels(words), strict=True))


def labels(words: list[tuple[str, str, str]]) -> list[str]:
    """A name for each path: the rule, and of rate and schedule what tells it from its namesakes.

    Example:
        >>> labels([("sgd", "η=1", "constant"), ("adam", "η=1", "constant"), ("adam", "η=1", "cosine")])
        ['sgd', 'adam constant', 'adam cosine']
    """
    named = []
    for word in words:
        alike = [other for other in words if other[0] == word[0]]
        telling = [word[place] for place in (1, 2) if len({other[place] for other in alike}) > 1]
        named.append(" ".join([word[0], *telling]))
    return named


def scene_of(surface: Surface, traced: list[Path], names: list[str], *, shown: tuple[str, ...]) -> Any:
    """Paths made ready to be drawn."""
    from thalweg.figures.lab.columns import columns_of
    from thalweg.figures.lab.decimation import keep_steps
    from thalweg.figures.lab.looks import looks_of
    from thalweg.figures.lab.scene import Scene

    kept = keep_steps(traced, limit=min(_MOST_KEPT, _BUDGET // max(1, len(traced))))
    looks = [replace(look, label=name) for look, name in zip(looks_of(traced), names, strict=True)]
    columns = [columns_of(path, kept.steps_K) for path in traced]
    return Scene(surface, traced, looks, relief_for(surface), kept, columns, shown)


def surface_of(form: Form) -> Surface:
    """The surface that a form names, or writes as a formula.

    Raises:
        UsageError: it cannot be meant.
    """
    from thalweg import surfaces

    text = form.text("surface").strip()
    if _NAME.fullmatch(text) and text not in _LETTERS:
        given = form.values.get("parameters") or {}
        if not isinstance(given, dict) or len(given) > MOST_RULES:
            form.refuse("parameters")
        values = type(form)(given)
        surface = surfaces.get(text, **{str(name): values.number(name) for name in given})
    else:
        surface = surfaces.parse(text)
    window = form.numbers("window", 4)
    if window is not None:
        surface = replace(surface, window=((window[0], window[1]), (window[2], window[3])))
    start = form.numbers("start", 2)
    return surface if start is None else replace(surface, start=(start[0], start[1]))


def relief_for(surface: Surface) -> Relief:
    """The surface's grid, kept for the last few that were looked at: moving the start lays no new one."""
    return _relief(replace(surface, start=(0.0, 0.0)))


@lru_cache(maxsize=8)
def _relief(surface: Surface) -> Relief:
    from thalweg.figures.lab.relief import relief_of

    return relief_of(surface, side=_SIDE)

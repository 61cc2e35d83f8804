"""Mean squared error beside cross-entropy: one start, one rule, both released together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.i18n import t
from thalweg.server.lab import scene_of, surface_of


if TYPE_CHECKING:
    from thalweg.server.asking import Form
    from thalweg.server.lab import Answer

_CHARTS = ("loss", "gradient_norm")


def both(form: Form) -> Answer:
    """Both surfaces, the path on each at the same steps, and the probability of the right class along it.

    Raises:
        UsageError: a rule, a rate or a start cannot be meant.
    """
    from thalweg.figures.lab.heightmap import heightmap_of
    from thalweg.figures.player.payload import background_of, texts, traces_of
    from thalweg.lessons.mse_or_cross_entropy import LOSSES, right_share
    from thalweg.paths import trace

    rule = form.text("rule", longest=60, default="sgd")
    lr = form.number("lr", least=1e-300, most=1e300, default=1.0)
    schedule = form.text("schedule", longest=400, default="constant") or "constant"
    steps = form.whole("steps", least=1, most=100_000, default=10_000)
    found = {}
    for loss, name in LOSSES.items():
        surface = surface_of(type(form)({"surface": name, "start": form.values.get("start")}))
        found[loss] = trace(surface, rule, lr=lr, schedule=schedule, steps=steps)
    words = [t(f"lessons.mse_or_cross_entropy_{loss}_name") for loss in found]
    scene = scene_of(next(iter(found.values())).surface, list(found.values()), words, shown=_CHARTS)
    facts, arrays = traces_of(scene)
    grounds: list[dict[str, Any]] = []
    for number, path in enumerate(found.values()):
        ground, drawn = background_of(path.surface)
        ground["surface"]["axes"] = [t(f"lessons.mse_or_cross_entropy_{axis}_axis") for axis in ("first", "second")]
        grounds.append({**ground, "title": words[number]})
        arrays |= {f"ground{number}.{name}": array for name, array in drawn.items()}
        arrays[f"{number}.height"] = (
            heightmap_of(path.surface).heights(scene.columns[number]["loss"]).astype(np.float32)
        )
        right_S = right_share(path)
        arrays[f"{number}.right"] = right_S[scene.kept.steps_K]
    facts["panels"].append(
        {
            "column": "right",
            "title": t("page.losses_right"),
            "summary": t("lab.page_chart_summary", title=t("page.losses_right")),
            "kind": "linear",
            "range": [-0.03, 1.03],
        }
    )
    facts["table"] = [{"column": "right", "title": t("page.losses_right")}, *facts["table"]]
    return {**facts, "grounds": grounds, "texts": texts()}, arrays

"""Mean squared error beside cross-entropy: one start, one optimizer, both losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.i18n import t
from thalweg.server.request import Entry, Form
from thalweg.server.routes.lab import scene_of, surface_of


if TYPE_CHECKING:
    from thalweg.server.request import Visit
    from thalweg.server.routes.lab import Frame

_CHARTS: Final = ("loss", "gradient_norm")


def both(visit: Visit) -> Frame:
    """Both surfaces, the trace on each at the same steps, and the probability of the right class along each trace.

    Raises:
        UsageError: the optimizer, the learning rate, the schedule or the start is invalid.
    """
    from thalweg.figures.lab.heightmap import heightmap_of
    from thalweg.figures.player.formulas import block_of
    from thalweg.figures.player.payload import background_of, texts, traces_of
    from thalweg.formulas import get
    from thalweg.lessons.mse_or_cross_entropy import LOSSES, right_share
    from thalweg.paths import trace

    form = visit.form
    optimizer = form.text("optimizer", longest=60, default="sgd")
    lr = form.number("lr", least=1e-300, most=1e300, default=1.0)
    schedule = form.text("schedule", longest=400, default="constant") or "constant"
    steps = form.whole("steps", least=1, most=100_000, default=10_000)
    traces = []
    for name in LOSSES.values():
        surface = surface_of(Form({"surface": name, "start": form.values.get("start")}))
        traces.append(trace(surface, optimizer, lr=lr, schedule=schedule, steps=steps))
    names = [t(f"lessons.mse_or_cross_entropy_{loss}_name") for loss in LOSSES]
    axes = [t(f"lessons.mse_or_cross_entropy_{axis}_axis") for axis in ("first", "second")]
    scene = scene_of(traces[0].surface, traces, names, shown=_CHARTS)
    facts, arrays = traces_of(scene)
    backgrounds: list[dict[str, Any]] = []
    for number, one in enumerate(traces):
        background, drawn = background_of(one.surface)
        background["surface"]["axes"] = axes
        backgrounds.append({**background, "title": names[number]})
        arrays |= {f"background{number}.{name}": array for name, array in drawn.items()}
        heights = heightmap_of(one.surface).heights(scene.columns[number]["loss"])
        arrays[f"{number}.height"] = heights.astype(np.float32)
        arrays[f"{number}.right"] = right_share(one)[scene.kept.steps_K]
    title = t("page.losses_right")
    facts["panels"].append(
        {
            "column": "right",
            "title": title,
            "summary": t("lab.page_chart_summary", title=title),
            "kind": "linear",
            "range": [-0.03, 1.03],
        }
    )
    facts["table"] = [{"column": "right", "title": title}, *facts["table"]]
    own = [block_of(get(loss)) for loss in LOSSES]
    return {**facts, "backgrounds": backgrounds, "losses": own, "texts": texts()}, arrays


ROUTES: Final = (Entry("POST", "losses", both),)

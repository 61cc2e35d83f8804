"""The output of `thalweg surface`: the numbers behind its pictures, as tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from thalweg.cli._output import note, print_table
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.paths import Trace
    from thalweg.surfaces import Surface


def print_catalogue() -> None:
    """Print all named surfaces and all optimizers."""
    from thalweg import optimizers, surfaces

    columns = [t(f"lab.heading_{name}") for name in ("surface", "about", "parameters")]
    rows = [(name, t(f"lab.about_{name}"), _parameters(name)) for name in surfaces.names()]
    print_table(columns, rows)
    note(t("lab.list_note", optimizers=joined(optimizers.names())))


def catalogue_document() -> dict[str, Any]:
    """Return the surfaces and optimizers, for JSON."""
    from thalweg import optimizers, surfaces

    return {
        "surfaces": [
            {**_surface_head(surfaces.get(name)), "about": t(f"lab.about_{name}")} for name in surfaces.names()
        ],
        "optimizers": list(optimizers.names()),
    }


def print_surface(surface: Surface) -> None:
    """Print the formula, the window, and the critical points with their kinds."""
    (left, right), (bottom, top) = surface.window
    x, y = surface.start
    typer.echo(f"{surface.name}: {surface.formula}")
    typer.echo(t("lab.window_note", left=left, right=right, bottom=bottom, top=top, x=x, y=y))
    columns = [t(f"lab.heading_{name}") for name in ("kind", "x", "y", "loss", "eigenvalues", "escape")]
    rows = [
        (
            t(f"lab.critical_{point.kind}"),
            *point.position,
            point.value,
            _numbers(point.eigenvalues),
            _numbers(point.escape) if point.escape else "",
        )
        for point in surface.critical_points
    ]
    print_table(columns, rows, title=t("lab.critical_title"))


def print_traces(traces: Sequence[Trace]) -> None:
    """Print where each trace ends and what happened on it."""
    from thalweg.figures.lab.scene import labels_of
    from thalweg.figures.lab.texts import event_summary

    headings = ("optimizer", "lr", "loss_end", "gradient_end", "converged", "events")
    rows = [
        (
            label,
            trace.lr,
            float(trace.loss[trace.last]),
            float(trace.gradient_norm[trace.last]),
            "–" if (step := converged_at(trace)) is None else step,
            joined(words for _, words in event_summary(trace)) or "–",
        )
        for label, trace in zip(labels_of(traces), traces, strict=True)
    ]
    print_table([t(f"lab.heading_{name}") for name in headings], rows)


def surface_document(surface: Surface) -> dict[str, Any]:
    """Return a surface and its critical points, for JSON."""
    points = [
        {
            "kind": point.kind,
            "position": point.position,
            "loss": point.value,
            "eigenvalues": point.eigenvalues,
            "escape": point.escape,
        }
        for point in surface.critical_points
    ]
    return {**_surface_head(surface), "critical_points": points}


def trace_document(trace: Trace) -> dict[str, Any]:
    """Return where a trace ends and what happened on it, for JSON."""
    return {
        "optimizer": trace.optimizer.name,
        "lr": trace.lr,
        "steps": trace.steps,
        "last_step": trace.last,
        "position": trace.positions_S2[trace.last],
        "loss": trace.loss[trace.last],
        "gradient_norm": trace.gradient_norm[trace.last],
        "converged_at": converged_at(trace),
        "events": [{"kind": event.kind, "step": event.step, "values": dict(event.values)} for event in trace.events],
    }


def columns_document(surface: Surface, traces: Sequence[Trace], points: int) -> dict[str, Any]:
    """Return every number of the traces at up to `points` steps, and whether those are all steps."""
    from thalweg.figures.lab.scene import make_scene

    scene = make_scene(surface, traces, limit=points)
    return {
        "step": scene.kept.steps_K,
        "steps_are_all": scene.kept.all,
        "note": scene.kept.note,
        "paths": scene.columns,
    }


def converged_at(trace: Trace) -> int | None:
    """Return the step from which the trace stays at its goal; `None` if it does not."""
    return next((event.step for event in trace.events if event.kind == "converged"), None)


def _surface_head(surface: Surface) -> dict[str, Any]:
    return {"name": surface.name, "formula": surface.formula, "window": surface.window, "start": surface.start}


def _parameters(name: str) -> str:
    from thalweg.surfaces.catalogue import CATALOGUE

    return ", ".join(f"{key}={value:g}" for key, value in CATALOGUE[name].parameters.items())


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)

"""What `thalweg surface` prints: the numbers behind its pictures, as tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from thalweg.cli._output import note, print_table
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.paths import Path
    from thalweg.surfaces import Surface


def print_catalogue() -> None:
    """All surfaces that have a name, and all rules."""
    from thalweg import optimizers, surfaces

    columns = [t(f"lab.heading_{name}") for name in ("surface", "about", "parameters")]
    rows = [(name, t(f"lab.about_{name}"), _parameters(name)) for name in surfaces.names()]
    print_table(columns, rows)
    note(t("lab.list_note", rules=", ".join(optimizers.names())))


def catalogue_document() -> dict[str, Any]:
    """The same for programs."""
    from thalweg import optimizers, surfaces

    return {
        "surfaces": [
            {**_surface_head(surfaces.get(name)), "about": t(f"lab.about_{name}")} for name in surfaces.names()
        ],
        "rules": list(optimizers.names()),
    }


def print_surface(surface: Surface) -> None:
    """Formula, window, and the critical points with their kinds."""
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


def print_paths(paths: Sequence[Path]) -> None:
    """Where each path ends, and what happened on it."""
    from thalweg.figures.lab.looks import labels_of
    from thalweg.figures.lab.texts import event_summary

    headings = ("rule", "lr", "loss_end", "gradient_end", "converged", "events")
    rows = [
        (
            label,
            path.lr,
            float(path.loss[path.last]),
            float(path.gradient_norm[path.last]),
            "–" if (step := converged_at(path)) is None else step,
            ", ".join(words for _, words in event_summary(path)) or "–",
        )
        for label, path in zip(labels_of(paths), paths, strict=True)
    ]
    print_table([t(f"lab.heading_{name}") for name in headings], rows)


def surface_document(surface: Surface) -> dict[str, Any]:
    """A surface and its critical points."""
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


def path_document(path: Path) -> dict[str, Any]:
    """Where a path ends, and what happened on it."""
    return {
        "rule": path.rule.name,
        "lr": path.lr,
        "steps": path.steps,
        "last_step": path.last,
        "position": path.positions_S2[path.last],
        "loss": path.loss[path.last],
        "gradient_norm": path.gradient_norm[path.last],
        "converged_at": converged_at(path),
        "events": [{"kind": event.kind, "step": event.step, "values": dict(event.values)} for event in path.events],
    }


def columns_document(paths: Sequence[Path], points: int) -> dict[str, Any]:
    """Every number of the paths at no more than so many steps, and whether that is all of them."""
    from thalweg.figures.lab.columns import columns_of
    from thalweg.figures.lab.decimation import keep_steps

    kept = keep_steps(paths, limit=points)
    return {
        "step": kept.steps_K,
        "steps_are_all": kept.all,
        "note": kept.note,
        "paths": [columns_of(path, kept.steps_K) for path in paths],
    }


def converged_at(path: Path) -> int | None:
    """The step from which the path stayed at its goal; `None` if it did not."""
    return next((event.step for event in path.events if event.kind == "converged"), None)


def _surface_head(surface: Surface) -> dict[str, Any]:
    return {"name": surface.name, "formula": surface.formula, "window": surface.window, "start": surface.start}


def _parameters(name: str) -> str:
    from thalweg.surfaces.catalogue import CATALOGUE

    return ", ".join(f"{key}={value:g}" for key, value in CATALOGUE[name].parameters.items())


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)

"""`thalweg network`: train a network in the plane, and write one HTML file that plays it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.errors import UnknownNameError, UsageError
from thalweg.i18n import percent, t


_SUFFIXES = (".html",)
_ROWS = 8  # of the table; `--json` has every frame


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("network", help=t("playground.help"))(_network)


def _help(name: str) -> str:
    return t(f"playground.help_{name}")


def _network(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help=_help("out"))] = Path("network.html"),
    points: Annotated[str, typer.Option(metavar="NAME", help=_help("points"))] = "circles",
    noise: Annotated[float, typer.Option(metavar="SD", help=_help("noise"))] = 0.1,
    count: Annotated[int, typer.Option(metavar="N", help=_help("count"))] = 300,
    layers: Annotated[str, typer.Option(metavar="N,...", help=_help("layers"))] = "8,8",
    activation: Annotated[str, typer.Option(metavar="NAME", help=_help("activation"))] = "tanh",
    init: Annotated[str, typer.Option(metavar="NAME", help=_help("init"))] = "torch",
    norm: Annotated[str, typer.Option(metavar="NAME", help=_help("norm"))] = "none",
    loss: Annotated[str, typer.Option(metavar="NAME", help=_help("loss"))] = "cross_entropy",
    optimizer: Annotated[str, typer.Option(metavar="NAME", help=_help("optimizer"))] = "adam",
    learning_rate: Annotated[float | None, typer.Option("--lr", metavar="RATE", help=_help("lr"))] = None,
    schedule: Annotated[str, typer.Option(metavar="SPEC", help=_help("schedule"))] = "constant",
    batch: Annotated[int, typer.Option(metavar="N", help=_help("batch"))] = 32,
    decay: Annotated[float, typer.Option(metavar="X", help=_help("decay"))] = 0.0,
    dropout: Annotated[float, typer.Option(metavar="SHARE", help=_help("dropout"))] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help=_help("seed"))] = 0,
    steps: Annotated[int, typer.Option(metavar="N", help=_help("steps"))] = 600,
    as_json: JsonFlag = False,
) -> None:
    if out.suffix.lower() not in _SUFFIXES:
        raise UsageError("lab.bad_suffix", path=out, known=_SUFFIXES[0])
    from thalweg.playground.settings import SHAPES

    if points not in SHAPES:
        raise UnknownNameError("points", points, SHAPES)
    settings: dict[str, Any] = {
        "points": points,
        "noise": noise,
        "count": count,
        "widths": _widths(layers),
        "activation": activation,
        "init": init,
        "norm": norm,
        "loss": loss,
        "optimizer": optimizer,
        "schedule": schedule,
        "batch": batch,
        "decay": decay,
        "dropout": dropout,
        "seed": seed,
        "total": steps,
    }
    from thalweg.playground.network import RATES
    from thalweg.widgets import film

    rate = RATES.get(optimizer, 0.01) if learning_rate is None else learning_rate
    found = film(steps=steps, **settings, lr=rate)
    found.write(out)
    if as_json:
        numbers = {"step": found.steps, "loss": found.loss, "accuracy": found.accuracy}
        print_json({"settings": found.settings.values(), **numbers, "page": str(out)})
        return
    every = max(1, (len(found.steps) - 1) // _ROWS)
    shown = [*range(0, len(found.steps) - 1, every), len(found.steps) - 1]
    rows = [(int(found.steps[at]), float(found.loss[at]), percent(float(found.accuracy[at]))) for at in shown]
    print_table([t(f"page.{name}") for name in ("curve_step", "network_loss", "network_accuracy")], rows)
    size = f"{out.stat().st_size / 1e6:.1f} MB"
    note(t("playground.film_written", path=out, frames=len(found.steps), steps=steps, size=size))


def _widths(text: str) -> tuple[int, ...]:
    parts = [part for part in text.replace("-", ",").split(",") if part.strip()]
    try:
        widths = tuple(int(part) for part in parts)
    except ValueError:
        raise UsageError("playground.bad_layers", value=text[:80]) from None
    return () if widths == (0,) else widths

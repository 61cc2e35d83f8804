"""`thalweg zoo`: how often the diagnosis names the cause, on runs with a known fault."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.diagnosis.zoo import Outcome


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("zoo", help=t("diagnosis.help_zoo"))(zoo)


def zoo(
    seeds: Annotated[int, typer.Option(min=1, help=t("diagnosis.help_seeds"))] = 5,
    cases: Annotated[str | None, typer.Option(metavar="NAME,NAME", help=t("diagnosis.help_cases"))] = None,
    processes: Annotated[int, typer.Option(min=1, help=t("diagnosis.help_processes"))] = 2,
    listing: Annotated[bool, typer.Option("--list", help=t("diagnosis.help_list"))] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the zoo."""
    from thalweg.diagnosis.zoo import load_all, run_zoo

    table = load_all()
    if listing:
        rows = [[case.name, case.truth[0], len(case.settings([0]))] for case in table.values()]
        heads = ("zoo_case", "zoo_cause", "zoo_settings")
        print_table([t(f"diagnosis.{head}") for head in heads], rows)
        return
    chosen = cases.split(",") if cases else list(table)
    for name in chosen:
        if name not in table:
            raise UsageError("diagnosis.unknown_case", name=name)
    began = time.monotonic()
    outcomes = run_zoo(seeds=range(seeds), cases=chosen, processes=processes, progress=_progress)
    _print(outcomes, time.monotonic() - began, as_json=as_json)


def _progress(done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        note(t("diagnosis.zoo_progress", done=done, total=total))


def _print(outcomes: Sequence[Outcome], seconds: float, *, as_json: bool) -> None:
    from thalweg.diagnosis.zoo import confusion, shares

    figures: dict[str, Any] = {**shares(outcomes), "seconds": seconds}
    counts = confusion(outcomes)
    if as_json:
        wrong = [outcome.to_dict() for outcome in outcomes if not outcome.right]
        print_json({"figures": figures, "confusion": counts, "wrong": wrong})
        return
    rows = []
    for truth, said in counts.items():
        total = sum(said.values())
        others = ", ".join(
            f"{code} {count}" for code, count in sorted(said.items(), key=lambda x: -x[1]) if code != truth
        )
        rows.append([truth, total, f"{said.get(truth, 0) / total:.1%}", others])
    heads = ("zoo_cause", "zoo_trainings", "zoo_first", "zoo_others")
    print_table([t(f"diagnosis.{head}") for head in heads], rows)
    typer.echo(t("diagnosis.zoo_sum", **{**figures, "ill": int(figures["ill"]), "well": int(figures["well"])}))

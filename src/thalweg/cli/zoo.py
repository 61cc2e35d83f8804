"""`thalweg zoo`: how often the diagnosis names the cause, on runs with a known fault."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._output import JsonFlag, print_json, print_table
from thalweg.errors import UsageError
from thalweg.i18n import percent, t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.diagnosis.zoo import Outcome

SECONDS_A_TRAINING = 1.7  # of two processes on two cores; it only announces the time


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("zoo", help=t("diagnosis.help_zoo"))(zoo)


def zoo(
    seeds: Annotated[int, typer.Option(min=1, help=t("diagnosis.help_seeds"))] = 5,
    cases: Annotated[str | None, typer.Option(metavar="NAME,NAME", help=t("diagnosis.help_cases"))] = None,
    families: Annotated[bool, typer.Option("--families", help=t("diagnosis.help_families"))] = False,
    processes: Annotated[int, typer.Option(min=1, help=t("diagnosis.help_processes"))] = 2,
    listing: Annotated[bool, typer.Option("--list", help=t("diagnosis.help_list"))] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the zoo."""
    from thalweg.cli._progress import working
    from thalweg.diagnosis.zoo import load_all, run_zoo

    if families:
        _families(seeds, cases, processes, listing=listing, as_json=as_json)
        return
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
    trainings = seeds * sum(len(table[name].settings([0])) for name in chosen)
    began = time.monotonic()
    with working() as listener:
        if trainings * SECONDS_A_TRAINING > 60:
            listener.note("diagnosis.zoo_begins", total=trainings, minutes=trainings * SECONDS_A_TRAINING / 60)
        outcomes = run_zoo(seeds=range(seeds), cases=chosen, processes=processes, listener=listener)
    _print(outcomes, time.monotonic() - began, as_json=as_json)


def _families(seeds: int, names: str | None, processes: int, *, listing: bool, as_json: bool) -> None:
    """Run program families; `names` are those of families."""
    from thalweg.cli._progress import working
    from thalweg.diagnosis.zoo import run_families, shares
    from thalweg.diagnosis.zoo.families.program import load_families

    table = load_families()
    if listing:
        print_table([t("diagnosis.zoo_family")], [[name] for name in table])
        return
    chosen = names.split(",") if names else list(table)
    for name in chosen:
        if name not in table:
            raise UsageError("diagnosis.unknown_case", name=name)
    began = time.monotonic()
    with working() as listener:
        outcomes = run_families(seeds=range(seeds), families=chosen, processes=processes, listener=listener)
    figures = {"seconds": time.monotonic() - began, **shares(outcomes)}
    parts = {name: shares([one for one in outcomes if one.network == name]) for name in chosen}
    if as_json:
        wrong = [outcome.to_dict() for outcome in outcomes if not outcome.right]
        print_json({"figures": figures, "families": parts, "wrong": wrong})
        return
    rows = [
        [name, int(part["ill"]), percent(part["first"]), percent(part["first_two"]), percent(part["false_alarms"])]
        for name, part in parts.items()
    ]
    heads = ("zoo_family", "zoo_faults", "zoo_first", "zoo_first_two", "zoo_alarms")
    print_table([t(f"diagnosis.{head}") for head in heads], rows)
    typer.echo(t("diagnosis.zoo_sum", **{**figures, "ill": int(figures["ill"]), "well": int(figures["well"])}))


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
        rows.append([truth, total, percent(said.get(truth, 0) / total), others])
    heads = ("zoo_cause", "zoo_trainings", "zoo_first", "zoo_others")
    print_table([t(f"diagnosis.{head}") for head in heads], rows)
    typer.echo(t("diagnosis.zoo_sum", **{**figures, "ill": int(figures["ill"]), "well": int(figures["well"])}))

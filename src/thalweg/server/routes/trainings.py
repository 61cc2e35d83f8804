"""Training runs that are started from the page.

A visitor's form becomes a checked configuration, which becomes an argument list of this program. Every argument is a
field of the configuration; only folders and photos that the page offers are accepted.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UnknownNameError, UsageError
from thalweg.i18n import t
from thalweg.server.processes import typed
from thalweg.server.request import Entry
from thalweg.training.recipes import RECIPES
from thalweg.training.request import command, resolve, typed_options


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.runs import TrainingConfig
    from thalweg.runs.options import Option
    from thalweg.server.request import Form, Service, Visit

BUILTIN: Final = "builtin"

# `classes` and `corrections` may name a file, and folds are several runs
NOT_HERE: Final = frozenset({"classes", "corrections", "fold", "folds"})
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LONGEST: Final = 200  # characters of a text
_LARGEST: Final = 2**63  # of a number


def sources(service: Service) -> list[str]:
    """The photos on which a run may be started: the built-in set, the offered folders, and those of existing runs."""
    used = {row["photos"] for row in service.index.listing() if row["photos"]}
    return list(dict.fromkeys([BUILTIN, *(str(path.resolve()) for path in service.photos), *sorted(used)]))


def asked(service: Service, form: Form) -> tuple[str, TrainingConfig, list[str]]:
    """The run's name, configuration and arguments of `thalweg` from a form.

    Raises:
        UsageError: a field is invalid, or the name is taken.
    """
    name = form.text("name", longest=64)
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError("page.bad_name", name=name)
    out = service.index.root / name
    if out.exists() or service.trainings.is_going(name):  # the folder appears seconds after the start
        raise UsageError("page.name_taken", name=name)
    photos = form.text("photos")
    if photos not in sources(service):
        raise UnknownNameError("photos", photos, sources(service))
    chosen = form.choice("recipe", "recipe", RECIPES, default="standard")
    overrides = overrides_of(form.values.get("options", {}))
    return name, resolve(chosen, overrides), command(photos, chosen, overrides, str(out))


def overrides_of(values: Any) -> dict[str, Any]:
    """Options from JSON, without the empty ones; `resolve` checks them further.

    Raises:
        UsageError: the page does not offer the option, or the value is not a number, flag or printable text.

    Example:
        >>> overrides_of({"epochs": 3, "lr": 0.01, "model": ""})
        {'epochs': 3, 'lr': 0.01}
    """
    if not isinstance(values, dict):
        raise UsageError("page.bad_field", name="options", value=str(values)[:80])
    known = offered()
    found = {}
    for name, value in values.items():
        if name not in known:
            raise UnknownNameError("option", str(name)[:80], known)
        if value is None or value == "":
            continue
        is_text = isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()
        if not is_text and not (isinstance(value, int | float) and abs(value) < _LARGEST):
            raise UsageError("page.bad_field", name=name, value=str(value)[:80])
        found[name] = value
    return found


def offered() -> dict[str, Option]:
    """The options that the page offers: all with a flag, except those for the terminal."""
    return {name: option for name, option in typed_options().items() if name not in NOT_HERE}


def form_facts(photos: Sequence[str]) -> dict[str, Any]:
    """The contents of the form: photos, recipes, and each option with its kind, label and flag."""
    return {
        "photos": list(photos),
        "recipes": list(RECIPES),
        "fields": [
            {
                "name": name,
                "label": t(f"page.field_{name}"),
                "option": option.flag,
                "kind": "sizes" if name == "size" else option.kind,  # `64>96>128` sets two fields
                "choices": list(option.choices) or None,
                "help": t(f"training.option_{name}"),
            }
            for name, option in offered().items()
        ],
    }


def _command(visit: Visit) -> dict[str, Any]:
    _, config, arguments = asked(visit.service, visit.form)
    return {"command": typed(arguments), "config": config.to_dict()}


async def _start(visit: Visit) -> dict[str, Any]:
    name, _, arguments = await asyncio.to_thread(asked, visit.service, visit.form)
    started = await visit.service.trainings.start(name, arguments)
    return {"run": started.run, "command": started.command}


async def _resume(visit: Visit) -> dict[str, Any]:
    name = visit.form.text("run")
    path = visit.service.index.path(name)
    name = path.relative_to(visit.service.index.root).as_posix()  # one run has one name, however it was written
    if visit.service.index.is_training(path) or visit.service.trainings.is_going(name):
        raise UsageError("page.is_training", name=name)
    started = await visit.service.trainings.start(name, ["train", f"--resume={path}"])
    return {"run": started.run, "command": started.command}


def _stop(visit: Visit) -> dict[str, Any]:
    name = visit.form.text("run")
    visit.service.trainings.stop(name)
    return {"run": name}


ROUTES: Final = (
    Entry("GET", "trainings/form", lambda visit: form_facts(sources(visit.service))),
    Entry("POST", "trainings", _start),
    Entry("POST", "trainings/command", _command),
    Entry("POST", "trainings/resume", _resume),
    Entry("POST", "trainings/stop", _stop),
)

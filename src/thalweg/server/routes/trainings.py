"""Training runs that are started from the page.

What a visitor sends becomes a checked configuration, and that an argument list of this program: every argument is a
field of the configuration, and a run's folder or photos are only those that the page offers.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin, get_type_hints

from thalweg import schedules
from thalweg.errors import UnknownNameError, UsageError
from thalweg.i18n import t
from thalweg.server.processes import typed
from thalweg.server.request import Entry
from thalweg.training.config import TrainingConfig, option_name
from thalweg.training.recipes import RECIPES, recipe


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thalweg.server.request import Form, Service, Visit

BUILTIN: Final = "builtin"

# For the terminal only: `classes` may name a file to read, folds are many runs, and sizes are several numbers.
NOT_HERE: Final = frozenset({"classes", "fold", "folds", "smaller_sizes"})
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_RENAMED: Final = {  # fields whose words in the catalogue have their coming names
    "clip": "clip_grad_norm",
    "fit": "resize",
    "keep_epochs": "save_every_epoch",
    "select": "keep",
}


def sources(service: Service) -> list[str]:
    """The photos that a run may be started on: the built-in set, the offered folders, and those of existing runs."""
    used = {row["photos"] for row in service.index.listing() if row["photos"]}
    return list(dict.fromkeys([BUILTIN, *(str(path.resolve()) for path in service.photos), *sorted(used)]))


def asked(service: Service, form: Form) -> tuple[str, TrainingConfig, list[str]]:
    """What a form asks for: the run's name, its configuration, and the arguments of `thalweg`.

    Raises:
        UsageError: a field is invalid, or the name is taken.
    """
    name = form.text("name", longest=64)
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError("page.bad_name", name=name)
    out = service.index.root / name
    if out.exists() or service.trainings.is_going(name):  # the folder is made seconds after the start
        raise UsageError("page.name_taken", name=name)
    photos = form.text("photos")
    if photos not in sources(service):
        raise UnknownNameError("photos", photos, sources(service))
    chosen = form.choice("recipe", "recipe", RECIPES, default="standard")
    overrides = overrides_of(form.values.get("options", {}))
    return name, resolve(chosen, overrides), command(photos, chosen, overrides, out)


def resolve(name: str, overrides: dict[str, Any]) -> TrainingConfig:
    """The configuration that `thalweg train` uses: a recipe with some fields changed.

    Another optimizer brings its own usual learning rate, and a budget takes the place of the epochs.

    Raises:
        UsageError: a field is invalid.
    """
    chosen = dict(overrides)
    config = recipe(name)
    if "model" in chosen:
        chosen["smaller_sizes"] = ()
    if "budget" in chosen:
        chosen.setdefault("epochs", None)
    if chosen.get("optimizer", config.optimizer) != config.optimizer and "lr" not in chosen:
        from thalweg.training.optimizers import usual_rate

        chosen["lr"] = usual_rate(chosen["optimizer"])
    config = replace(config, **chosen)
    schedules.parse(config.schedule)
    return config


def command(photos: str, name: str, overrides: dict[str, Any], out: Path) -> list[str]:
    """The arguments of `thalweg` that train so."""
    flags = [_flag(field, value) for field, value in overrides.items()]
    return ["train", f"--recipe={name}", f"--out={out}", *flags, "--", photos]


def overrides_of(values: Any) -> dict[str, Any]:
    """Fields of the configuration from JSON, without the empty ones.

    Raises:
        UsageError: there is no such field, or a value is of another kind.

    Example:
        >>> overrides_of({"epochs": 3, "lr": 0.01, "model": ""})
        {'epochs': 3, 'lr': 0.01}
    """
    if not isinstance(values, dict):
        raise UsageError("page.bad_field", name="options", value=str(values)[:80])
    kinds = _kinds()
    found = {}
    for name, value in values.items():
        if name not in kinds:
            raise UnknownNameError("option", str(name)[:80], kinds)
        if value is not None and value != "":
            found[name] = _checked(name, value, kinds[name])
    return found


def form_facts(photos: Sequence[str]) -> dict[str, Any]:
    """What the form offers: photos, recipes, and each field with its kind, its words and its flag."""
    hints = get_type_hints(TrainingConfig)
    return {
        "photos": list(photos),
        "recipes": {name: config.to_dict() for name, config in RECIPES.items()},
        "fields": [
            {
                "name": name,
                "label": t(f"page.field_{_RENAMED.get(name, name)}"),
                "option": option_name(name),
                "kind": {bool: "flag", int: "whole", float: "number", str: "text"}[kind],
                "choices": list(get_args(hints[name])) if get_origin(hints[name]) is Literal else None,
                "help": t(f"training.option_{name}"),
            }
            for name, kind in _kinds().items()
        ],
    }


def _kinds() -> dict[str, type]:
    """The type of each field that the page offers."""
    hints = get_type_hints(TrainingConfig)
    return {one.name: _kind(hints[one.name]) for one in fields(TrainingConfig) if one.name not in NOT_HERE}


def _kind(hint: Any) -> type:
    if isinstance(hint, type):
        return hint
    if get_origin(hint) is Literal:
        return str
    return next(part for part in get_args(hint) if part is not type(None))


def _checked(name: str, value: Any, kind: type) -> Any:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    right = {
        bool: isinstance(value, bool),
        int: whole and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        str: isinstance(value, str) and len(value) <= 200 and value.isprintable(),
    }[kind]
    if not right:
        raise UsageError("page.bad_field", name=name, value=str(value)[:80])
    try:
        return kind(value)
    except OverflowError:
        raise UsageError("page.bad_field", name=name, value=str(value)[:80]) from None


def _flag(name: str, value: Any) -> str:
    """One argument that holds name and value, so that no value is read as another option."""
    option = option_name(name)
    if isinstance(value, bool):
        return option if value else f"--no-{option.removeprefix('--')}"
    return f"{option}={value:f}" if name == "budget" else f"{option}={value}"


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

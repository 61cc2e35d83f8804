"""Trainings that are started from the page: processes of their own, which a closed page does not stop.

What a visitor sends becomes a checked configuration, and that an argument list of this very program: no shell reads it,
and there is no argument that is not a field of the configuration.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
from collections import deque
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin, get_type_hints

from thalweg import schedules
from thalweg.errors import RunError, UnknownNameError, UsageError
from thalweg.i18n import t
from thalweg.server.processes import launch
from thalweg.training.config import TrainingConfig, option_name
from thalweg.training.recipes import RECIPES, recipe


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thalweg.server.asking import Form
    from thalweg.server.folder import Folder

BUILTIN: Final = "builtin"

# What only somebody at the machine may say: files that are read, and what the machine is asked to do.
# Folds are runs below a folder, and sizes to grow through are several numbers: both are for the terminal.
_NOT_HERE: Final = frozenset({"classes", "fold", "folds", "smaller_sizes"})
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LINES: Final = 12
_PATIENCE: Final = 30.0  # seconds in which a training saves itself when the server ends


@dataclass(slots=True)
class Started:
    """One training of this server.

    Attributes:
        run: its name.
        command: as it is typed in a terminal.
        process: the process.
        lines: the last that it said.
    """

    run: str
    command: str
    process: asyncio.subprocess.Process
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None


class Trainings:
    """Start, stop and resume.

    Args:
        folder: where runs go.
        photos: folders that a training may be started on, besides `builtin` and those of the runs that are there.
    """

    def __init__(self, folder: Folder, photos: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._photos = [str(path.resolve()) for path in photos]
        self._started: dict[str, Started] = {}
        self._launching: set[str] = set()
        self._readers: set[asyncio.Task[None]] = set()

    def sources(self) -> list[str]:
        """What a training may be started on."""
        used = {row["photos"] for row in self._folder.listing() if row["photos"]}
        return list(dict.fromkeys([BUILTIN, *self._photos, *sorted(used)]))

    def listing(self) -> list[dict[str, Any]]:
        """The trainings that were started here, the last first."""
        return [
            {
                "run": one.run,
                "command": one.command,
                "goes_on": one.goes_on,
                "exit_code": one.process.returncode,
                "lines": list(one.lines),
            }
            for one in reversed(self._started.values())
        ]

    async def start(self, form: Form) -> Started:
        """Start a training.

        Raises:
            UsageError: what is asked for cannot be meant, or the name is taken.
        """
        name, arguments = self.arguments(form)
        return await self._launch(name, arguments)

    def command(self, form: Form) -> str:
        """What a form would start, as it is typed in a terminal.

        Raises:
            UsageError: see `arguments`.
        """
        return typed(self.arguments(form)[1])

    def arguments(self, form: Form) -> tuple[str, list[str]]:
        """The run's name, and what `thalweg` is called with.

        Raises:
            UsageError: what is asked for cannot be meant, or the name is taken.
        """
        name = form.text("name", longest=64)
        if not _NAME.fullmatch(name) or name.endswith("."):
            raise UsageError("page.bad_name", name=name)
        out = self._folder.root / name
        if out.exists() or self._is_going(name):  # the folder is made seconds after the start
            raise UsageError("page.name_taken", name=name)
        photos = form.text("photos")
        if photos not in self.sources():
            raise UnknownNameError("photos", photos, self.sources())
        chosen = form.choice("recipe", "recipe", RECIPES, default="standard")
        overrides = overrides_of(form.values.get("options", {}))
        configured(chosen, overrides)
        flags = [_flag(field_, value) for field_, value in overrides.items()]
        return name, ["train", f"--recipe={chosen}", f"--out={out}", *flags, "--", photos]

    async def resume(self, name: str) -> Started:
        """Go on with a run from its last checkpoint.

        Raises:
            RunError: no such run.
            UsageError: it is training.
        """
        path = self._folder.path(name)
        if self._folder.is_training(path) or self._is_going(name):
            raise UsageError("page.is_training", name=name)
        return await self._launch(name, ["train", f"--resume={path}"])

    def stop(self, name: str) -> None:
        """Ask a training to save itself and to stop, as Ctrl-C does.

        Raises:
            RunError: it is not one of this server's.
        """
        one = self._started.get(name)
        if one is None or not one.goes_on:
            raise RunError("page.not_ours", name=name[:200])
        one.process.send_signal(signal.SIGINT)

    async def end(self) -> None:
        """Stop all, and wait until they have saved themselves; those that do not are killed."""
        going = [one for one in self._started.values() if one.goes_on]
        for one in going:
            one.process.send_signal(signal.SIGINT)
        for one in going:
            try:
                await asyncio.wait_for(one.process.wait(), _PATIENCE)
            except TimeoutError:
                one.process.kill()
                await one.process.wait()
        for reader in list(self._readers):
            reader.cancel()

    def _is_going(self, name: str) -> bool:
        """Whether a training of this server is under way, or about to be."""
        return name in self._launching or (name in self._started and self._started[name].goes_on)

    async def _launch(self, name: str, arguments: list[str]) -> Started:
        self._launching.add(name)
        try:
            process = await launch("-m", "thalweg", *arguments, stderr=asyncio.subprocess.STDOUT)
        finally:
            self._launching.discard(name)
        one = Started(name, typed(arguments), process)
        self._started.pop(name, None)
        self._started[name] = one
        reader = asyncio.create_task(_read(one))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return one


def typed(arguments: Sequence[str]) -> str:
    """A command as it is typed in a terminal.

    Example:
        >>> typed(["train", "--lr=0.01", "--", "my photos"])
        "thalweg train --lr=0.01 -- 'my photos'"
    """
    return shlex.join(["thalweg", *arguments])


def configured(name: str, overrides: dict[str, Any]) -> TrainingConfig:
    """A recipe with some fields changed, all of it checked.

    Raises:
        UsageError: it cannot be meant.
    """
    if "budget" in overrides:
        overrides = {"epochs": None, **overrides}
    config = replace(recipe(name), **overrides)
    schedules.parse(config.schedule)
    return config


def overrides_of(values: Any) -> dict[str, Any]:
    """Fields of the configuration from what JSON gave; those left empty are left out.

    Raises:
        UsageError: no such field, or a value of another kind.

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


def form_facts(sources: Sequence[str]) -> dict[str, Any]:
    """What the page's form offers: the fields, their kinds, their words and what a recipe sets them to."""
    hints = get_type_hints(TrainingConfig)
    return {
        "photos": list(sources),
        "recipes": {name: config.to_dict() for name, config in RECIPES.items()},
        "fields": [
            {
                "name": name,
                "option": option_name(name),
                "kind": {bool: "flag", int: "whole", float: "number", str: "text"}[kind],
                "choices": list(get_args(hints[name])) if get_origin(hints[name]) is Literal else None,
                "help": t(f"training.option_{name}"),
            }
            for name, kind in _kinds().items()
        ],
    }


def _kinds() -> dict[str, type]:
    """Field to what its value is."""
    hints = get_type_hints(TrainingConfig)
    return {one.name: _kind(hints[one.name]) for one in fields(TrainingConfig) if one.name not in _NOT_HERE}


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


async def _read(one: Started) -> None:
    assert one.process.stdout is not None  # noqa: S101 - for the type checker
    while line := await _line(one.process.stdout):
        text = line.decode("utf-8", "replace").split("\r")[-1].strip()
        if text:
            one.lines.append(text[:500])
    await one.process.wait()


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # longer than the stream's limit: what there is of it was dropped
        return b"\n"

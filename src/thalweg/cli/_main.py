"""From `sys.argv` to an exit code."""

from __future__ import annotations

import sys

from thalweg._spinning import bound_spinning
from thalweg.cli._streams import speak_any_encoding
from thalweg.distributed.joining import speaks
from thalweg.distributed.launching import concluded
from thalweg.errors import (
    EndedElsewhereError,
    NotMetError,
    ProcessLostError,
    ThalwegError,
    UnknownNameError,
    UsageError,
)
from thalweg.i18n import LANGUAGES, set_language, shown


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    arguments = sys.argv[1:]
    bound_spinning()
    speak_any_encoding()
    try:
        set_language(_language(arguments))
        sys.exit(concluded(_run(arguments)))
    except ProcessLostError as error:  # torchrun may start this process again
        _report(error, as_json="--json" in arguments)
        sys.exit(error.exit_code)
    except EndedElsewhereError as error:
        sys.exit(concluded(error.exit_code, spoke=False))
    except ThalwegError as error:
        says = speaks() or isinstance(error, NotMetError)
        if says:
            _report(error, as_json="--json" in arguments)
        sys.exit(concluded(error.exit_code, spoke=says))


def _run(arguments: list[str]) -> int:
    """Set the language, run a command line and return its exit code."""
    from thalweg.cli._app import build_app
    from thalweg.cli._help import WrongUse, wrong_use
    from thalweg.cli._output import note

    try:
        code = build_app()(args=arguments, prog_name="thalweg", standalone_mode=False)
    except WrongUse as error:
        if speaks():
            note(shown(wrong_use(error), lines=True))
        return UsageError.exit_code
    return code or 0


def _language(arguments: list[str]) -> str | None:
    """Return the value of `--lang`, which is needed before the help texts are built."""
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--lang":
            value = value or next(iter(arguments[position + 1 :]), "")
            if value not in LANGUAGES:
                raise UnknownNameError("language", value, LANGUAGES)
            return value
    return None


def _report(error: ThalwegError, *, as_json: bool) -> None:
    from thalweg.cli._output import note, print_json

    if as_json:
        print_json({"error": {"code": error.key, "message": str(error)}}, indent=None)
    else:
        note(f"thalweg: {error}")

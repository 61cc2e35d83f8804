"""From `sys.argv` to an exit code."""

from __future__ import annotations

import json
import sys

from thalweg._spinning import bound_spinning
from thalweg.errors import ThalwegError, UnknownNameError, UsageError
from thalweg.i18n import LANGUAGES, set_language


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    arguments = sys.argv[1:]
    bound_spinning()
    try:
        set_language(_language(arguments))
        sys.exit(_run(arguments))
    except ThalwegError as error:
        _report(error, as_json="--json" in arguments)
        sys.exit(error.exit_code)


def _run(arguments: list[str]) -> int:
    """Set the language, run a command line and return its exit code."""
    from thalweg.cli._app import build_app
    from thalweg.cli._help import WrongUse, wrong_use

    try:
        code = build_app()(args=arguments, prog_name="thalweg", standalone_mode=False)
    except WrongUse as error:
        print(wrong_use(error), file=sys.stderr)  # noqa: T201 - the command line speaks
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
    if as_json:
        print(json.dumps({"error": {"code": error.key, "message": str(error)}}, ensure_ascii=False))  # noqa: T201
    else:
        print(f"thalweg: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks

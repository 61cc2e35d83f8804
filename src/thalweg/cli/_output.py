"""The output of commands: a table for people, or `--json` for programs."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.i18n import shown, t


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PADDING = 2  # spaces between two columns
_CHINESE = re.compile("[\u3000-\u9fff\uff00-\uffef]")
JsonFlag = Annotated[bool, typer.Option("--json", help=t("cli.json"))]


_HAZARDS_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # json escapes the lower ones


def print_json(payload: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document; NaN and infinities become null."""
    text = json.dumps(_finite(payload), ensure_ascii=False, indent=indent)
    if _fits(text):
        text = _HAZARDS_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    else:
        text = json.dumps(_finite(payload), indent=indent)
    print(text)  # noqa: T201 - this is the output


def print_data(text: str) -> None:
    """Print a text for other programs as it is, but without control characters if a person reads it on a terminal."""
    print(shown(text, lines=True) if sys.stdout.isatty() else text, end="")  # noqa: T201 - this is the output


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table; columns of numbers are right-aligned. Where words would break, each row becomes a few lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    texts = [[_cell(value) for value in row] for row in rows]
    console = Console()
    if title:
        console.print(shown(title), style="italic", markup=False, highlight=False, soft_wrap=True)
    if _least_width(columns, texts) > console.width:
        for line in _as_lines(columns, texts, console.width):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[position], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in texts:
        table.add_row(*(Text(text) for text in row))
    console.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The width below which a table breaks a word; Chinese may break anywhere."""

    def longest(text: str) -> int:
        words = _CHINESE.sub(" ", text).split()
        return max(map(len, words), default=2)

    widths = [max(longest(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    return sum(widths) + _PADDING * len(columns)


def _as_lines(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> Iterator[str]:
    """Each row as its first cell, and below it the others with their columns' names."""
    from rich.cells import cell_len

    for first, *others in rows:
        yield f"  {first}"
        line = ""
        for column, text in zip(columns[1:], others, strict=True):
            pair = f"{column} {text}"
            if line and cell_len(line) + cell_len(pair) + 3 > width:
                yield line
                line = ""
            line = f"{line} · {pair}" if line else f"    {pair}"
        if line:
            yield line


def note(message: str) -> None:
    """Print a message on stderr, separate from the results."""
    print(message, file=sys.stderr)  # noqa: T201 - the command line speaks


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return shown(value, lines=True)


def _fits(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return None
    return value

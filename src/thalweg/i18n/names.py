"""Values in sentences: names that a terminal would take for commands, and paths in commands to type.

A file may be named anything: a control character could color or clear a terminal, a mark of direction could turn the
text around, and a line break could begin a line of its own. They are shown as escapes, in every sentence.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import PurePath
from string import Formatter
from typing import TYPE_CHECKING, Any, Final


if TYPE_CHECKING:
    from collections.abc import Mapping


# C0 and C1 controls, separators of lines and paragraphs, what reverses the direction of text, and lone surrogates
_HAZARDS: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_HAZARDS_AND_BREAKS: Final = re.compile(f"{_HAZARDS.pattern}|\n")
# Placeholders for names. Others may hold whole sentences, which have lines.
_NAMES: Final = frozenset(
    [
        *("path", "paths", "name", "names", "photo", "photos", "example", "first", "second", "found", "known"),
        *("root", "run", "folder", "file", "table", "line", "out"),
    ]
)
_QUOTED: Final = "!q}"
_SPLITS_ON_WINDOWS: Final = re.compile(r"[\s&|<>^(){}%!,;'`$@#]")


def shown(name: object, *, lines: bool = False) -> str:
    r"""A name as it can be shown anywhere: control characters and marks of direction become escapes.

    Args:
        name: of a file, a class or anything else; a text, or what has one.
        lines: keep line breaks.

    Example:
        >>> print(shown("\x1b[31mcat\n"), shown("米饭"))
        \x1b[31mcat\n 米饭
    """
    return (_HAZARDS if lines else _HAZARDS_AND_BREAKS).sub(_escape, str(name))


def quoted(path: object) -> str:
    """A path as it is typed in a command.

    Example:
        >>> quoted("my photos"), quoted("-v"), quoted("runs/pets")
        ("'my photos'", './-v', 'runs/pets')
    """
    text = str(path)
    return word(f"./{text}" if text.startswith("-") else text)


def word(text: str, *, windows: bool = os.name == "nt") -> str:
    r"""A text as one word of a command.

    Args:
        text: the word.
        windows: for `cmd` and PowerShell, which know double quotes both; else for `sh`.

    Example:
        >>> word("my photos", windows=False), word(r"C:\my photos", windows=True), word(r"C:\food", windows=True)
        ("'my photos'", '"C:\\my photos"', 'C:\\food')
    """
    if not windows:
        return shlex.quote(text)
    return f'"{text}"' if not text or _SPLITS_ON_WINDOWS.search(text) else text


def filled(template: str, values: Mapping[str, Any]) -> str:
    r"""A sentence with its values, as `str.format` fills it; names are shown as `shown` does, `!q` quotes a path.

    Example:
        >>> print(filled("{path}: see thalweg predict {path!q}", {"path": "a\tb"}))
        a\tb: see thalweg predict 'a\tb'
    """
    if _QUOTED not in template:
        text = template.format_map(values)
        if not (_HAZARDS.search(text) or any(map(_has_break, values.values()))):
            return text
    return "".join(_filled(template, values))


def _filled(template: str, values: Mapping[str, Any]) -> Any:
    formatter = Formatter()
    for literal, field, specification, conversion in formatter.parse(template):
        yield literal
        if field is None:
            continue
        value, name = formatter.get_field(field, (), values)
        text = quoted(value) if conversion == "q" else None
        if text is None:
            text = formatter.format_field(formatter.convert_field(value, conversion), specification or "")
        yield shown(text, lines=not (isinstance(value, PurePath) or name in _NAMES))


def _has_break(value: object) -> bool:
    return isinstance(value, str | PurePath) and "\n" in str(value)


def _escape(match: re.Match[str]) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return short.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

"""Standard output and errors in any encoding: a file in cp1252, a terminal that knows ASCII only."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from io import TextIOWrapper


# Signs of ours that an encoding may lack, in ASCII.
_PLAIN = str.maketrans("≈×−–—·│“”‘’，。：；（）、━─╸╺", "~x---.|\"\"''" + ",.:;(),----", "") | str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "…": "...",
        "√": "sqrt",
        "✓": "[x]",
        "∇": "grad ",
        "‖": "||",
        "∞": "inf",
    }
    | {"★": "*", "✕": "x", "═": "=", "⊙": "*", "\u0302": "^"}
)
_GREEK = "GREEK SMALL LETTER ", "GREEK CAPITAL LETTER "
_PLAIN_ERRORS = "thalweg-plain"


def speak_any_encoding() -> None:
    """Let standard output and errors take any text: a sign that their encoding lacks is printed in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_PLAIN_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - for the type checker
    plain = "".join(map(_spelled, error.object[error.start : error.end].translate(_PLAIN)))
    return plain.encode("ascii", "backslashreplace").decode(), error.end


def _spelled(sign: str) -> str:
    """η as its name, ₁ as 1; a sign without a spelling stays."""
    name = unicodedata.name(sign, "")
    if name.startswith(_GREEK):
        return name.removeprefix(_GREEK[0]).removeprefix(_GREEK[1]).partition(" ")[0].lower()
    return same if (same := unicodedata.normalize("NFKC", sign)).isascii() else sign


codecs.register_error(_PLAIN_ERRORS, _plain)

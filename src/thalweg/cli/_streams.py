"""Standard output and errors in any encoding: a file in cp1252, a terminal that knows ASCII only."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper


# Signs of ours that an encoding may lack, in ASCII.
_PLAIN = str.maketrans("≈×−–—·│“”‘’，。：；（）、━─╸╺", "~x---.|\"\"''" + ",.:;(),----", "") | str.maketrans(
    {"→": "->", "≤": "<=", "≥": ">=", "…": "..."}
)
_PLAIN_ERRORS = "thalweg-plain"


def speak_any_encoding() -> None:
    """Let standard output and errors take any text: a sign that their encoding lacks is printed in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_PLAIN_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - for the type checker
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error(_PLAIN_ERRORS, _plain)

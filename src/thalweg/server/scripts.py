"""The page's scripts: which there are, and how they are sent.

A module is sent without its comments, blank lines and indentation, a fifth of its bytes, which no browser needs, and
a style sheet likewise.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response


if TYPE_CHECKING:
    from starlette.requests import Request

STATIC: Final = Path(__file__).parent / "static"
PLAYER: Final = Path(__file__).parents[1] / "figures" / "player" / "page"

_MEDIA: Final = {"js": "text/javascript", "css": "text/css"}
_HOMES: Final = {"static": STATIC, "player": PLAYER}
_IMPORT: Final = re.compile(r'from "(\.\.?/[\w/]+\.js)";')
_NAME: Final = re.compile(r"[\w-]{1,80}")
_WORD: Final = re.compile(r'"(\w+)"')
_BEGINNING: Final = re.compile(r"`(\w+)\$\{")
_COMMENT: Final = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/)[\s\S])*\*/[ \t]*)$", re.MULTILINE)
_SPACE: Final = re.compile(r"\n\s+")
# a comment behind code; one with a quotation mark may be part of a text, and stays
_REMARK: Final = re.compile(r"""(?<=\S)[ \t]+//[ \t][^\n"'`]*$""", re.MULTILINE)
# space around signs, in lines where none can be part of a pattern or of a text but those in double quotes
_PLAIN: Final = re.compile(r"""^(?:[^"'`/\\\n]|"[^"'`/\\\n]*")*$""", re.MULTILINE)
_TEXT: Final = re.compile(r'("[^"]*")')
_SIGN: Final = re.compile(r" ?(=>|[=!]==|&&|\|\||[=?:,{}()<>*]) ?")
_NOTE: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_COLON: Final = re.compile(r":\s+")
_AROUND: Final = re.compile(r"\s*([{};,>])\s*")


async def script(request: Request) -> Response:
    """A module of the page, or a style sheet.

    Raises:
        HTTPException: there is no such file.
    """
    name, ending = request.path_params["name"], request.url.path.rpartition(".")[2]
    if not _NAME.fullmatch(name):
        raise HTTPException(404)
    path = f"{request.url.path.split('/')[1]}/{name}.{ending}"
    if not file_of(path).is_file():
        raise HTTPException(404)
    content, etag = _sent(path, file_of(path).stat().st_mtime_ns)
    headers = {"etag": etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_MEDIA[ending], headers=headers)


def slim(source: str) -> str:
    r"""A module without comments and indentation, and without the space and line ends around most signs.

    Example:
        >>> slim("// why\nconst f = () => {\n  return 1; // so\n};\n")
        'const f=()=>{return 1;};\n'
    """
    bare = _SPACE.sub("\n", _REMARK.sub("", _COMMENT.sub("", source))).strip()
    bare = _PLAIN.sub(lambda line: _tight(line.group()), bare)
    joined = [""]
    for line in bare.split("\n"):
        if joined[-1].endswith(("{", ",", ";")) and "//" not in joined[-1]:
            joined[-1] += line
        else:
            joined.append(line)
    return "\n".join(joined[1:]) + "\n"


def _tight(line: str) -> str:
    """A line without the space around signs; texts in double quotes stay as they are."""
    parts = _TEXT.split(line)
    return "".join(part if part.startswith('"') else _SIGN.sub(r"\1", part) for part in parts)


def slim_style(source: str) -> str:
    """A style sheet without comments and the space that no browser needs.

    Example:
        >>> slim_style("/* ink */ a > b { color: red; }")
        'a>b{color:red}'
    """
    return _COLON.sub(":", _AROUND.sub(r"\1", _NOTE.sub("", source))).replace(";}", "}").strip()


def modules() -> list[str]:
    """All modules that the page's script imports, so that the browser loads them in parallel."""
    found: dict[str, None] = {}
    waiting = ["static/main.js"]
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        found[path] = None
        source = file_of(path).read_text(encoding="utf-8")
        for imported in _IMPORT.findall(source):
            base = path.split("/")[0]
            name = imported.rsplit("/", 1)[-1]
            waiting.append(f"{'player' if '/player/' in imported else base}/{name}")
    return list(found)


def file_of(path: str) -> Path:
    """The file of an address below `static` or `player`."""
    home, _, rest = path.partition("/")
    return _HOMES[home] / rest


@cache
def named() -> tuple[frozenset[str], tuple[str, ...]]:
    """The words that the page's own scripts hold as texts, and the beginnings of those that they put together."""
    return named_in("\n".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")))


def named_in(sources: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The same, of some scripts."""
    return frozenset(_WORD.findall(sources)), tuple(sorted(set(_BEGINNING.findall(sources))))


@cache
def _sent(path: str, _changed: int) -> tuple[bytes, str]:
    made = slim_style if path.endswith(".css") else slim
    content = made(file_of(path).read_text(encoding="utf-8")).encode()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'

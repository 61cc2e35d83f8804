"""The page itself, with its texts from the catalogue."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, Response

from thalweg.figures.player.document import transport
from thalweg.i18n import LANGUAGES, get_language, t
from thalweg.server.scripts import STATIC, modules, named


if TYPE_CHECKING:
    from starlette.requests import Request

_INDENT: Final = re.compile(r"\n\s+")
_SLOT: Final = re.compile(r"\{\{(\w+)\.?(\w*)\}\}")


async def index(_request: Request) -> Response:
    """The page in the visitor's language."""
    return HTMLResponse(page_in(get_language()))


@cache
def page_in(language: str) -> str:
    """The page's HTML in a language, which must be the current one."""
    own = {
        "lang": language,
        "other": next(other for other in LANGUAGES if other != language),
        "texts": _embedded(language),
        "lab_transport": transport(),
        "losses_transport": transport("losses-"),
        "network_transport": transport("network-"),
        "preload": "".join(f'<link rel="modulepreload" href="/{path}">' for path in modules()),
    }
    template = _INDENT.sub("\n", (STATIC / "index.html").read_text(encoding="utf-8"))
    return _SLOT.sub(lambda slot: own[slot[1]] if not slot[2] else html.escape(t(f"{slot[1]}.{slot[2]}")), template)


def _embedded(language: str) -> str:
    """The sentences that the script uses, as JSON that cannot close its HTML element."""
    path = Path(__file__).parents[1] / "i18n" / language / "page.json"
    sentences = json.loads(path.read_text(encoding="utf-8"))
    words, beginnings = named()
    spoken = {name: text for name, text in sentences.items() if name in words or name.startswith(beginnings)}
    return json.dumps(spoken, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")

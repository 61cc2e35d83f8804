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
from thalweg.server.scripts import STATIC, modules, named, named_in


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
    return _filled(_template(), language)


def tab_in(language: str, tab: str) -> str:
    """The HTML of one tab, shown, in a language, which must be the current one."""
    beginning = f'<section id="tab-{tab}"'
    attributes, _, inside = _template().partition(beginning)[2].partition('<section id="tab-')[0].partition(">")
    content = inside.rpartition("</section>")[0]
    return _filled(f"{beginning}{attributes.removesuffix(' hidden')}>{content}</section>", language)


def texts_in(language: str, script: str | None = None) -> str:
    """The sentences that a script uses, as JSON that cannot close its HTML element.

    Args:
        language: of the sentences.
        script: the script; None: all of the page's.
    """
    path = Path(__file__).parents[1] / "i18n" / language / "page.json"
    sentences = json.loads(path.read_text(encoding="utf-8"))
    words, beginnings = named() if script is None else named_in(script)
    spoken = {name: text for name, text in sentences.items() if name in words or name.startswith(beginnings)}
    return json.dumps(spoken, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _template() -> str:
    return _INDENT.sub("\n", (STATIC / "index.html").read_text(encoding="utf-8"))


def _filled(template: str, language: str) -> str:
    own = {
        "lang": language,
        "other": next(other for other in LANGUAGES if other != language),
        "texts": texts_in(language),
        "lab_transport": transport(),
        "losses_transport": transport("losses-"),
        "network_transport": transport("network-"),
        "preload": "".join(f'<link rel="modulepreload" href="/{path}">' for path in modules()),
    }
    return _SLOT.sub(lambda slot: own[slot[1]] if not slot[2] else html.escape(t(f"{slot[1]}.{slot[2]}")), template)

"""One tab of the page as a document that needs no server: everything stands inside, and nothing is ever fetched."""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from thalweg.figures.player.document import bundle, embed_json, head
from thalweg.i18n import get_language, t
from thalweg.server.index import tab_in, texts_in
from thalweg.server.scripts import PLAYER, STATIC, slim, slim_style


if TYPE_CHECKING:
    from collections.abc import Mapping

    Tab = Literal["lab", "network"]

PAGE: Final = Path(__file__).parent / "page"

_HOMES: Final = {"player": PLAYER, "static": STATIC, "widgets": PAGE}
_SLOT: Final = re.compile(r"\{\{(\w+)\}\}")


def document_of(tab: Tab, title: str, packed: Mapping[str, Any] | None = None) -> str:
    """The document in the language in force.

    Args:
        tab: the tab that is shown.
        title: of the document; escaped here.
        packed: what the tab plays; None: it waits for a notebook's port.
    """
    language = get_language()
    style, script = _style(), _script(tab)
    data = "" if packed is None else f'<script type="application/json" id="packed">{embed_json(packed)}</script>'
    slots = {
        "lang": language,
        "head": head(title, style, script),
        "told": "" if packed is None else f'<p class="formula">{html.escape(title)}</p>',
        "kind": "" if packed is None else "fixed",
        "theme": html.escape(t("lab.page_theme")),
        "tab": tab_in(language, tab),
        "texts": texts_in(language, script),
        "packed": data,
        "script": script,
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], (PAGE / "alone.html").read_text(encoding="utf-8"))


@cache
def cell() -> str:
    """The script of a notebook's cell."""
    return (PAGE / "cell.js").read_text(encoding="utf-8")


@cache
def _script(tab: Tab) -> str:
    return slim(bundle(tab, _HOMES, "widgets"))


@cache
def _style() -> str:
    files = (PLAYER / "style.css", STATIC / "page.css", PAGE / "alone.css")
    return slim_style("\n".join(file.read_text(encoding="utf-8") for file in files))

"""The page's files in one: style, script and payload stand inside, and nothing is ever fetched.

The script's modules are ordinary ES modules in `page/`. Here each becomes a function that returns its exports, with
imported modules first, so that private names cannot clash. A content security policy with the hashes of
script and style forbids the page to load or run anything else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Module = tuple[str, str]  # folder and name

PAGE: Final = Path(__file__).parent / "page"

HOME: Final = "player"  # of the modules in `PAGE`

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\.\.?/(?:(\w+)/)?(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def fill_page(texts: Mapping[str, str], payload: Mapping[str, Any], *, raw: Mapping[str, str]) -> str:
    """Fill the template.

    Args:
        texts: `title`, and text for the template's slots instead of the lab's own; escaped here.
        payload: the page's data, as JSON can hold it.
        raw: slots whose text is HTML already.
    """
    script = bundle("main")
    slots = {
        **raw,
        "head": head(texts["title"], _read("style.css"), script),
        "script": script,
        "payload": embed_json(payload),
    }
    return _filled("page.html", texts, slots)


def head(title: str, style: str, script: str) -> str:
    """The head of a document that fetches nothing: only this style and this script may act.

    Args:
        title: of the document; escaped here.
        style: what stands in the head.
        script: what the document will hold.
    """
    slots = {"style": style, "style_hash": _hash_of(style), "script_hash": _hash_of(script)}
    return _filled("head.html", {"title": title}, slots)


def stage(texts: Mapping[str, str], *, prefix: str = "", formulas: bool = True, still: bool = False) -> str:
    """The player itself as HTML in the language in force: picture, charts, controls, table.

    Args:
        texts: text for its slots instead of the lab's own, and for those of `formulas.html`; escaped here.
        prefix: of every id, where a page has another player.
        formulas: whether it has a place for formulas.
        still: whether there is only one step, and nothing to play.
    """
    slots = {
        "prefix": prefix,
        "still": str(still).lower(),
        "formulas": _filled("formulas.html", texts, {}) if formulas else "",
        "transport": transport(prefix, texts),
    }
    return _filled("player.html", texts, slots)


def transport(prefix: str = "", texts: Mapping[str, str] | None = None) -> str:
    """The buttons, slider and fields that move through the steps, as HTML in the language in force.

    Args:
        prefix: of every id, where a page has two of them.
        texts: text for its slots instead of the lab's own.
    """
    return _filled("transport.html", texts or {}, {"prefix": prefix})


def bundle(entry: str, homes: Mapping[str, Path] | None = None, home: str = HOME) -> str:
    """One script from the module `entry` and all that it imports, each once, after what it imports itself.

    Args:
        entry: the module's name.
        homes: the folders that modules name in their imports (`"../player/scales.js"`); by default, this page's.
        home: the folder of the entry.

    Example:
        >>> print(bundle("unpack").splitlines()[0])
        const $player_unpack = (() => {
    """
    known = homes or {HOME: PAGE}
    return "".join(_as_function(known, *module) for module in _in_order(known, (home, entry), set()))


def embed_json(payload: Mapping[str, Any]) -> str:
    r"""JSON that cannot end the script element it stands in.

    Example:
        >>> embed_json({"a": "</script>"})
        '{"a":"\\u003c/script>"}'
    """
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _in_order(homes: Mapping[str, Path], module: Module, seen: set[Module]) -> Iterator[Module]:
    if module in seen:
        return
    seen.add(module)
    for _, home, name in _IMPORT.findall(_source(homes, *module)):
        yield from _in_order(homes, (home or module[0], name), seen)
    yield module


def _as_function(homes: Mapping[str, Path], home: str, name: str) -> str:
    source = _source(homes, home, name)
    exported = ", ".join(found for _, found in _EXPORT.findall(source))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(lambda found: f"const {found[1]} = ${found[2] or home}_{found[3]};", source))
    return f"const ${home}_{name} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


def _source(homes: Mapping[str, Path], home: str, name: str) -> str:
    return (homes[home] / f"{name}.js").read_text(encoding="utf-8")


def _filled(name: str, texts: Mapping[str, str], raw: Mapping[str, str]) -> str:
    """A template with its slots filled: with HTML, with a text, or with the lab's own."""

    def fill(slot: re.Match[str]) -> str:
        key = slot[1]
        return raw[key] if key in raw else html.escape(texts[key] if key in texts else t(f"lab.{key}"))

    return _SLOT.sub(fill, _read(name)).rstrip("\n")


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    """What a content security policy calls a style or script that stands inside the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

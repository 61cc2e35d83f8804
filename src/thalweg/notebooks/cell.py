"""One output of a notebook: parts of HTML in an element whose style neither leaks out nor lets the notebook's in."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from thalweg.i18n import get_language
from thalweg.report.html import Html, tag


if TYPE_CHECKING:
    from collections.abc import Iterable

_HOME: Final = ".thalweg.thalweg"  # twice, so that a rule counts more than the notebook's own for tables and lists
_LIGHT: Final = '[data-jp-theme-light="true"]', '[data-vscode-theme-kind="vscode-light"]', "html[theme=light]"
_DARK: Final = '[data-jp-theme-light="false"]', '[data-vscode-theme-kind="vscode-dark"]', "html[theme=dark]", ".dark"
_COMMENTS: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULES: Final = re.compile(r"([^{}]+)\{([^{}]*)\}")
_MEDIA: Final = re.compile(r"@media ([^{]+)\{((?:[^{}]*\{[^{}]*\})*)\s*\}")


def cell(*parts: Html | None) -> Html:
    """Put parts into one element with its own style, in the current language.

    Args:
        *parts: HTML, as `tag` makes it; None is left out.

    Example:
        >>> output = cell(tag("p", "a < b"))
        >>> output.endswith("<p>a &lt; b</p></div>"), "<script" in output
        (True, False)
    """
    return tag("div", tag("style", Html(scoped_style())), *parts, class_="thalweg", lang=get_language())


def folded(summary: str, *parts: Html | None) -> Html:
    """Parts that show on a click."""
    return tag("details", tag("summary", summary), *parts)


@cache
def scoped_style() -> str:
    """The report's style sheet with a few rules for cells; each rule holds inside of an output only.

    What the report writes for a dark screen, an output also takes where the notebook has a dark theme.
    """
    report = _COMMENTS.sub("", files("thalweg.report").joinpath("page.css").read_text(encoding="utf-8"))
    own = files("thalweg.notebooks").joinpath("cell.css").read_text(encoding="utf-8")
    media = {condition.strip(): body for condition, body in _MEDIA.findall(report)}
    plain = _MEDIA.sub("", report) + own
    dark = media["(prefers-color-scheme: dark)"]
    light = next(f":root{{{body}}}" for selector, body in _RULES.findall(plain) if selector.strip() == ":root")
    narrow = next(f"@media {condition}{{{_scoped(body)}}}" for condition, body in media.items() if "width" in condition)
    sheet = [
        _scoped(plain),
        f"@media (prefers-color-scheme: dark){{{_scoped(dark)}}}",
        narrow,
        *(_scoped(light, theme) for theme in _LIGHT),
        *(_scoped(dark, theme) for theme in _DARK),
    ]
    return re.sub(r"\s+", " ", "".join(sheet))


def _scoped(rules: str, theme: str = "") -> str:
    """The rules, each below the element of an output, and below a theme if one is given."""
    return "".join(
        f"{', '.join(_below(one.strip(), theme) for one in selectors.split(','))}{{{body.strip()}}}"
        for selectors, body in _RULES.findall(rules)
    )


def _below(selector: str, theme: str) -> str:
    home = f"{theme} {_HOME}".strip()
    if selector in {":root", "body", "&"}:
        return home
    return f"{home} {selector}"


def listing(lines: Iterable[str]) -> Html:
    """Sentences, one below the other."""
    return tag("ul", *(tag("li", line) for line in lines))

"""HTML that is safe by construction (everything except `Html` is escaped), and numbers for people."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from unicodedata import category

from thalweg.i18n import percent as rounded
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Child = str | int | None

_WITHOUT_END = {"br", "img", "meta"}
# these reverse the direction of text, so one name could look like another
_TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


class Html(str):
    """Text that is already HTML."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: str | int | None) -> Html:
    """Make an element; children and attributes of None are left out.

    Args:
        name: of the element.
        *children: `Html` is kept, anything else is escaped.
        **attributes: by name; a trailing `_` is dropped (`class_`), and other underscores become hyphens.

    Example:
        >>> tag("p", "a < b ", tag("b", "&"), class_="note")
        '<p class="note">a &lt; b <b>&amp;</b></p>'
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _WITHOUT_END:
        return Html(f"<{name}{named}>")
    return Html(f"<{name}{named}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Join children."""
    return Html("".join(child if isinstance(child, Html) else escape(_plain(child)) for child in children))


def table(columns: Sequence[Child], rows: Iterable[Sequence[Child]], *, numeric: Sequence[int] = (), name: str) -> Html:
    """Make a table that scrolls by itself if it is wider than the page.

    Args:
        columns: headings.
        rows: as many cells as columns; the first cell names the row.
        numeric: columns with numbers, which are aligned right.
        name: of the table, for screen readers.
    """

    def cell(kind: str, index: int, content: Child, scope: str | None = None) -> Html:
        label = str(columns[index]) if kind == "td" else None  # on a narrow screen, a row is a block of labeled cells
        return tag(kind, content, class_="number" if index in numeric else None, scope=scope, data_label=label)

    head = tag("tr", *(cell("th", index, column, "col") for index, column in enumerate(columns)))
    body = [
        tag("tr", cell("th", 0, row[0], "row"), *(cell("td", index, value) for index, value in enumerate(row) if index))
        for row in rows
    ]
    content = tag("table", tag("thead", head), tag("tbody", *body))
    return tag("div", content, class_="scroll", role="region", tabindex=0, aria_label=name)


def percent(share: float | None) -> str:
    """A share in [0, 1] as percent with one decimal; a dash for NaN.

    Example:
        >>> percent(0.8128), percent(float("nan"))
        ('81.3 %', '–')
    """
    if share is None or share != share:  # noqa: PLR0124 - NaN
        return "–"
    return rounded(share).replace("%", " %")


def duration(seconds: float) -> str:
    """Seconds in the two largest units.

    Example:
        >>> from thalweg.i18n import set_language
        >>> set_language("en")
        >>> duration(8.44), duration(312), duration(3 * 3600 + 125)
        ('8.4 s', '5 min 12 s', '3 h 2 min')
    """
    if seconds < 60:
        return t("report.seconds", seconds=seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return t("report.minutes", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return t("report.hours", hours=hours, minutes=minutes)


def _plain(child: Child) -> str:
    """Text for a page: a mark replaces control characters and lone surrogates."""
    text = "" if child is None else str(child)
    if text.isprintable():  # most are: numbers of a chart that is drawn twice a second
        return text
    return "".join("\ufffd" if _is_unfit(character) else character for character in text)


def _is_unfit(character: str) -> bool:
    return (category(character) in {"Cc", "Cs"} and character not in "\n\t") or character in _TURNING

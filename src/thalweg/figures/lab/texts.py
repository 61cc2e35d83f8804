"""Titles, notes and events of surface pictures, as sentences."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width

from thalweg.figures.style import literal
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thalweg.figures.lab.scene import Scene
    from thalweg.paths import Event, Trace
    from thalweg.surfaces import Surface

_DECIMALS: Final = re.compile(r"\d+\.\d{5,}(?:e[+-]?\d+)?")
_POWER: Final = re.compile(r" \*\* (\d+)(?![\d.]| \*\*)")
_RAISED: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_WORD: Final = re.compile(r"[^\s\u2e80-\uffef]+\s*|\s+|[\u2e80-\uffef][，。、；：）！？]*")


def title_of(surface: Surface) -> str:
    """The picture's title: the surface's name, if it has one."""
    return t("lab.title_formula") if surface.name == "formula" else t("lab.title", name=surface.name)


def formula_of(surface: Surface, *, longest: int) -> str:
    """The formula in handwritten form, cut where it is long."""
    formula = f"f({', '.join(letters_of(surface))}) = {by_hand(surface.formula)}"
    return formula if len(formula) <= longest else f"{formula[: longest - 1]}…"


def letters_of(surface: Surface) -> tuple[str, str]:
    """What the surface's formula calls its two weights."""
    return ("w1", "w2") if re.search(r"\bw[12]\b", surface.formula) else ("x", "y")


def axis_names(surface: Surface) -> tuple[str, str]:
    """The names of the picture's axes; tables always say x and y."""
    x, y = letters_of(surface)
    return ("x", "y") if x == "x" else (f"x = {x}", f"y = {y}")


def by_hand(formula: str) -> str:
    """A formula with raised powers and dots, as written by hand; a number has at most six digits.

    Example:
        >>> by_hand("0.99500416527802582 * x + 12345678 * y")
        '0.995004·x + 12345678·y'

        >>> by_hand("100.0 * (y - x ** 2) ** 2 + 2 ** 3 ** x")
        '100.0·(y − x²)² + 2 ** 3 ** x'
    """
    formula = _DECIMALS.sub(lambda match: f"{float(match[0]):.6g}", formula)
    raised = _POWER.sub(lambda match: match[1].translate(_RAISED), formula)
    return raised.replace(" * ", "·").replace(" - ", " − ")


def settings_text(scene: Scene) -> str:
    """The optimizers, learning rates and steps of the traces."""
    used = zip(scene.labels, scene.traces, strict=True)
    optimizers = ", ".join(f"{label} (η = {trace.lr:g})" for label, trace in used)
    return t("lab.settings", optimizers=optimizers, steps=f"{scene.kept.last:,}")


def event_sentence(label: str, event: Event) -> str:
    """One sentence: which trace, what, and at which step."""
    return t(f"lab.event_{event.kind}", label=label, step=f"{event.step:,}")


def event_summary(trace: Trace) -> list[tuple[Event, str]]:
    """The first event of each kind, in the order of steps, each with a few words and how often it came."""
    times = Counter(event.kind for event in trace.events)
    firsts = {event.kind: event for event in reversed(trace.events)}
    return [
        (event, _short(event, times[event.kind])) for event in sorted(firsts.values(), key=lambda event: event.step)
    ]


def _short(event: Event, times: int) -> str:
    words = t(f"lab.short_{event.kind}", step=f"{event.step:,}")
    return words if times == 1 else t("lab.times", words=words, count=f"{times:,}")


def wrapped(paragraphs: Sequence[str], width: int) -> str:
    r"""Paragraphs as lines of at most `width` columns (a Chinese character takes two), none read as a formula.

    Example:
        >>> wrapped(["one two three"], 8)
        'one two\nthree'
        >>> wrapped(["一二三四五"], 8)
        '一二三四\n五'
    """
    return "\n".join(literal(line) for paragraph in paragraphs for line in _lines(paragraph, width))


def _lines(paragraph: str, width: int) -> Iterator[str]:
    """Break after spaces and after wide characters."""
    line, columns = "", 0
    for word in _WORD.findall(paragraph):
        if columns + _columns(word.rstrip()) > width and line:
            yield line.rstrip()
            line, columns = "", 0
        line += word
        columns += _columns(word)
    if line.strip():
        yield line.rstrip()


def _columns(text: str) -> int:
    return sum(1 + (east_asian_width(letter) in "WF") for letter in text)

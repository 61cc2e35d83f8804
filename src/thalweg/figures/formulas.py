"""Formulas below a picture, in mathtext."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thalweg._pointing import columns_of
from thalweg.figures.style import QUIET, literal


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.figure import Figure

    from thalweg.formulas import Formula

    Row = tuple[str, str, int]
    """A formula's name, or "" on its further rows; equations in mathtext; and how many signs these have."""

ROW: Final = 0.5
"""Height of a row of formulas, in inches."""

_SIZE: Final = 10.5  # points
_MARGIN: Final = 0.15  # inches, on the left
_LETTER: Final = 0.1  # inches that a letter of a name takes
_SIGN: Final = 0.063  # inches that a sign of a formula's Unicode text takes as mathtext
_BETWEEN: Final = r"$;\quad$"


def formula_rows(formulas: Iterable[Formula], width: float) -> list[Row]:
    r"""The rows that state formulas below a picture.

    Args:
        formulas: any; of two with the same name and the same text, the first.
        width: of the picture, in inches.

    Example:
        >>> from thalweg.formulas import get
        >>> formula_rows([get("sgd")], 6)
        [('sgd', '$\\theta_{t} = \\theta_{t - 1} - \\eta_{t}\\,g_{t}$', 26)]
    """
    distinct = {(formula.title, formula.text): formula for formula in formulas}
    fit = int((width - _left(title for title, _ in distinct)) / _SIGN)
    return [row for formula in distinct.values() for row in _rows(formula, fit)]


def write_formulas(figure: Figure, rows: Sequence[Row]) -> None:
    """Write rows at the foot of a figure whose height has `ROW` inches for each; what is drawn stays above them."""
    engine = figure.get_layout_engine()
    if not rows or engine is None:
        return
    width, height = figure.get_size_inches()
    foot = ROW * len(rows) / height
    engine.set(rect=(0, foot, 1, 1 - foot))  # pyright: ignore[reportCallIssue] - of constrained layout
    left = _left(name for name, *_ in rows)
    for number, (name, equations, signs) in enumerate(rows):
        y = foot - ROW * (number + 0.45) / height
        size = _SIZE * min(1.0, (width - left - _MARGIN) / (_SIGN * signs))  # one long equation is not cut off
        figure.text(_MARGIN / width, y, literal(name), fontsize=_SIZE, color=QUIET, va="center")
        figure.text(left / width, y, equations, fontsize=size, color=QUIET, va="center")


def _left(names: Iterable[str]) -> float:
    """Where equations begin, in inches."""
    longest = max(map(columns_of, names), default=0)
    return _MARGIN + _LETTER * (longest + 2 if longest else 0)


def _rows(formula: Formula, fit: int) -> Iterator[Row]:
    """Equations side by side while they fit; what does not is on the next row."""
    name, line, used = formula.title, "", 0
    for written, text in zip(formula.mathtext, formula.texts, strict=True):
        if line and used + len(text) + 3 > fit:
            yield name, line + "$;$", used
            name, line, used = "", "", 0
        line, used = (f"{line}{_BETWEEN}" if line else "") + written, used + len(text) + 3
    yield name, line, used

"""A lesson: an experiment, claims about its numbers, a picture, and ten lines of plain words."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

from thalweg._files import replacing
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

_RELATIONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "≤": operator.le,
    "=": operator.eq,
    "≥": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Evidence:
    """The result of a lesson's experiment.

    Args:
        numbers: for the words, the checks and `--json`.
        data: further data for the picture, such as traces.
    """

    numbers: Mapping[str, float]
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A claim, in numbers.

    Args:
        claim: key of its sentence in the catalogue.
        got: the measured value.
        relation: `<`, `≤`, `=`, `≥` or `>`.
        bound: the value to compare with.

    Example:
        >>> check = Check("arrives", 0.001, "<", 0.01)
        >>> check.expected, check.passed
        ('< 0.01', True)
    """

    claim: str
    got: float
    relation: str
    bound: float

    @property
    def expected(self) -> str:
        """The relation and the bound, as text."""
        return f"{self.relation} {self.bound:g}"

    @property
    def measured(self) -> str:
        """The measured value, with as many digits as tell it from the bound.

        Example:
            >>> Check("below", 1.99999999, "<", 2.0).measured, Check("far", 1.23456, "<", 2.0).measured
            ('1.99999999', '1.235')
        """
        texts = (f"{self.got:.{digits}g}" for digits in range(4, 18))
        return next((text for text in texts if (float(text) == self.bound) == (self.got == self.bound)), str(self.got))

    @property
    def passed(self) -> bool:
        """Whether the claim holds; False for NaN."""
        return bool(_RELATIONS[self.relation](self.got, self.bound))  # of a number of numpy, too


class Lesson(ABC):
    """One claim of the course, shown and checked.

    Subclasses are frozen dataclasses whose fields are the experiment's settings.
    """

    name: ClassVar[str]
    size: ClassVar[tuple[float, float]] = (12.0, 5.6)
    """Size of the picture without the formulas below it, in inches."""
    formulas: ClassVar[tuple[str, ...]] = ()
    """Names of the formulas that it uses, of `formulas.names()`: they stand below its picture and its words."""

    @abstractmethod
    def run(self) -> Evidence:
        """Run the experiment; it always gives the same numbers."""

    @abstractmethod
    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The claims, compared with the evidence."""

    @abstractmethod
    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Draw the evidence into an empty figure."""

    @property
    def title(self) -> str:
        """What the lesson shows, in one line."""
        return self.say("title")

    def tell(self, evidence: Evidence) -> list[str]:
        """Ten lines of plain words with the evidence's numbers."""
        return self.say("text", **evidence.numbers).split("\n")

    def claim(self, check: Check) -> str:
        """The sentence of a check."""
        return self.say(f"check_{check.claim}")

    def say(self, key: str, /, **values: Any) -> str:
        """A sentence of this lesson."""
        return t(f"lessons.{self.name.replace('-', '_')}_{key}", **values)

    def axis(self, quantity: str) -> str:
        """The name of an axis that several lessons share."""
        return t(f"lessons.axis_{quantity}")

    def picture(self, evidence: Evidence, path: Path | str) -> None:
        """Draw the evidence and write it as PNG.

        Raises:
            StorageError: the file cannot be written.
        """
        with replacing(path) as temporary:
            self.write_picture(evidence, temporary)

    def write_picture(self, evidence: Evidence, file: Path | BinaryIO, *, dpi: int = 150) -> None:
        """Draw the evidence with the title above and the formulas below, as PNG.

        Args:
            evidence: from `run`.
            file: where to.
            dpi: pixels per inch.
        """
        from thalweg.figures.formulas import ROW, formula_rows, write_formulas
        from thalweg.figures.style import drawing
        from thalweg.formulas import get

        width, height = self.size
        rows = formula_rows(map(get, self.formulas), width)
        with drawing(width=width, height=height + ROW * len(rows), dpi=dpi) as figure:
            figure.suptitle(self.title, x=0.01, ha="left")
            self.draw(evidence, figure)
            write_formulas(figure, rows)
            figure.savefig(file, format="png", metadata={"Software": None})

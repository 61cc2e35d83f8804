"""What a training most likely suffers from, if the verdict on it is wrong: the faults of programs that answered alike.

A rule tells one cause from all others by a few numbers. What comes next if it errs, its neighbors in the table tell
badly: each asks for other things. So all questions of all rules ("is the first update ratio above 0.25?") are put to
programs whose fault is known, faulty ones of the zoo's families and of others; each has answered yes, no, or that it is
not known. For a training whose answers differ from those of program i in a share d_i of the questions, a cause c gets

    s(c) = sum over i of w_i [c is a fault of i] / (number of faults of i) exp(-d_i / `REACH`)

divided by the sum over all causes. w_i is `MISREAD` for a program whose fault no verdict named at first, else 1: what
rules read wrongly is asked for here, and such programs are few.

Both numbers were chosen on eight sets of programs of others, each judged by the families and the other seven; a reach
of 0.01 to 0.03 with a weight of 2 to 5 does nearly as well.

Source: a Parzen window, Parzen 1962, "On Estimation of a Probability Density Function and Mode",
https://doi.org/10.1214/aoms/1177704472.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.diagnosis.measures.table import MEASURES, Condition


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE: Final = "known.json"
REACH: Final = 0.02  # a share of the questions
MISREAD: Final = 3.0
KNOWN: Final = 0.3  # of the questions, at least; a log answers a few, and resembles nothing then
_ANSWERS: Final = {True: "y", False: "n", None: "."}


@dataclass(frozen=True, slots=True)
class Program:
    """A faulty program.

    Attributes:
        faults: codes of verdicts, each of which is right.
        misread: whether its first verdict was none of them.
        answers: one of `y`, `n` and `.` (not known) for each question.
    """

    faults: tuple[str, ...]
    misread: bool
    answers: str


class Likeness:
    """Faulty programs, and what each question was answered by each.

    Args:
        questions: what is asked.
        programs: at least one.
    """

    def __init__(self, questions: Sequence[Condition], programs: Sequence[Program]) -> None:
        self.questions, self.programs = tuple(questions), tuple(programs)
        self._answers_PQ = np.array([list(program.answers) for program in programs])
        self._weights_P = np.array([MISREAD if program.misread else 1.0 for program in programs])
        self._faults = [program.faults for program in programs]

    def causes(self, measures: Mapping[str, float]) -> dict[str, float]:
        """The probability of each cause, by the programs that are like a training; empty if too little is known of it.

        Args:
            measures: as `judging.judge` takes them, with those that are derived.
        """
        answers = answers_of(self.questions, measures)
        if 1 - answers.count(".") / len(answers) < KNOWN:
            return {}
        return self.likely(answers)

    def likely(self, answers: str) -> dict[str, float]:
        """The probability of each cause, by what a training answers to all questions."""
        apart_P = (self._answers_PQ != np.array(list(answers))).mean(axis=1)
        weights_P = self._weights_P * np.exp(-(apart_P - apart_P.min()) / REACH)
        found: dict[str, float] = defaultdict(float)
        for faults, weight in zip(self._faults, weights_P / weights_P.sum(), strict=True):
            for fault in faults:
                found[fault] += float(weight) / len(faults)
        return dict(found)


def answers_of(questions: Sequence[Condition], measures: Mapping[str, float]) -> str:
    """What a training's measures answer: `y`, `n`, or `.` where a number is not known.

    Example:
        >>> from thalweg.diagnosis.measures.table import FALLING, LEFT, PEAK
        >>> answers_of([FALLING < 0.006, LEFT > 0.2, PEAK > 3], {"falling": 0.0, "left": 0.1})
        'yn.'
    """
    return "".join(_ANSWERS[condition.holds(measures)] for condition in questions)


def to_json(questions: Sequence[Condition], programs: Sequence[Program]) -> str:
    """Write programs as JSON, one to a line; questions that all answer alike are left out."""
    telling = [at for at in range(len(questions)) if len({program.answers[at] for program in programs}) > 1]
    asked = [json.dumps([questions[at].name, questions[at].relation, questions[at].threshold]) for at in telling]
    rows = [json.dumps([list(one.faults), one.misread, "".join(one.answers[at] for at in telling)]) for one in programs]
    return f'{{\n"questions": [\n{_joined(asked)}\n],\n"programs": [\n{_joined(rows)}\n]\n}}\n'


def from_json(text: str) -> Likeness:
    """Read what `to_json` wrote."""
    found = json.loads(text)
    questions = [Condition(MEASURES[name], relation, threshold) for name, relation, threshold in found["questions"]]
    return Likeness(
        questions, [Program(tuple(faults), misread, answers) for faults, misread, answers in found["programs"]]
    )


def causes_of(measures: Mapping[str, float]) -> dict[str, float]:
    """The probability of each cause, by the programs that come with the package; see `Likeness.causes`."""
    return shipped().causes(measures)


@cache
def shipped() -> Likeness:
    """The programs that come with the package."""
    return from_json(files("thalweg.diagnosis").joinpath(FILE).read_text(encoding="utf-8"))


def _joined(rows: Sequence[str]) -> str:
    return ",\n".join(rows)

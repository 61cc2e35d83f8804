"""All presets by number: in an order that tells nothing of their causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.errors import UsageError
from thalweg.playground.presets import given, layers, rates, wiring


if TYPE_CHECKING:
    from thalweg.playground.case import Case

_BY_CODE: Final = {case.code: case for case in (*given.CASES, *layers.CASES, *rates.CASES, *wiring.CASES)}
_SHUFFLE: Final = 18  # seed of the order
CASES: Final[tuple[Case, ...]] = tuple(
    _BY_CODE[code] for code in np.random.default_rng(_SHUFFLE).permutation(sorted(_BY_CODE))
)
"""Case number 1 comes first."""


def case_of(number: int) -> Case:
    """The case of a number.

    Args:
        number: from 1.

    Raises:
        UsageError: there is no such case.

    Example:
        >>> len({case_of(number).code for number in range(1, len(CASES) + 1)}) == len(CASES)
        True
    """
    if not 1 <= number <= len(CASES):
        raise UsageError("playground.no_case", number=number, most=len(CASES))
    return CASES[number - 1]

"""RMSprop around the mean gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thalweg.optimizers.rmsprop import RMSprop


@dataclass(frozen=True, kw_only=True)
class RMSpropCentered(RMSprop):
    """`rmsprop` that divides by the standard deviation of the recent gradients.

    Example:
        >>> RMSpropCentered().centered
        True

    Source:
        Graves, 2013, https://arxiv.org/abs/1308.0850
    """

    centered: bool = True

    name: ClassVar[str] = "rmsprop_centered"

"""The learning rate does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Number
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Constant(Schedule):
    """Multiply by one number, always.

    f(t) = c

    Args:
        value: c, above 0.

    Example:
        >>> Constant()(500, 1000)
        1.0

    Source:
        `torch.optim.lr_scheduler.ConstantLR` is `constant(1/3) over 5 > constant`.
    """

    name: ClassVar[str] = "constant"
    takes: ClassVar[Mapping[str, Kind]] = {"value": Number(0, above_low=True)}

    value: float = 1.0

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return np.full_like(at.step, self.value)

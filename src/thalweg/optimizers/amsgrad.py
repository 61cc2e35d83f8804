"""Adam that never forgets a large gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thalweg.optimizers.adam import Adam


@dataclass(frozen=True, kw_only=True)
class AMSGrad(Adam):
    """`adam` with the largest v so far in σ, so that the rate of a coordinate never grows.

    Example:
        >>> AMSGrad().amsgrad
        True

    Source:
        Reddi, Kale, Kumar, 2018, https://openreview.net/forum?id=ryQu7f-RZ
    """

    amsgrad: bool = True

    name: ClassVar[str] = "amsgrad"

"""Why a training does not go on, asked of the training itself: what is measured, what it says, what to try.

`rate` finds a learning rate before a training.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.rate import RateSweep, find_lr

_homes = {
    "RateSweep": ".rate",
    "find_lr": ".rate",
}

__all__ = ["RateSweep", "find_lr"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

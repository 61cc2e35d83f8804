"""Find the learning rate: a sweep over rates on a copy of the model, then short runs that decide.

`search` turns a model into a `RateSweep`; `curve` holds the sweep's curve, `ladder` the rates that compete, and
`evaluation` trains a copy at one of them.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.rate.evaluation import Evaluation
    from thalweg.rate.search import RateSweep, find_lr

_homes = {
    "Evaluation": ".evaluation",
    "RateSweep": ".search",
    "find_lr": ".search",
}

__all__ = ["Evaluation", "RateSweep", "find_lr"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

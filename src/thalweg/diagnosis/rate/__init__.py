"""Find the learning rate: a sweep over rates on copies of the model, and short trainings that decide.

`search` is the way from a model to a `RateSweep`; `batches` takes data from a loader and leaves the loader as it was,
`randomness` does the same for random states, `trial` trains a copy, `curve` is the sweep's, `probes` are the short
trainings, and `ladder` holds the rates that compete in them.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.rate.result import Probe, RateSweep
    from thalweg.diagnosis.rate.search import find_lr

_homes = {
    "Probe": ".result",
    "RateSweep": ".result",
    "find_lr": ".search",
}

__all__ = ["Probe", "RateSweep", "find_lr"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

"""Weights to start from: read from a file, a run or a package, held against the network, loaded whole or not at all.

`reading` opens files without running anything in them, `source` knows what SOURCE may be, `matching` says what fits,
`preprocessing` says how the photos must be prepared for them.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.weights.matching import Match, load_weights
    from thalweg.weights.preprocessing import Preprocessing
    from thalweg.weights.reading import WeightsFile, read_weights
    from thalweg.weights.source import open_weights
    from thalweg.weights.weights import Weights

_homes = {
    "Match": ".matching",
    "Preprocessing": ".preprocessing",
    "Weights": ".weights",
    "WeightsFile": ".reading",
    "load_weights": ".matching",
    "open_weights": ".source",
    "read_weights": ".reading",
}

__all__ = ["Match", "Preprocessing", "Weights", "WeightsFile", "load_weights", "open_weights", "read_weights"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

"""What a run's folder is: its configuration, its files, its checkpoints, its histories; known here and nowhere else.

`Run` opens a folder strictly, so that whoever has one may rely on it; `RunFolder` reads what there is, for lists and
reports of runs that may be damaged. `TrainingConfig` says what a training run is asked to do, and `options` is the one
table of its fields that command line, page and Python share.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.runs.config import SettledConfig, TrainingConfig
    from thalweg.runs.folder import RunFolder
    from thalweg.runs.probabilities import softmax
    from thalweg.runs.run import Run, expand_folds

_homes = {
    "Run": ".run",
    "RunFolder": ".folder",
    "SettledConfig": ".config",
    "TrainingConfig": ".config",
    "expand_folds": ".run",
    "softmax": ".probabilities",
}

__all__ = ["Run", "RunFolder", "SettledConfig", "TrainingConfig", "expand_folds", "softmax"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

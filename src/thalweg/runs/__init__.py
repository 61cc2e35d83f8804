"""The run folder: its configuration, files, checkpoints and histories. No other package knows its format.

`Run` opens a folder strictly, so that code that holds one can rely on it; `RunFolder` reads whatever is readable, for
lists and reports of runs that may be damaged. `TrainingConfig` describes the run that was requested, and `options` is
the one table of its fields, shared by the command line, the page and Python.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.runs.config import SettledConfig, TrainingConfig
    from thalweg.runs.folder import RunFolder, expand_folds
    from thalweg.runs.probabilities import softmax
    from thalweg.runs.run import Run

_homes = {
    "Run": ".run",
    "RunFolder": ".folder",
    "SettledConfig": ".config",
    "TrainingConfig": ".config",
    "expand_folds": ".folder",
    "softmax": ".probabilities",
}

__all__ = ["Run", "RunFolder", "SettledConfig", "TrainingConfig", "expand_folds", "softmax"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

"""Training: from photos and a configuration to a run, which is a folder.

`config` says what is wanted, `recipes` are configurations with a name, `start` and `loop` do it, `checkpoint` keeps
it, `probe` chooses precision and layout by measuring, `run` reads what a training left.

A training is a pure function of its configuration: the order of the photos, their views and the random numbers of
a step are computed from (seed, epoch, step), so that a checkpoint holds weights, optimizer state and counters,
and a resumed run is, bit by bit, the run.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names
from thalweg._spinning import bound_spinning


if TYPE_CHECKING:
    from thalweg.training.config import TrainingConfig
    from thalweg.training.folds import resume_folds, train_folds
    from thalweg.training.pace import bench
    from thalweg.training.recipes import RECIPES, recipe
    from thalweg.training.run import Run
    from thalweg.training.start import resume, train

_homes = {
    "RECIPES": ".recipes",
    "Run": ".run",
    "TrainingConfig": ".config",
    "bench": ".pace",
    "recipe": ".recipes",
    "resume": ".start",
    "resume_folds": ".folds",
    "train": ".start",
    "train_folds": ".folds",
}

__all__ = [
    "RECIPES",
    "Run",
    "TrainingConfig",
    "bench",
    "recipe",
    "resume",
    "resume_folds",
    "train",
    "train_folds",
]

bound_spinning()

__getattr__, __dir__ = lazy_names(__name__, _homes)

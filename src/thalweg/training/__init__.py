"""Training: from a request to a run folder.

`request` turns a recipe and options into a configuration. `session` starts a run or resumes one: `prepare` finds and
decodes the photos and chooses the sizes and, on this `machine`, the `number_format`; `loop` trains, `step` by step;
`progress` counts, `record` writes the histories, and `evaluation` writes the results.

A run is a pure function of its configuration: the order of the photos, their augmentation and the random numbers of a
step are computed from (seed, epoch, step). A checkpoint therefore needs only weights, optimizer state and counters, and
a resumed run is bit-identical to one that was never interrupted.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names
from thalweg._spinning import bound_spinning


if TYPE_CHECKING:
    from thalweg.training.folds import resume_folds, train_folds
    from thalweg.training.recipes import RECIPES
    from thalweg.training.request import recipe, resolve
    from thalweg.training.session import resume, train
    from thalweg.training.speed import bench

_homes = {
    "RECIPES": ".recipes",
    "bench": ".speed",
    "recipe": ".request",
    "resolve": ".request",
    "resume": ".session",
    "resume_folds": ".folds",
    "train": ".session",
    "train_folds": ".folds",
}

__all__ = [
    "RECIPES",
    "bench",
    "recipe",
    "resolve",
    "resume",
    "resume_folds",
    "train",
    "train_folds",
]

bound_spinning()

__getattr__, __dir__ = lazy_names(__name__, _homes)

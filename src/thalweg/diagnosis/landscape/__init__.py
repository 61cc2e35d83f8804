"""The loss over a plane through a network's weights: a slice along two directions of millions.

`directions` chooses the plane, `grid` computes the loss over it, `landscape` does both for any model, and `run` does
both for a run, with random directions or with the plane of the run's own trajectory.

Shape suffixes: H, W points of the grid, K checkpoints, N examples, C classes.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.landscape.landscape import Landscape, Trajectory, landscape_of
    from thalweg.diagnosis.landscape.run import landscape_of_run

_homes = {
    "Landscape": ".landscape",
    "Trajectory": ".landscape",
    "landscape_of": ".landscape",
    "landscape_of_run": ".run",
}

__all__ = ["Landscape", "Trajectory", "landscape_of", "landscape_of_run"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

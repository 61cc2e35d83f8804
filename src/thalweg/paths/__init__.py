"""Rules over surfaces: one path with everything kept, or thousands of which only the ends are.

`trace` runs one path and keeps positions, loss, gradient norm, direction m, scale σ and events; `sweep` runs rules ×
learning rates × starts on all cores; `map_starts` and `map_hyperparameters` say where each of a grid of paths ends and
how long it took. A path leaves the same kind of history as a network in training.
"""

from thalweg.paths.events import Event
from thalweg.paths.maps import Map, map_hyperparameters, map_starts
from thalweg.paths.path import Path
from thalweg.paths.sweep import Sweep, sweep
from thalweg.paths.trace import trace


__all__ = ["Event", "Map", "Path", "Sweep", "map_hyperparameters", "map_starts", "sweep", "trace"]

"""Run optimizers over surfaces: one trace with every number kept, or thousands with only their ends.

`trace` runs one optimizer and keeps positions, loss, gradient norm, direction m, scale σ and events; `sweep` runs
optimizers × learning rates × starts on all cores; `map_starts` and `map_hyperparameters` find where each trace of a
grid ends and how long it takes. A trace leaves the same kind of history as a network in training.
"""

from thalweg.paths.events import Event
from thalweg.paths.maps import Map, map_hyperparameters, map_starts
from thalweg.paths.sweep import Sweep, sweep
from thalweg.paths.trace import Trace, trace


__all__ = ["Event", "Map", "Sweep", "Trace", "map_hyperparameters", "map_starts", "sweep", "trace"]

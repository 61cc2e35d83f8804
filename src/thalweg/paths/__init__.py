"""Run optimizers over surfaces: one trace with every number kept, or thousands with only their ends.

`trace` runs one optimizer and keeps positions, loss, gradient norm, direction m, scale σ and events; `sweep` runs
optimizers × learning rates × starts on all cores; `map_starts` and `map_hyperparameters` find where each trace of a
grid ends and how long it takes. `map_momentum` has the factor by which momentum shrinks the error on a quadratic, in
closed form and simulated; `map_adam` simulates how soon Adam arrives. A trace leaves the same kind of history as a
network in training.
"""

from thalweg.paths.adam_map import AdamMap, map_adam
from thalweg.paths.events import Event
from thalweg.paths.maps import Map, map_hyperparameters, map_starts
from thalweg.paths.momentum_map import MomentumMap, map_momentum
from thalweg.paths.sweep import Sweep, sweep
from thalweg.paths.trace import Trace, trace


__all__ = [
    "AdamMap",
    "Event",
    "Map",
    "MomentumMap",
    "Sweep",
    "Trace",
    "map_adam",
    "map_hyperparameters",
    "map_momentum",
    "map_starts",
    "sweep",
    "trace",
]

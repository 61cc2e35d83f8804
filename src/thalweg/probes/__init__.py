"""What is measured of a training while it goes on: cheap numbers of every step, of anybody's loop.

`StepProbe` hangs on a torch optimizer and writes two histories; `LayerProbe` is told of each step by our own loop, and
looks at the layers only; `ActivationProbe` looks at what the activation
functions give; `Wiring` says which parameters a training can reach at all. None of them changes the training.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.probes.activations import ActivationProbe
    from thalweg.probes.layers import LayerProbe
    from thalweg.probes.step import StepProbe
    from thalweg.probes.wiring import Wiring

_homes = {
    "ActivationProbe": ".activations",
    "LayerProbe": ".layers",
    "StepProbe": ".step",
    "Wiring": ".wiring",
}

__all__ = ["ActivationProbe", "LayerProbe", "StepProbe", "Wiring"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

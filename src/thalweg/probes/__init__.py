"""Measuring anybody's model and loop without changing it.

`StepProbe` hangs on a torch optimizer and writes two histories; our own loop tells `LayerProbe` of each step;
`ActivationProbe` looks at the outputs of activation functions; `Wiring` tells which parameters a training can reach.
`batches` reads a user's batch, whatever its form; `copies` copies a model with its optimizer, and keeps random states.
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

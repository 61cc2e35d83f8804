"""Measure anybody's model and training loop without changing them.

`StepProbe` hooks into a torch optimizer and writes two histories; `LayerProbe` is called by our own loop;
`ActivationProbe` measures the outputs of activation functions; `Wiring` finds the parameters that training can reach.
`batches` reads a user's batch in any form; `copies` copies a model with its optimizer and its loss function, for which
`stand_ins` has the parts, and restores random states; `attributes` finds tensors that modules hold beside parameters.
`pair` names a wrong pair, `order` a call in the wrong place.
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

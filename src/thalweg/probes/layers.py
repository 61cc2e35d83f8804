"""Update size, weight norm and gradient norm of each layer, measured in our own training loop.

In the first steps and then every `every` steps, the weights are copied before the optimizer's step and compared after
it. The numbers stay on the device until they are read, so a step needs no host sync.

Shape suffixes: K rows of the table, P tensors, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg.probes import foreach


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

EVERY = 20
DENSE = 10  # the first steps, all of which are measured
MEASURES = ("gradient_norm", "update_ratio", "weight_norm")


def is_due(step: int, every: int = EVERY) -> bool:
    """Whether a step is measured in full.

    Args:
        step: steps done before it.
        every: steps between two such steps.
    """
    return step < DENSE or step % every == 0


class Layers:
    """Parameters grouped by module, in the model's order.

    Args:
        names: parameter names from `named_parameters`.

    Attributes:
        names: names of the layers.
        members_L: positions of each layer's parameters.
        units: units of a history's columns: `step`, then each of `MEASURES` for each layer.
    """

    def __init__(self, names: Sequence[str]) -> None:
        homes = [name.rpartition(".")[0] for name in names]
        self.names = list(dict.fromkeys(homes))
        self.members_L = [np.array([at for at, home in enumerate(homes) if home == layer]) for layer in self.names]
        self.units = {"step": ""} | {f"{layer}.{measure}": "" for layer in self.names for measure in MEASURES}


class LayerProbe:
    """Measures the layers of a model at due steps.

    A layer is a module with its own parameters. Its numbers are Euclidean norms over all of them: the norm of the
    gradient that the optimizer gets, that of the weights after the step, and that of the update divided by the latter.

    Args:
        model: the model in training.
        every: steps between measured steps.

    Attributes:
        units: units of the columns: `step`, then `LAYER.gradient_norm`, `LAYER.update_ratio`, `LAYER.weight_norm`.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> probe = LayerProbe(torch.nn.Sequential(layer))
        >>> _ = torch.nn.init.constant_(layer.weight, 1.0)
        >>> layer(torch.ones(1, 2)).sum().backward()
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
        >>> probe.before_step(0)
        >>> optimizer.step()
        >>> probe.after_step()
        >>> probe.read().round(3).tolist()
        [[1.0, 1.414, 1.0, 0.707]]
    """

    def __init__(self, model: nn.Module, *, every: int = EVERY) -> None:
        self.every = every
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._parameters = [parameter for _, parameter in named]
        self._layers = Layers([name for name, _ in named])
        self.units = self._layers.units
        self._before: list[Tensor] = []
        self._norms_P = torch.empty(0)
        self._rows: list[tuple[int, Tensor]] = []
        self._step: int | None = None

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Record gradients and weights before the optimizer's step, if it is due.

        Args:
            step: steps done so far.
        """
        if not is_due(step, self.every):
            return
        gradients = [parameter.grad for parameter in self._parameters]
        present = [gradient for gradient in gradients if gradient is not None]
        if not present or len(present) < len(gradients):  # a layer without a gradient has no update
            return
        self._norms_P = foreach.norms(present)
        weights = [parameter.detach() for parameter in self._parameters]
        if not self._before:
            self._before = [torch.empty_like(weight) for weight in weights]
        foreach.copy_into(self._before, weights)
        self._step = step + 1

    @torch.no_grad()
    def after_step(self) -> None:
        """Compare the weights with those recorded, if any."""
        if self._step is None:
            return
        weights = [parameter.detach() for parameter in self._parameters]
        foreach.subtract_from(self._before, weights)
        norms_3P = torch.stack([self._norms_P, foreach.norms(self._before), foreach.norms(weights)])
        self._rows.append((self._step, norms_3P))
        self._step = None

    def read(self) -> NDArray[np.float64]:
        """Return the measurements since the last call.

        Returns:
            (K, 1 + 3 L), with the columns of `units`.
        """
        rows_KC = np.empty((len(self._rows), len(self.units)))
        for row_C, (step, norms_3P) in zip(rows_KC, self._rows, strict=True):
            squares_3P = np.square(norms_3P.cpu().numpy().astype(np.float64))
            row_C[0] = step
            for layer, members in enumerate(self._layers.members_L):
                gradient, update, weight = np.sqrt(squares_3P[:, members].sum(axis=1))
                with np.errstate(divide="ignore", invalid="ignore"):  # zero weights and failed steps
                    row_C[1 + 3 * layer : 4 + 3 * layer] = gradient, update / weight, weight
        self._rows.clear()
        return rows_KC

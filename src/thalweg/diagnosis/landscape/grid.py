"""The loss of a network at many points of a plane through its weights, on a copy of it.

A layer whose input is the data, unchanged by any weights, is linear in its own weights:
`x (W + a D₁ + b D₂)ᵀ = x Wᵀ + a x D₁ᵀ + b x D₂ᵀ`. Its three products are computed once instead of at every point.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call

from thalweg.errors import UsageError
from thalweg.probes.batches import read_batches


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.diagnosis.landscape.directions import Direction

_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MOST_BYTES = 2**28  # of products that are kept; beyond that, memory costs more than arithmetic


class Plane:
    """A network on a plane: `loss(a, b)` is the loss of the weights `W + a D₁ + b D₂`.

    A copy of the network runs in evaluation mode: no dropout, and BatchNorm with the running statistics of the origin.
    The original does not change.

    Args:
        model: gives W.
        directions: D₁ and D₂, by names of parameters.
        loss_fn: `loss_fn(model(inputs), targets)` is a mean over the batch.
        batches: in any form of `thalweg.probes.batches`, with one tensor as inputs.
    """

    def __init__(
        self,
        model: nn.Module,
        directions: tuple[Direction, Direction],
        loss_fn: Callable[[Any, Tensor], Tensor],
        batches: Any,
    ) -> None:
        self._model = copy.deepcopy(model).eval()
        self._loss_fn = loss_fn
        self._batches = read_batches(batches, model)
        sizes = [batch.size for batch in self._batches]
        self._shares = [size / sum(sizes) for size in sizes]
        parameters = dict(self._model.named_parameters())
        self._known = _Known.of(self._model, directions, [batch.inputs for batch in self._batches])
        for parameter in parameters.values():
            parameter.requires_grad_(False)  # noqa: FBT003 - torch's own way
        moving = [
            name
            for name in parameters
            if name not in self._known.names and any(bool(direction[name].any()) for direction in directions)
        ]
        self._weights = [parameters[name] for name in moving]
        self._origin = [weight.clone() for weight in self._weights]
        self._row = [weight.clone() for weight in self._weights]
        self._first, self._second = ([direction[name] for name in moving] for direction in directions)

    @torch.no_grad()
    def losses(
        self, a_W: Sequence[float], b_H: Sequence[float], *, computed: Callable[[], None] = lambda: None
    ) -> NDArray[np.float64]:
        """Compute the loss over a grid.

        Args:
            a_W: coordinates along the first direction.
            b_H: coordinates along the second.
            computed: called after each point.

        Returns:
            Shape (H, W).
        """
        found_HW = torch.zeros(len(b_H), len(a_W), dtype=torch.float64)
        for row, b in enumerate(b_H):
            for target, origin, second in zip(self._row, self._origin, self._second, strict=True):
                torch.add(origin, second, alpha=b, out=target)
            for column, a in enumerate(a_W):
                for weight, beginning, first in zip(self._weights, self._row, self._first, strict=True):
                    torch.add(beginning, first, alpha=a, out=weight)
                found_HW[row, column] = self._here(a, b)
                computed()
        return found_HW.numpy()

    @torch.no_grad()
    def loss_at(self, state: Direction) -> float:
        """The loss of any weights and buffers, by name; they need not lie on the plane, so nothing is precomputed."""
        names = {name for name, _ in (*self._model.named_parameters(), *self._model.named_buffers())}
        state = {name: tensor for name, tensor in state.items() if name in names}  # of tied weights, one
        self._known.forget()
        try:
            return float(self._with(state))
        finally:
            self._known.recall()

    def _with(self, state: Direction) -> Tensor:
        """Like `_here`, with the given weights."""
        return self._mean(lambda inputs: functional_call(self._model, state, (inputs,)))

    def _here(self, a: float, b: float) -> Tensor:
        self._known.move(a, b)
        return self._mean(self._model)

    def _mean(self, model: Callable[[Tensor], Any]) -> Tensor:
        total: Any = 0.0
        for index, (batch, share) in enumerate(zip(self._batches, self._shares, strict=True)):
            self._known.turn_to(index)
            loss = self._loss_fn(model(batch.inputs), batch.targets)
            if loss.numel() != 1:
                raise UsageError("curvature.not_scalar", got=tuple(loss.shape))
            total = total + loss.double() * share
        return total


class _Known:
    """The layers with precomputed products; each knows its place on the plane."""

    def __init__(self, layers: dict[str, _Shortcut]) -> None:
        self._layers = list(layers.values())
        self.names = {f"{path}.{name}" for path in layers for name in ("weight", "bias")}

    @classmethod
    @torch.no_grad()
    def of(cls, model: nn.Module, directions: tuple[Direction, Direction], inputs: Sequence[Tensor]) -> _Known:
        """Find these layers, compute their products, and replace their forward pass."""
        layers = {}
        left = _MOST_BYTES
        for path, layer in _fed_with_data(model, inputs[0][:2]).items():
            shortcut = _Shortcut(
                layer, [{n: d[f"{path}.{n}"] for n, _ in layer.named_parameters()} for d in directions]
            )
            if shortcut.fill(_inputs_of(layer, model, inputs), left):
                left -= shortcut.bytes
                layers[path] = shortcut
        for shortcut in layers.values():
            shortcut.install()
        return cls(layers)

    def move(self, a: float, b: float) -> None:
        for layer in self._layers:
            layer.a, layer.b = a, b

    def turn_to(self, batch: int) -> None:
        for layer in self._layers:
            layer.batch = batch

    def forget(self) -> None:
        for layer in self._layers:
            layer.remove()

    def recall(self) -> None:
        for layer in self._layers:
            layer.install()


class _Shortcut:
    """One layer whose input is the data."""

    def __init__(self, layer: nn.Module, moves: Sequence[Direction]) -> None:
        self._layer, self._moves = layer, moves
        self._products: list[tuple[Tensor, Tensor, Tensor]] = []
        self.a = self.b = 0.0
        self.batch = 0
        self.bytes = 0

    def fill(self, inputs: Sequence[Tensor], most: int) -> bool:
        """Compute the products of every batch; False if they would take more than `most` bytes."""
        for batch in inputs:
            origin = self._layer(batch)
            self.bytes += 3 * origin.numel() * origin.element_size()
            if self.bytes > most:
                return False
            first, second = (functional_call(self._layer, move, (batch,)) for move in self._moves)
            self._products.append((origin, first, second))
        return True

    def install(self) -> None:
        self._layer.forward = self._forward

    def remove(self) -> None:
        del self._layer.forward

    def _forward(self, _inputs: Tensor) -> Tensor:
        origin, first, second = self._products[self.batch]
        return torch.add(origin, first, alpha=self.a).add_(second, alpha=self.b)


def _inputs_of(layer: nn.Module, model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The input of a layer for each batch."""
    given: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    try:
        for batch in inputs:
            model(batch)
    finally:
        handle.remove()
    return given


def _fed_with_data(model: nn.Module, inputs: Tensor) -> dict[str, nn.Module]:
    """The linear layers that are called once, with an input that depends on no parameter, by path."""
    calls: dict[str, list[bool]] = {}
    handles = [
        layer.register_forward_pre_hook(
            lambda _, arguments, path=path: calls.setdefault(path, []).append(arguments[0].requires_grad)
        )
        for path, layer in model.named_modules()
        if type(layer) in _LINEAR and path
    ]
    shared = _shared(model)
    wants = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    try:
        for parameter in model.parameters():
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's own way
        with torch.enable_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wants[name])
    return {
        path: model.get_submodule(path) for path, depends in calls.items() if depends == [False] and path not in shared
    }


def _shared(model: nn.Module) -> set[str]:
    """Paths of layers that share a parameter with another layer."""
    owners: dict[int, list[str]] = {}
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(path)
    return {path for paths in owners.values() if len(paths) > 1 for path in paths}

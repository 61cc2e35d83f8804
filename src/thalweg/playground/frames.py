"""What is drawn of a network after each of some steps: its map, each unit's map, and numbers of layers and losses.

The networks of all steps are evaluated together, as one network whose weights have one more axis.

Shape suffixes: F frames, M places and points together, G places along an axis, U units, N points, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.func import functional_call, vmap

from thalweg.playground.network import linear_layers, probabilities_of
from thalweg.probes.activations import dead_units, saturated_outputs


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.playground.loop import Loop

    State = dict[str, Tensor]

GRID: Final = 40  # places along an axis
DEAD, SATURATED = 1, 2  # states of a unit; 0: neither
_FINE, _COARSE, _MANY = 20, 10, 64  # places along an axis of a unit's map; with more units than _MANY, fewer
_MOSTLY: Final = 0.5  # share of its outputs from which a unit counts as saturated
_ZERO, _REACH = 128, 127  # a unit's output as a byte
_SATURATING: Final = ("tanh", "sigmoid")
_AT_ONCE: Final = 4_000_000  # numbers that are kept of the units of some networks, 16 MB


class View:
    """Looks at a loop's network as it evaluates, without changing it.

    Args:
        loop: whose network is looked at.

    Attributes:
        window: the part of the plane that is shown.
        units: outputs of each linear layer.
        unit_grid: places along an axis of a unit's map.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.window = loop.points.window
        self.units = [layer.out_features for layer in linear_layers(loop.model)]
        self.unit_grid = _FINE if sum(self.units[:-1]) <= _MANY else _COARSE
        self._named = [*loop.model.named_parameters(), *loop.model.named_buffers()]
        places = torch.from_numpy(_places(self.window))
        self._inputs_M2 = torch.cat([loop.seen(places), loop.inputs_N2])
        self._points = slice(len(places), None)

    def state(self) -> State:
        """A copy of all that the network computes with now."""
        return {name: tensor.detach().clone() for name, tensor in self._named}

    @torch.no_grad()
    def arrays(self, states: Sequence[State]) -> dict[str, NDArray[Any]]:
        """What is drawn of each state.

        Args:
            states: at least one.

        Returns:
            `winner`, `sure`, `units` and `unit_state` as bytes, the others as floats; each begins with F.
        """
        model = self._loop.model
        mode = model.training
        model.eval()
        a_frame = len(self._inputs_M2) * (sum(self.units) + 1)
        stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        try:
            outputs_FMC, hidden, losses = vmap(self._evaluated, chunk_size=max(1, _AT_ONCE // a_frame))(stacked)
        finally:
            model.train(mode)
        probability_FMC = probabilities_of(outputs_FMC, self._loop.settings.loss)
        return {
            **self._map(probability_FMC[:, : self._points.start]),
            **self._units(hidden),
            "weights": torch.cat([stacked[name].flatten(1) for name in self._weights], dim=1).numpy(),
            **self._layers(hidden),
            **{name: value_F.double().numpy() for name, value_F in losses.items()},
            **self._accuracies(probability_FMC[:, self._points]),
        }

    @property
    def _weights(self) -> list[str]:
        layers = set(linear_layers(self._loop.model))
        return [f"{name}.weight" for name, module in self._loop.model.named_modules() if module in layers]

    def _evaluated(self, state: State) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
        """Outputs, what comes out of each activation, and the losses of one network."""
        loop = self._loop
        hidden: list[Any] = []
        hooks = [
            module.register_forward_hook(lambda _module, _given, output: hidden.append(output))
            for name, module in loop.model.named_children()
            if name.startswith("activation")
        ]
        try:
            outputs_MC = functional_call(loop.model, state, (self._inputs_M2,))
        finally:
            for hook in hooks:
                hook.remove()
        outputs_NC = outputs_MC[self._points]
        losses = {
            name: loop.loss_fn(outputs_NC[rows_N], loop.targets_N[rows_N])
            for name, rows_N in (("loss", loop.train_N), ("held_loss", loop.held_N))
        }
        return outputs_MC, hidden, losses

    def _map(self, probability_FMC: Tensor) -> dict[str, NDArray[Any]]:
        sure_FM, winner_FM = probability_FMC.nan_to_num(0.0).max(dim=-1)
        return {
            "winner": winner_FM.to(torch.uint8).numpy(),
            "sure": (sure_FM * 255).round().to(torch.uint8).numpy(),
        }

    def _units(self, hidden: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
        """The map of each unit, by its largest output there."""
        every = GRID // self.unit_grid
        maps, scales = [], []
        for output_FMU in hidden:
            output_FGGU = output_FMU[:, : self._points.start].unflatten(1, (GRID, GRID))
            output_FUGG = output_FGGU[:, every // 2 :: every, every // 2 :: every].movedim(-1, 1).nan_to_num(0.0)
            scale_FU = output_FUGG.abs().amax(dim=(2, 3))
            byte_FUGG = output_FUGG / scale_FU.clamp_min(1e-30)[..., None, None] * _REACH + _ZERO
            maps.append(byte_FUGG.round().to(torch.uint8))
            scales.append(scale_FU)
        if not maps:
            return {"units": np.zeros(0, np.uint8), "unit_scale": np.zeros(0, np.float32)}
        return {"units": torch.cat(maps, dim=1).numpy(), "unit_scale": torch.cat(scales, dim=1).numpy()}

    def _layers(self, hidden: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
        """The state of each unit over the training points, and the shares of each layer."""
        states, dead, saturated = [], [], []
        kind = self._loop.settings.activation
        for output_FMU in hidden:
            output_FNU = output_FMU[:, self._points][:, self._loop.train_N]
            none_FU = torch.zeros(output_FNU.shape[::2])
            dead_FU = torch.stack([dead_units(output_NU) for output_NU in output_FNU]) if kind == "relu" else none_FU
            ends_FU = saturated_outputs(output_FNU, kind).float().mean(dim=1) if kind in _SATURATING else none_FU
            states.append((dead_FU * DEAD + (ends_FU > _MOSTLY) * SATURATED).to(torch.uint8))
            dead.append(dead_FU.double().mean(dim=1))
            saturated.append(ends_FU.double().mean(dim=1))
        if not states:
            none = np.zeros(0)
            return {"unit_state": none.astype(np.uint8), "layer_dead": none, "layer_saturated": none}
        return {
            "unit_state": torch.cat(states, dim=1).numpy(),
            "layer_dead": torch.stack(dead, dim=1).numpy(),
            "layer_saturated": torch.stack(saturated, dim=1).numpy(),
        }

    def _accuracies(self, probability_FNC: Tensor) -> dict[str, NDArray[Any]]:
        loop = self._loop
        right_FN = probability_FNC.argmax(dim=-1) == loop.labels_N
        return {
            name: right_FN[:, rows_N].double().mean(dim=1).numpy()
            for name, rows_N in (("accuracy", loop.train_N), ("held_accuracy", loop.held_N))
        }


def _places(window: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """The middles of the squares of a grid, (G G, 2): by rows from the top, each from the left."""
    left, right, low, high = window
    middle_G = (np.arange(GRID) + 0.5) / GRID
    y_GG, x_GG = np.meshgrid(high - (high - low) * middle_G, left + (right - left) * middle_G, indexing="ij")
    return np.stack([x_GG.ravel(), y_GG.ravel()], axis=1).astype(np.float32)

"""Dead and saturated units, measured wherever a forward pass calls an activation function.

Shape suffixes: N samples, U units (channels of maps, features of tokens).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

# Beyond these outputs, the derivative of an activation is under a hundredth of its maximum.
_TANH_END = 0.995  # 1 - tanh² < 0.01
_SIGMOID_END = 0.0025  # s(1 - s) < 0.0025 = 0.01 / 4


class ActivationProbe(TorchFunctionMode):
    """A context that measures every call of ReLU, sigmoid or tanh, as module, function or method.

    A ReLU unit is dead if it outputs zero for all samples (and at all positions of a map). An output of sigmoid or tanh
    is saturated if the derivative there is under 1 % of its maximum.

    Example:
        >>> import torch
        >>> with ActivationProbe() as probe:
        ...     _ = torch.relu(torch.tensor([[1.0, -1.0], [2.0, -3.0]]))
        >>> probe.worst_dead().item()
        0.5
    """

    def __init__(self) -> None:
        super().__init__()
        self.dead: list[Tensor] = []
        self.saturated: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        measure = _measure_of(getattr(func, "__name__", ""), args, kwargs or {})
        # a subclass, or a value inside a transform of torch.func, stands for other tensors
        if measure is not None and type(output) is torch.Tensor and output.ndim > 1 and not is_transformed(output):
            with torch.no_grad(), suppress(Exception):  # measuring must never break a forward pass
                getattr(self, measure[0]).append(measure[1](output.detach()))
        return output

    def worst_dead(self) -> Tensor | None:
        """Return the largest share of dead units over all calls, a scalar on the device; None without a ReLU call."""
        return torch.stack(self.dead).max() if self.dead else None

    def worst_saturated(self) -> Tensor | None:
        """Return the largest share of saturated outputs over all calls; None without a sigmoid or tanh call."""
        return torch.stack(self.saturated).max() if self.saturated else None


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor is a value inside `torch.func.grad`, `vmap` or another transform."""
    library: Any = torch
    return library._C._functorch.is_functorch_wrapped_tensor(tensor)  # noqa: SLF001 - torch has no public name


def dead_units(output: Tensor) -> Tensor:
    """Which units of a ReLU's output are zero everywhere; units are dimension 1 of maps, the last of tokens.

    Returns:
        Booleans of shape (U,).

    Example:
        >>> dead_units(torch.tensor([[1.0, 0.0], [0.0, 0.0]])).tolist()
        [False, True]
    """
    unit = 1 if output.ndim in (2, 4, 5) else output.ndim - 1
    others = [dimension for dimension in range(output.ndim) if dimension != unit]
    return output.amax(dim=others) <= 0


def saturated_outputs(output: Tensor, function: str) -> Tensor:
    """Which outputs of a function lie where its derivative is under 1 % of its maximum.

    Args:
        output: of any shape.
        function: `tanh` or `sigmoid`.

    Returns:
        Booleans of the shape of `output`.

    Example:
        >>> saturated_outputs(torch.tensor([0.5, 0.999]), "tanh").tolist()
        [False, True]
    """
    return output.abs() > _TANH_END if function == "tanh" else (output - 0.5).abs() > 0.5 - _SIGMOID_END


def _dead_share(output: Tensor) -> Tensor:
    return dead_units(output).float().mean()


def _tanh_share(output: Tensor) -> Tensor:
    return saturated_outputs(output, "tanh").float().mean()


def _sigmoid_share(output: Tensor) -> Tensor:
    return saturated_outputs(output, "sigmoid").float().mean()


def _measure_of(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[str, Callable[[Tensor], Tensor]] | None:
    """The list and the measure of a function's outputs; `nn.ReLU6` calls hardtanh between 0 and 6."""
    if name in ("hardtanh", "hardtanh_"):
        lowest = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
        name = "relu" if lowest == 0 else ""
    return _MEASURES.get(name)


_MEASURES: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "relu": ("dead", _dead_share),
    "relu_": ("dead", _dead_share),
    "relu6": ("dead", _dead_share),
    "tanh": ("saturated", _tanh_share),
    "tanh_": ("saturated", _tanh_share),
    "sigmoid": ("saturated", _sigmoid_share),
    "sigmoid_": ("saturated", _sigmoid_share),
}

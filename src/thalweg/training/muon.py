"""Muon: momentum with each matrix orthogonalized, so that all its directions move equally.

Shape suffixes: R rows, K columns, R ≤ K; B matrices.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.optim import AdamW, Optimizer

from thalweg._replay import Replay
from thalweg.probes import foreach


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

ShareOut: TypeAlias = "Callable[[Sequence[tuple[int, int]], Callable[[int], Tensor]], Iterable[Tensor]]"
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(Optimizer):
    """Momentum with each matrix made nearly orthogonal, O_t = ortho(g_t + μ m_t); AdamW for the rest.

    m_t = μ m_{t−1} + g_t; θ_t = (1 − η_t λ) θ_{t−1} − 0.2 η_t √max(R, K) O_t.

    A convolution's kernel is treated as the matrix (outputs, inputs · height · width), its columns in the order of
    memory: nothing is copied, and the order changes rounding alone. The factor scales the update to the size of
    AdamW's, so that one learning rate suits both. torch.optim.Muon is the same but takes matrices only.

    Args:
        matrices: parameters with two or more dimensions.
        rest: parameter groups for AdamW, as torch takes them.
        lr: η.
        weight_decay: λ for the matrices.
        momentum: μ.

    Attributes:
        share_out: applies `orthogonal` to matrices of given shapes, which it asks for by number, for trainings in
            shards; None: here, one after another.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the factor: Liu et al. 2025,
    https://arxiv.org/abs/2502.16982.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        rest: Sequence[dict[str, Any]],
        *,
        lr: float = 2e-3,
        weight_decay: float = 0.05,
        momentum: float = 0.95,
    ) -> None:
        first = {"params": list(matrices), "weight_decay": weight_decay, "momentum": momentum}
        super().__init__([first, *AdamW(list(rest), lr=lr, fused=True).param_groups], {"lr": lr})
        self._adamw, self._replay = self._for_the_rest(), Replay()
        self.share_out: ShareOut | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state, for copies, pickles and `load_state_dict`."""
        super().__setstate__(state)
        self._adamw, self._replay = self._for_the_rest(), Replay()
        self.share_out = None

    def _for_the_rest(self) -> AdamW:
        """Return an AdamW that shares our groups and state, so that schedules and checkpoints see one optimizer."""
        adamw = AdamW([{"params": group["params"]} for group in self.param_groups[1:]], fused=True)
        adamw.param_groups, adamw.state = self.param_groups[1:], self.state
        return adamw

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step with the parameters' current gradients."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        group = self.param_groups[0]
        if group["params"][0].is_cuda and self.share_out is None:
            numbers_3 = torch.tensor([group["lr"], group["weight_decay"], group["momentum"]], pin_memory=True)
            gradients = [parameter.grad for parameter in group["params"]]
            self._replay(self._together, numbers_3.to(group["params"][0].device, non_blocking=True), *gradients)
        else:
            self._one_by_one(group)
        self._adamw.step()
        return loss

    def _one_by_one(self, group: dict[str, Any]) -> None:
        given = [(parameter, parameter.grad) for parameter in group["params"] if parameter.grad is not None]
        for parameter, gradient in given:
            moment = self._moment(parameter)
            torch.add(gradient, moment, alpha=group["momentum"], out=moment)

        def direction(at: int) -> Tensor:
            parameter, gradient = given[at]
            return _matrix_of(gradient.add(self._moment(parameter), alpha=group["momentum"]), parameter)

        shapes = [(len(parameter), parameter[0].numel()) for parameter, _ in given]
        each = (orthogonal(direction(at)) for at in range(len(given)))
        updates = each if self.share_out is None else self.share_out(shapes, direction)
        for (parameter, _), update in zip(given, updates, strict=True):
            scale = 0.2 * math.sqrt(max(update.shape))
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(_shaped_as(parameter, update), alpha=-group["lr"] * scale)

    def _together(self, numbers_3: Tensor, *gradients: Tensor | None) -> tuple[()]:
        """Update all matrices at once, which is faster on a GPU.

        Args:
            numbers_3: rate, weight decay and momentum.
            *gradients: in the order of the matrices; a matrix without a gradient stays unchanged.
        """
        lr, decay, momentum = numbers_3
        given = [gradient for gradient in gradients if gradient is not None]
        places = [place for place, gradient in enumerate(gradients) if gradient is not None]
        parameters = [self.param_groups[0]["params"][place] for place in places]
        moments = [self._moment(parameter) for parameter in parameters]
        foreach.multiply(moments, momentum)
        foreach.add(moments, given)
        directions = [gradient.addcmul(moment, momentum) for moment, gradient in zip(moments, given, strict=True)]
        updates = orthogonal_together(list(map(_matrix_of, directions, parameters)))
        foreach.multiply(parameters, 1 - lr * decay)
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.addcmul_(_shaped_as(parameter, update), lr, value=-0.2 * math.sqrt(max(update.shape)))
        return ()

    def _moment(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def orthogonal(matrix: Tensor) -> Tensor:
    """Bring a matrix's singular values close to 1 (about 0.7 to 1.2), keeping their directions.

    Each, relative to the matrix's norm, becomes that which five times f gives:
    f(s) = 3.4445 s − 4.775 s³ + 2.0315 s⁵.

    `X ← (a·I + b·G + c·G²)·X` with `G = X·Xᵀ`, five times from `X/‖X‖`. All iterations work on G, which is R by R, and
    X is multiplied once: for wide matrices this is a fraction of the work.

    Example:
        >>> near = orthogonal(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.01, 0.0]]))
        >>> bool((near.diagonal() > 0.6).all())
        True
    """
    wide_RK = _wide(matrix)
    return _as_was((_map_of(wide_RK @ wide_RK.mT) @ wide_RK), matrix)


def orthogonal_together(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Apply `orthogonal` to each; matrices with equally many rows are batched, since all the work is R by R."""
    wides = [_wide(matrix) for matrix in matrices]
    members: dict[int, list[int]] = {}
    for position, wide_RK in enumerate(wides):
        members.setdefault(len(wide_RK), []).append(position)
    maps: dict[int, Tensor] = {}
    for positions in members.values():
        maps_BRR = _map_of(torch.stack([wides[position] @ wides[position].mT for position in positions]))
        maps |= dict(zip(positions, maps_BRR, strict=True))
    return [_as_was(maps[at] @ wides[at], matrix) for at, matrix in enumerate(matrices)]


def _matrix_of(values: Tensor, parameter: Tensor) -> Tensor:
    """Return values of a parameter as a matrix, its columns in the memory order of the parameter."""
    return values.permute(_memory_order(parameter)).reshape(len(parameter), -1)


def _shaped_as(parameter: Tensor, matrix: Tensor) -> Tensor:
    """Return a matrix of `_matrix_of` in the parameter's shape."""
    order = _memory_order(parameter)
    back = sorted(range(len(order)), key=order.__getitem__)
    return matrix.reshape([parameter.shape[axis] for axis in order]).permute(back)


def _memory_order(parameter: Tensor) -> list[int]:
    """Return the axes from the largest stride to the smallest, rows first; the stride of a side of 1 says nothing."""
    strides = [stride if side > 1 else 0 for stride, side in zip(parameter.stride(), parameter.shape, strict=True)]
    return [0, *sorted(range(1, parameter.ndim), key=lambda axis: -strides[axis])]


def _wide(matrix: Tensor) -> Tensor:
    """Transpose if needed to get R ≤ K, and scale so that no singular value exceeds 1."""
    wide_RK = (matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix).float()
    return wide_RK / wide_RK.norm().clamp(min=1e-7)


def _as_was(wide_RK: Tensor, matrix: Tensor) -> Tensor:
    wide_RK = wide_RK.to(matrix.dtype)
    return wide_RK.mT if matrix.shape[0] > matrix.shape[1] else wide_RK


def _map_of(gram_RR: Tensor) -> Tensor:
    """Return the product of all iterations, which multiplies X, from `G = X·Xᵀ`: one matrix or many as (B, R, R)."""
    identity_RR = torch.eye(gram_RR.shape[-1], device=gram_RR.device)
    a, b, c = COEFFICIENTS
    product_RR = map_RR = a * identity_RR + b * gram_RR + c * (gram_RR @ gram_RR)
    for _ in range(ITERATIONS - 1):
        gram_RR = map_RR @ gram_RR @ map_RR
        map_RR = a * identity_RR + b * gram_RR + c * (gram_RR @ gram_RR)
        product_RR = map_RR @ product_RR
    return product_RR

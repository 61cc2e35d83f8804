"""A loss of several terms, one of which drowns another: the class beside a box in pixels, a sum beside a mean.

The terms are what the last additions of the loss add. A term of the targets has learned something if it is lower for
each sample's own targets than for another's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

LEARNED = 0.02  # of a term: by so much it is lower for a sample's own targets once it has learned anything
_ROUNDING = (
    1e-6  # of a term, now or at the start: it takes the targets in another order, and needs them as a whole only
)
_ADDING = {"add", "__add__", "__radd__", "__iadd__", "add_", "sub", "__sub__", "__isub__"}
_SCALING = {"mul", "__mul__", "__rmul__", "div", "__truediv__", "true_divide"}
_IN_PLACE: dict[str, Any] = {"__iadd__": torch.add, "add_": torch.add, "__isub__": torch.sub}


def terms_measures(copied: Copy, start: Mapping[str, Tensor], batch: Batch) -> dict[str, float]:
    """Measure how much of the gradient a term gets that depends on the targets and has learned nothing of them.

    Args:
        copied: of the model now; then gets the weights of the start.
        start: weights and buffers by name; empty: the gradients are those of now.
        batch: of inputs and targets.

    Returns:
        `drowned_term`: the norm of that term's gradient relative to another term's, over the weights that both
        reach; the smallest of all such pairs. Nothing for a loss of one term, if every term has learned, or if the
        terms share no weight.
    """
    own = _terms(copied, batch, batch.targets)
    other = _terms(copied, batch, mapped(batch.targets, lambda one: one.roll(1, 0) if one.ndim else one))
    if len(own) < 2 or len(own) != len(other):
        return {}
    pairs = [(float(one.detach()), float(another.detach())) for one, another in zip(own, other, strict=True)]
    if rewound(copied, start):
        own = _terms(copied, batch, batch.targets)
    if len(own) != len(pairs):
        return {}
    idle = [
        at
        for at, (mine, yours) in enumerate(pairs)
        if abs(yours - mine) > _ROUNDING * max(abs(yours), abs(float(own[at].detach())))
        and yours - mine < LEARNED * abs(yours)
    ]
    if not idle:
        return {}
    parameters = [parameter for parameter in copied.model.parameters() if parameter.requires_grad]
    gradients = [torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True) for term in own]
    pairs = [(gradients[at], other) for at in idle for other in gradients if other is not gradients[at]]
    shares = [share for mine, other in pairs if math.isfinite(share := _share(mine, other))]
    return {"drowned_term": min(shares)} if shares else {}


def _terms(copied: Copy, batch: Batch, targets: Any) -> list[Tensor]:
    """The terms of the loss, in the order in which they are added."""
    with own_randomness(0), torch.enable_grad(), _Sums() as sums:
        loss = copied.loss_fn(batch.outputs(copied.model), targets)
    return sums.parts_of(loss)


class _Sums(TorchFunctionMode):
    """Notes what was added, or scaled by a number, to make each scalar."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, tuple[Tensor, list[Tensor]]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function; an addition in place makes a new tensor, so that the old one stays."""
        name = getattr(func, "__name__", "")
        made = _IN_PLACE.get(name, func)(*args, **(kwargs or {}))
        parts = [one for one in args if isinstance(one, Tensor) and one.requires_grad]
        known = name in _ADDING or (name in _SCALING and len(parts) == 1)
        if known and isinstance(made, Tensor) and all(one.numel() == 1 for one in (made, *parts)):
            self._made[id(made)] = made, parts
        return made

    def parts_of(self, loss: Tensor) -> list[Tensor]:
        """The scalars that a loss was added from."""
        made = self._made.get(id(loss))
        if made is None:
            return [loss] if loss.requires_grad else []
        return [part for one in made[1] for part in self.parts_of(one)]


def _share(mine: Sequence[Tensor | None], other: Sequence[Tensor | None]) -> float:
    """The norm of a gradient relative to another's, over the weights that both reach; NaN if there are none."""
    squares = torch.zeros(2, dtype=torch.double)
    for one, two in zip(mine, other, strict=True):
        if one is not None and two is not None:
            pair = torch.stack([one, two]).double()
            squares += (pair * (pair != 0).all(dim=0)).square().flatten(1).sum(dim=1).cpu()
    return float((squares[0] / squares[1]).sqrt())

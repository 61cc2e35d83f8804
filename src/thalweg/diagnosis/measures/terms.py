"""A loss of several terms, one of which drowns another: the class beside a box in pixels, a sum beside a mean.

The terms are what the last additions of the loss add. A term of the targets has learned something if it is lower for
each sample's own targets than for another's, and lower than for the best outputs that are the same for all samples.

Shape suffixes: N samples, D columns of targets.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from thalweg.diagnosis.measures.batch import constant_measures
from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness
from thalweg.probes.kept import leaves


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

MOST_COLUMNS = 16  # of targets
LEARNED = 0.02  # of a term: by so much it is lower for a sample's own targets once it has learned anything
MUCH = 0.5  # of a term: by so much lower, it has learned, whatever a constant reaches
_ROUNDING = (
    1e-6  # of a term, now or at the start: it takes the targets in another order, and needs them as a whole only
)
_A_LITTLE = 0.25  # rounded or cut off, a class stays what it is
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
        reach; the smallest of all such pairs. Factors before whole terms do not count, so a term that reaches weights
        without passing the outputs, a penalty, drowns nothing: `measures.penalty` weighs it with its factor.
        `drowning_targets`: the root mean square of the targets of that other term, if they are numbers. Nothing for a
        loss of one term, if every term has learned, or if the terms share no weight.
    """
    terms = terms_now(copied, batch)
    if len(terms) < 2:
        return {}
    rewound(copied, start)
    outputs, own = _pass(copied, batch, batch.targets)
    if len(own) != len(terms):
        return {}
    idle = [at for at, term in enumerate(terms) if term.is_idle(abs(float(own[at].detach())))]
    if not idle:
        return {}
    parameters = [parameter for parameter in copied.model.parameters() if parameter.requires_grad]
    gradients = [torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True) for term in own]
    others = [by for by, term in enumerate(own) if _passes(term, outputs)]
    pairs = [(_share(gradients[at], gradients[by]), by) for at in idle for by in others if by != at]
    shares = [pair for pair in pairs if math.isfinite(pair[0])]
    if not shares:
        return {}
    least, by = min(shares)
    return {"drowned_term": least} | _targets_of(copied, batch, by)


class Term(NamedTuple):
    """A term of the loss: for the targets of each sample, for another's, and for the best constant outputs."""

    mine: float
    yours: float
    constant: float  # infinite: unknown

    def is_idle(self, first: float) -> bool:
        """Whether it depends on which sample has which targets, and nothing of that has been learned."""
        lower = self.yours - self.mine
        depends = abs(lower) > _ROUNDING * max(abs(self.yours), first)
        above = self.mine > self.constant and lower < MUCH * abs(self.yours)  # outputs may scale a term: to zero
        return depends and (lower < LEARNED * abs(self.yours) or above)


def terms_now(copied: Copy, batch: Batch) -> list[Term]:
    """The terms of the loss as they are now, in the order in which they are added; none for a loss of one term."""
    own, other = _terms(copied, batch, batch.targets), _terms(copied, batch, _rolled(batch.targets))
    if len(own) < 2 or len(own) != len(other):
        return []
    constants = [_constant(copied, batch, at) for at in range(len(own))]
    return [
        Term(float(mine.detach()), float(yours.detach()), constant)
        for mine, yours, constant in zip(own, other, constants, strict=True)
    ]


def _constant(copied: Copy, batch: Batch, at: int) -> float:
    """The lowest that a term is with outputs that are the same for all samples; infinite if it cannot be asked."""
    with own_randomness(0), torch.no_grad():
        outputs = batch.outputs(copied.model)
    if not isinstance(outputs, Tensor) or not isinstance(batch.targets, Tensor):
        return math.inf

    def term(given: Tensor, targets: Tensor) -> Tensor:
        asked = given if given.requires_grad else given.detach().requires_grad_()  # only then are its terms noted
        with torch.enable_grad(), _Sums() as sums:
            loss = copied.loss_fn(asked, targets)
        return sums.parts_of(loss)[at]

    with suppress(Exception):  # a term that takes no constant outputs
        return constant_measures(outputs, batch.targets, term, "none").get("loss_constant", math.inf)
    return math.inf


def _rolled(targets: Any) -> Any:
    return mapped(targets, lambda one: one.roll(1, 0) if one.ndim else one)


def _targets_of(copied: Copy, batch: Batch, at: int) -> dict[str, float]:
    """The root mean square of the numbers that a term takes as targets; a class with a little added is the same."""
    targets = batch.targets
    if not isinstance(targets, Tensor) or not targets.is_floating_point() or not targets.ndim:
        return {}
    flat_ND = targets.reshape(len(targets), -1)
    if flat_ND.shape[1] > MOST_COLUMNS:
        return {}
    before, taken = float(_terms(copied, batch, targets)[at].detach()), []
    for column in range(flat_ND.shape[1]):
        changed_ND = flat_ND.clone()
        changed_ND[:, column] += _A_LITTLE
        terms = _terms(copied, batch, changed_ND.reshape(targets.shape))
        if len(terms) > at and float(terms[at].detach()) != before:
            taken.append(flat_ND[:, column])
    return {"drowning_targets": float(torch.stack(taken).double().square().mean().sqrt())} if taken else {}


def _terms(copied: Copy, batch: Batch, targets: Any) -> list[Tensor]:
    """The terms of the loss, in the order in which they are added, without the factors before them."""
    return _pass(copied, batch, targets)[1]


def _pass(copied: Copy, batch: Batch, targets: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors of the outputs, and the terms of the loss."""
    with own_randomness(0), torch.enable_grad(), _Sums() as sums:
        outputs = batch.outputs(copied.model)
        loss = copied.loss_fn(outputs, targets)
    return [one for one in leaves(outputs) if one.requires_grad], sums.parts_of(loss)


def _passes(term: Tensor, outputs: Sequence[Tensor]) -> bool:
    """Whether a term depends on the outputs; if their tensors are unknown, it may."""
    if not outputs:
        return True
    found = torch.autograd.grad(term, outputs, retain_graph=True, allow_unused=True)
    return any(one is not None for one in found)


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

"""Whether the outputs depend on the inputs at all: which of the values that differ between samples the network sees.

A mask the wrong way round, a norm over a single value, a position that holds the same token in every sample and alone
is read: then no weights can tell the samples apart. That is a property of the wiring, so it is measured with the
weights of now and with new ones. Units that died, a rate that wrecked the network and weights that are zero are other
causes: new weights see again.

Shape suffixes: N samples, P positions (the features of a sample, or its tokens).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import nn

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

MOST = 0.5  # of the positions: a network that sees fewer is asked again with new weights
NEARLY_ALL = 0.95  # of a table: where less reaches the outputs, and a branch has no gradient, it is not joined
_NOTHING = 1e-12  # of the outputs or weights, in double precision: an influence below it is none
_NOISE = 0.1  # of a layer's usual scale: new weights that begin at zero, such as gates, get this much


def ignored_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of the inputs' positions through which the network can tell samples apart.

    A value is seen if a gradient of the outputs reaches it. A position counts if two samples have different values
    there, both seen. Where none counts, the unseen values are exchanged between samples; if the outputs change,
    gradients did not tell (a rounding, a threshold), and all positions count.

    Args:
        copied: gets new weights, evaluation mode, and double precision where its pass allows it.
        batch: with tensors of real numbers, or of tokens that an embedding looks up as they are; masks of two values
            beside them tell nothing about a sample.

    Returns:
        `inputs_seen`, in [0, 1], of the positions whose values differ between samples; the larger of the share with
        the weights of now and that with new ones. If it is 0, `erased_at`: the place in `model.modules()` of the layer
        that erases what differs, if one alone does. Nothing for samples that are all alike, for inputs of other kinds
        and for numbers that are not finite.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def seen(*layers):
        ...     model = nn.Sequential(*layers)
        ...     copied = Copy.of(model, torch.optim.SGD(model.parameters()), nn.MSELoss())
        ...     return ignored_measures(copied, Batch(torch.randn(8, 6), torch.zeros(8)))
        >>> seen(nn.Linear(6, 4)), seen(nn.Linear(6, 4), nn.GroupNorm(4, 4))
        ({'inputs_seen': 1.0}, {'inputs_seen': 0.0, 'erased_at': 2.0})
    """
    try:
        return _measured(copied, batch, torch.double)
    except (
        RuntimeError
    ):  # a pass that names its own precision: rounding may then look like an influence, but not the reverse
        return _measured(copied, batch, torch.float)


def _measured(copied: Copy, batch: Batch, kind: torch.dtype) -> dict[str, float]:
    model = copied.model.to(kind).eval()

    def cast(leaf: Tensor) -> Tensor:
        return leaf.to(kind) if leaf.is_floating_point() else leaf

    batch = replace(batch, inputs=mapped(batch.inputs, cast))
    shares = []
    for new in (False, True):
        if new:
            copied.restart()
            stir(model)
        share = _share_seen(model, batch)
        if share is None:
            return {}
        shares.append(share)
        if share > MOST:
            break
    return {"inputs_seen": max(shares)} | ({} if max(shares) else _erasing(model, batch))


def _erasing(model: nn.Module, batch: Batch) -> dict[str, float]:
    """The place, among all modules, of the first one whose inputs differ between samples and whose outputs do not."""
    places = {module: place for place, module in enumerate(model.modules()) if not list(module.children())}
    found: list[int] = []

    def look(module: nn.Module, taken: tuple[Any, ...], given: Any) -> None:
        pair = [next(tensors_in(part), None) for part in (taken, given)]
        before, after = (one is not None and one.ndim > 0 and _differs(one) for one in pair)
        if before and not after:
            found.append(places[module])

    hooks = [module.register_forward_hook(look) for module in places]
    try:
        with own_randomness(0), torch.no_grad():
            batch.outputs(model)
    finally:
        for hook in hooks:
            hook.remove()
    return {"erased_at": float(found[0])} if found else {}


def _differs(tensor: Tensor) -> bool:
    size = float(tensor.abs().max()) if tensor.numel() else 0.0
    return bool((tensor - tensor[:1]).abs().max() > 1e3 * _NOTHING * size) if size else False


@dataclass(frozen=True, slots=True)
class _Seen:
    """A tensor of the inputs, as (N, P), and which of its values are seen."""

    values_NP: Tensor
    seen_NP: Tensor

    @property
    def counts(self) -> tuple[int, int]:
        """Number of positions whose values differ, and of those at which two different values are seen."""
        values_NP = self.values_NP.double()
        differ_P = (values_NP != values_NP[:1]).any(dim=0)
        low_P = values_NP.masked_fill(~self.seen_NP, torch.inf).amin(dim=0)
        high_P = values_NP.masked_fill(~self.seen_NP, -torch.inf).amax(dim=0)
        return int(differ_P.sum()), int((high_P > low_P).sum())


def _share_seen(model: nn.Module, batch: Batch) -> float | None:
    leaves = list(tensors_in(batch.inputs))
    if not leaves or any(not leaf.ndim or len(leaf) != len(leaves[0]) or len(leaf) < 2 for leaf in leaves):
        return None
    told = [leaf for leaf in leaves if not _is_mask(leaf, leaves)]
    found = _seen_in(model, batch, told)
    if found is None:
        return None
    counts = [one.counts for one in found]
    differ, seen = (sum(column) for column in zip(*counts, strict=True))
    if not differ:
        return None
    if not seen and _exchanging_matters(model, batch, told, found):
        return 1.0
    return seen / differ


def _seen_in(model: nn.Module, batch: Batch, told: list[Tensor]) -> list[_Seen] | None:
    """Which values of each tensor are seen; None if that cannot be told for one of them."""
    begun: dict[int, Tensor] = {}
    given = {id(leaf): leaf.detach().requires_grad_() if leaf.is_floating_point() else leaf for leaf in told}
    begun |= {key: leaf for key, leaf in given.items() if leaf.requires_grad}
    words = [leaf for leaf in told if not leaf.is_floating_point()]

    def look_up(_module: nn.Module, taken: tuple[Any, ...], vectors: Tensor) -> Tensor | None:
        leaf = next((leaf for leaf in words if taken and _same(taken[0], leaf)), None)
        if leaf is None or id(leaf) in begun or vectors.shape[: leaf.ndim] != leaf.shape:
            return None
        begun[id(leaf)] = vectors.detach().requires_grad_()
        return begun[id(leaf)]

    hooks = [module.register_forward_hook(look_up) for module in model.modules() if isinstance(module, nn.Embedding)]
    try:
        with own_randomness(0), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            inputs = mapped(batch.inputs, lambda leaf: given.get(id(leaf), leaf))
            outputs = [one for one in tensors_in(replace(batch, inputs=inputs).outputs(model)) if one.requires_grad]
            if set(begun) != set(given):
                return None
            starts = [begun[id(leaf)] for leaf in told]
            drawn = [torch.randn_like(one) for one in outputs]
            gradients = (
                torch.autograd.grad(outputs, starts, drawn, allow_unused=True) if outputs else [None] * len(told)
            )
    finally:
        for hook in hooks:
            hook.remove()
    if not all(bool(torch.isfinite(one).all()) for one in (*outputs, *filter(_given, gradients))):
        return None
    size = _size(model, outputs)
    return [
        _Seen(leaf.detach().reshape(len(leaf), -1), _reached(leaf, start, gradient, size))
        for leaf, start, gradient in zip(told, starts, gradients, strict=True)
    ]


def _reached(leaf: Tensor, start: Tensor, gradient: Tensor | None, size: float) -> Tensor:
    """Whether a change of each value as large as the values themselves would change the outputs, (N, P)."""
    if gradient is None:
        return torch.zeros_like(leaf, dtype=torch.bool).reshape(len(leaf), -1)
    influence = gradient.abs() * start.detach().abs().max()
    if influence.ndim > leaf.ndim:
        influence = influence.flatten(leaf.ndim).amax(dim=-1)
    return (influence > _NOTHING * size).reshape(len(leaf), -1)


@torch.no_grad()
def _exchanging_matters(model: nn.Module, batch: Batch, told: list[Tensor], found: list[_Seen]) -> bool:
    """Whether the outputs change if the unseen values of each position are exchanged between samples."""
    others: dict[int, Tensor] = {}
    for leaf, one in zip(told, found, strict=True):
        values_NP = one.values_NP.clone()
        for position in range(values_NP.shape[1]):
            rows = (~one.seen_NP[:, position]).nonzero()[:, 0]
            values_NP[rows, position] = values_NP[rows.roll(1), position]
        others[id(leaf)] = values_NP.reshape(leaf.shape)
    pair = []
    for inputs in (batch.inputs, mapped(batch.inputs, lambda leaf: others.get(id(leaf), leaf))):
        with own_randomness(0):
            pair.append(list(tensors_in(replace(batch, inputs=inputs).outputs(model))))
    size = _size(model, pair[0])
    return any(
        bool((after - before).abs().max() > 1e3 * _NOTHING * size)
        for before, after in zip(*pair, strict=True)
        if before.is_floating_point() and before.numel()
    )


def _size(model: nn.Module, outputs: Sequence[Tensor]) -> float:
    """The largest output, or the largest weight: outputs may all be zero, and rounding is not."""
    held = [*outputs, *model.parameters()]
    return max((float(one.detach().abs().max()) for one in held if one.numel()), default=0.0)


def _given(gradient: Tensor | None) -> TypeGuard[Tensor]:
    return gradient is not None


def _is_mask(leaf: Tensor, leaves: list[Tensor]) -> bool:
    """Whether a tensor beside others says which of their values count."""
    return len(leaves) > 1 and not leaf.is_floating_point() and len(leaf.unique()) < 3


def _same(taken: Any, leaf: Tensor) -> bool:
    return isinstance(taken, torch.Tensor) and taken.shape == leaf.shape and bool((taken == leaf).all())


@torch.no_grad()
def stir(model: nn.Module) -> None:
    """Add noise to every weight, also to those that begin at zero."""
    for parameter in model.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.add_(torch.randn_like(parameter), alpha=_NOISE / max(1, fan) ** 0.5)

"""The constant's loss of a network whose outputs are not one tensor: what it learns once it cannot tell samples apart.

A variational autoencoder, a model that returns its own loss, a loss of several outputs: no single output can be held
constant. So the network is made blind instead. Each layer with weights gets the mean of the samples in place of each of
them, and the copy is trained on. What it reaches is what any answer that is the same for all samples can reach: the
mean picture, the frequencies of the classes, a code that says nothing.

Shape suffixes: N samples.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from thalweg.probes.batches import mapped, mean_loss
from thalweg.probes.copies import own_randomness
from thalweg.probes.dropout import WithoutDropout
from thalweg.probes.holdout import FEWEST_TO_DIVIDE, kept_out, rows_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

STEPS, FEWEST_STEPS = 100, 40
RATES = (1e-2, 5e-2)  # of Adam
LOOK = 5  # steps
EARLY, SETTLED = 0.75, 0.02  # of the steps; of the loss: by so much it may still fall after them
SHARE = 0.25  # of the time of the short runs
COLLAPSED = 0.05  # of the loss at new weights: where a blind network gets below it, blindness is no disadvantage
_SAME = 1e-3  # of the largest number that a layer is given


def blind_measures(
    new: Callable[[], Copy], batches: Sequence[Batch], *, a_step: float = 0.0, seconds: float = math.inf
) -> dict[str, float]:
    """Measure the loss that a network reaches whose layers get the same for every sample.

    Args:
        new: makes a copy of the model, its optimizer and its loss.
        batches: at least one; some samples are kept out, and say when to stop.
        a_step: seconds that a step takes.
        seconds: of which a quarter may be used.

    Returns:
        `loss_constant`: the lowest over copies trained from now and from new weights, at several rates, at the step
        where the loss on the samples kept out is lowest; and `constant_fitted`, 1. Nothing where it still falls at the
        end; where outputs are one tensor, whose constant is found without a network; where a layer cannot be made
        blind; where a blind network gets next to no loss, as where all outputs may collapse into one; or where steps
        take too long.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> class Rebuilding(nn.Sequential):
        ...     def forward(self, rows):
        ...         return {"loss": (super().forward(rows) - rows).square().mean()}
        >>> rows = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        >>> model = Rebuilding(nn.Linear(3, 2), nn.Linear(2, 3))
        >>> new = lambda: Copy.of(model, torch.optim.SGD(model.parameters()), lambda outputs, _: outputs["loss"])
        >>> constant = blind_measures(new, [Batch(rows, rows)])["loss_constant"]
        >>> abs(constant / float(rows.var(0).mean()) - 1) < 0.1
        True
    """
    ways = [(anew, rate) for anew in (True, False) for rate in RATES]
    steps = int(min(STEPS, SHARE * seconds / max(len(ways) * a_step, 1e-9)))
    if steps < FEWEST_STEPS or batches[0].size < FEWEST_TO_DIVIDE or not _is_asked(new(), batches[0]):
        return {}
    train, held = kept_out(batches)
    begun = _restarted(new())
    with own_randomness(0), WithoutDropout():
        at_first = mean_loss(begun.model, begun.loss_fn, batches)

    def fitted(*, anew: bool, rate: float) -> tuple[float, bool]:
        copied = _restarted(new()) if anew else new()
        return _fitted(copied, train, held, lambda: _loss(copied, batches), steps=steps, rate=rate)

    ends = [fitted(anew=anew, rate=rate) for anew, rate in ways]
    lowest, settled = min((end for end in ends if math.isfinite(end[0])), default=(math.nan, False))
    known = settled and lowest > COLLAPSED * abs(at_first)
    return {"loss_constant": lowest, "constant_fitted": 1.0} if known else {}


def _restarted(copied: Copy) -> Copy:
    with own_randomness(1):
        copied.restart()
    return copied


def _is_asked(copied: Copy, batch: Batch) -> bool:
    """Whether outputs are not one tensor, and all that layers are given can be made the same for all samples."""
    model = copied.model
    with own_randomness(0), torch.no_grad():
        outputs = batch.outputs(model)
    if (isinstance(outputs, Tensor) and outputs.ndim) or _is_layer(model):  # a layer that is given targets, too
        return False
    if any(_may_be_a_matrix(own) for module in model.modules() for own in _of_its_own(module)):
        return False  # a product that no layer computes
    rows = torch.arange(batch.size).roll(1)
    rolled = rows_of(batch, rows)
    if rolled is None:
        return False
    given: list[list[Tensor]] = []
    for one in (batch, rolled):
        with own_randomness(0), torch.no_grad(), _blind(model, batch.size) as taken:
            one.outputs(model)
        given.append(taken)
    pairs = zip(*given, strict=False)
    return bool(given[0]) and len(given[0]) == len(given[1]) and all(_same(*pair) for pair in pairs)


def _of_its_own(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module that has layers beside them."""
    return [] if _is_layer(module) or not list(module.children()) else list(module.parameters(recurse=False))


def _is_layer(module: nn.Module) -> bool:
    """Whether a module computes with weights and holds no other that does; attention counts as one."""
    own = next(module.parameters(recurse=False), None) is not None
    return own and (not list(module.children()) or isinstance(module, nn.MultiheadAttention))


def _may_be_a_matrix(parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and len(parameter) > 1


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    size = float(one.abs().max()) if one.numel() else 0.0
    return not size or float((one - other).abs().max()) <= _SAME * size


@contextmanager
def _blind(model: nn.Module, count: int) -> Iterator[list[Tensor]]:
    """Give every layer the same for each sample inside; yields a list of what the layers are given."""
    taken: list[Tensor] = []

    def even(tensor: Tensor) -> Tensor:
        at = next((dim for dim in range(min(2, tensor.ndim)) if tensor.shape[dim] == count), None)
        if at is not None:
            mean = tensor.mean(at, keepdim=True) if tensor.is_floating_point() else _middle(tensor, at)
            tensor = mean.expand_as(tensor)
        taken.append(tensor.detach().float())
        return tensor

    def change(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return mapped(args, even), mapped(kwargs, even)

    layers = [module for module in model.modules() if _is_layer(module)]
    hooks = [layer.register_forward_pre_hook(change, with_kwargs=True) for layer in layers]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def _middle(tensor: Tensor, dim: int) -> Tensor:
    """The median, which is one of the tokens, whatever their order."""
    whole = tensor.long() if tensor.dtype == torch.bool else tensor
    return whole.median(dim, keepdim=True).values.to(tensor.dtype)


def _fitted(
    copied: Copy,
    train: Sequence[Batch],
    held: Sequence[Batch],
    whole: Callable[[], float],
    *,
    steps: int,
    rate: float,
) -> tuple[float, bool]:
    """Train a blind copy; return the loss over whole batches where the one on samples kept out is lowest.

    Whole, because a loss that compares the samples of a batch depends on how many there are. Also return whether the
    last quarter of the steps made that lowest loss hardly lower.
    """
    model = copied.model
    parameters = [parameter.requires_grad_() for parameter in model.parameters() if parameter.is_floating_point()]
    adam = torch.optim.Adam(parameters, lr=rate)
    lowest, early, found = math.inf, math.inf, math.nan
    for step in range(1, steps + 1):
        batch = train[step % len(train)]
        adam.zero_grad()
        with torch.enable_grad(), WithoutDropout(), _blind(model, batch.size):
            loss = batch.loss(model, copied.loss_fn)
        if not loss.requires_grad or not math.isfinite(float(loss.detach())):
            break
        loss.backward()
        adam.step()
        if step % LOOK == 0:
            kept = _loss(copied, held)
            if kept < lowest:
                lowest, found = kept, whole()
            early = lowest if step <= EARLY * steps else early
    return found, early - lowest <= SETTLED * abs(lowest)


def _loss(copied: Copy, batches: Sequence[Batch]) -> float:
    losses = []
    for batch in batches:
        with own_randomness(0), torch.no_grad(), WithoutDropout(), _blind(copied.model, batch.size):
            losses.append(float(batch.loss(copied.model, copied.loss_fn)))
    sizes = [batch.size for batch in batches]
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)

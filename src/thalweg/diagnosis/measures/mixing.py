"""Whether the output of a sample depends on the other samples of its batch.

One sample's input is replaced by another's, in evaluation mode: the outputs of all others must stay as they are. The
first, a middle and the last sample are replaced in turn, because a recurrent network forgets its first inputs. A
`view` where a `transpose` was meant, attention over the batch, a softmax over the batch and statistics of the batch
that were written by hand all fail this; batch norm in evaluation mode does not.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import nn

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.related import relates_samples
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST = 3
_OVER_TIME = (nn.RNNBase, nn.MultiheadAttention)
MOST_APART = 64
_CHANGED = 1e-3  # of the outputs' spread: far above the rounding of a matrix product
_ROUNDING = 1e-6  # of the outputs
_IN_ORDER = 0.5  # of the rise alone: samples may come in any order, the steps of a sequence may not


def mixing_measures(copied: Copy, batch: Batch, scale: float) -> dict[str, float]:
    """`samples_mixed`, or `mixed_within` where no input moves an output.

    Where `samples_mixed` is not 0, also `loss_apart` and `batch_as_time`.
    `batch_as_time` is 1 where a recurrent network or attention that takes time first is given the samples in its place,
    and the network has one output for each sample, with one target.
    """
    found = mixing_of(copied.model, batch)
    if not found:
        return mixed_within(copied.model, batch)
    if not found["samples_mixed"]:
        return found
    if not isinstance(batch.inputs, torch.Tensor):
        return found
    found["batch_as_time"] = float(_takes_batch_for_time(copied.model, batch))
    return found | apart_measures(copied, batch, scale)


def mixing_of(model: nn.Module, batch: Batch) -> dict[str, float]:
    """Measure the share of samples whose output changes with the input of another sample.

    Args:
        model: only a copy of it runs.
        batch: with one tensor of inputs, whose first dimension counts samples; or several, such as labels for a loss
            within the network, where outputs are not one tensor.

    Returns:
        `samples_mixed`, in [0, 1], of the outputs, or if these are not one tensor, of what the layers are given;
        nothing for other inputs, or if all samples are alike, or if they are the nodes of a graph: then they are meant
        to mix.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> batch = Batch(torch.randn(8, 5), torch.zeros(8))
        >>> mixing_of(torch.nn.Linear(5, 2), batch)
        {'samples_mixed': 0.0}
        >>> mixing_of(torch.nn.Softmax(dim=0), batch)
        {'samples_mixed': 1.0}
    """
    inputs = _read_first(batch)
    if inputs is None or not inputs.ndim or len(inputs) < FEWEST:
        return {}

    def outputs(given: torch.Tensor) -> torch.Tensor | None:
        every = mapped(batch.inputs, lambda one: given if one is inputs else one)
        return _outputs_or_taken(without_batch_statistics(model), batch, every, len(inputs))

    before = outputs(inputs)
    if before is None or len(before) != len(inputs):
        return {}
    spread = _spread(before)
    shares = []
    for place in (0, len(inputs) // 2, len(inputs) - 1):
        other = _another(inputs, place, alike=not spread > 0)
        if other is None:
            continue
        changed = inputs.clone()
        changed[place] = other
        after = outputs(changed)
        if after is None or after.shape != before.shape:
            return {}
        moved_N = (after - before).reshape(len(before), -1).abs().amax(dim=1)
        # outputs that are all the same have no spread: what a sample does to its own is the measure then
        yardstick = spread or float(moved_N[place])
        moved_N[place] = 0.0
        if yardstick > 0:
            shares.append(float((moved_N > _CHANGED * yardstick).sum()) / (len(inputs) - 1))
    if not shares or (max(shares) and relates_samples(without_batch_statistics(model), batch, len(inputs))):
        return {}
    return {"samples_mixed": max(shares)}


def mixed_within(model: nn.Module, batch: Batch) -> dict[str, float]:
    """Measure whether a layer mixes samples in a network whose outputs no input moves.

    Attention over the batch does, where the outputs are read at a token that all samples share: its values in one
    sample depend on those in others, which are the same.

    Args:
        model: only copies of it run.
        batch: as `mixing_of` takes it.

    Returns:
        `mixed_within`: 1 if a layer is given tensors that differ in the row of one sample alone, and its outputs differ
        in other rows; else 0. Nothing where outputs move, or where `mixing_of` says nothing for another reason.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> class Read(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.over_the_batch = nn.Softmax(dim=0)
        ...     def forward(self, rows):
        ...         return 0 * self.over_the_batch(rows)
        >>> mixed_within(Read(), Batch(torch.randn(8, 5), torch.zeros(8)))
        {'mixed_within': 1.0}
    """
    inputs = batch.inputs
    if not isinstance(inputs, torch.Tensor) or not inputs.ndim or len(inputs) < FEWEST:
        return {}
    place = len(inputs) // 2
    other = _another(inputs, place, alike=False)
    if other is None:
        return {}
    changed = inputs.clone()
    changed[place] = other
    before, after = (_outputs(without_batch_statistics(model), batch, one) for one in (inputs, changed))
    if before is None or after is None or len(before) != len(inputs) or not torch.equal(before, after):
        return {}
    calls = (_calls(model, batch, one) for one in (inputs, changed))
    mixes = any(_mixes(one, other, place) for one, other in zip(*calls, strict=False))
    if mixes and relates_samples(without_batch_statistics(model), batch, len(inputs)):
        return {}
    return {"mixed_within": float(mixes)}


_Call = tuple["torch.Tensor", "torch.Tensor"]


def _calls(model: nn.Module, batch: Batch, inputs: torch.Tensor) -> list[_Call]:
    """What each layer is given and gives, in order, if both have a row for each sample."""
    found: list[_Call] = []

    def look(_module: nn.Module, taken: tuple[object, ...], given: object) -> None:
        pair = [next(tensors_in(part), None) for part in (taken, given)]
        before, after = (None if one is None or not one.ndim or len(one) != len(inputs) else one for one in pair)
        if before is not None and after is not None:
            found.append((before.detach().clone(), after.detach().clone()))

    twin = without_batch_statistics(model)
    for module in twin.modules():
        if module is not twin:
            module.register_forward_hook(look)
    _outputs(twin, batch, inputs)
    return found


def _mixes(one: _Call, other: _Call, place: int) -> bool:
    """Whether what is given to a layer differs in one row alone, and what it gives in others as well."""
    if any(first.shape != second.shape for first, second in zip(one, other, strict=True)):
        return False
    given_N, gives_N = (_moved(first, second) for first, second in zip(one, other, strict=True))
    own = float(given_N[place])
    given_N[place] = 0.0
    # a row that moves by rounding alone is not given anything else
    if own <= 0 or float(given_N.max()) > _ROUNDING * own:
        return False
    most = float(gives_N.max())
    gives_N[place] = 0.0
    return most > _ROUNDING * float(one[1].abs().max()) and float(gives_N.max()) > _CHANGED * most


def _moved(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.float() - other.float()).reshape(len(one), -1).abs().amax(dim=1)


def apart_measures(copied: Copy, batch: Batch, scale: float) -> dict[str, float]:
    """Measure how much higher the loss is when each sample passes the network alone, as one photo does in use.

    Args:
        copied: gets evaluation mode.
        batch: as `mixing_of` takes it; at most the first `MOST_APART` samples pass.
        scale: of the loss.

    Returns:
        `loss_apart`: the loss of the outputs of single samples, less that of the same samples as one batch, as a share
        of the scale; nothing if outputs are no tensor with a row for each sample, if a batch of one cannot pass, or if
        the order of the rows explains most of it: then they are the steps of sequences, which belong together.

    Example:
        >>> from torch import nn
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> model = nn.Softmax(dim=0)
        >>> copied = Copy.of(model, torch.optim.SGD([torch.zeros(1, requires_grad=True)]), nn.MSELoss())
        >>> apart_measures(copied, Batch(torch.zeros(8, 1), torch.full((8, 1), 0.125)), 1.0)
        {'loss_apart': 0.765625}
    """
    inputs, targets = batch.inputs, batch.targets
    if not isinstance(inputs, torch.Tensor) or not isinstance(targets, torch.Tensor) or len(targets) != len(inputs):
        return {}
    rows = range(min(len(inputs), MOST_APART))
    twin, targets = copied.model.eval(), targets[: len(rows)]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).to(inputs.device)
    passes = [inputs[: len(rows)], inputs[order], *(inputs[row : row + 1] for row in rows)]
    try:
        together, shuffled, *alone = (_outputs(twin, batch, one) for one in passes)
        if together is None or shuffled is None or any(one is None or len(one) != 1 for one in alone):
            return {}
        if not len(together) == len(shuffled) == len(rows):
            return {}
        with torch.no_grad():
            loss = float(copied.loss_fn(together, targets))
            rise = float(copied.loss_fn(shuffled, targets[order.to(targets.device)])) - loss
            gap = float(copied.loss_fn(torch.cat([*filter(_given, alone)]), targets)) - loss
    except Exception:  # noqa: BLE001 - a batch of one, or of these rows, that network or loss do not take
        return {}
    return {} if rise > _IN_ORDER * gap > 0 else {"loss_apart": gap / scale}


def _takes_batch_for_time(model: nn.Module, batch: Batch) -> bool:
    """Whether samples stand where a layer takes steps of time, though each sample has an output of its own."""
    inputs, targets = batch.inputs, batch.targets
    if not isinstance(targets, torch.Tensor) or inputs.ndim < 2 or targets.numel() != len(inputs):
        return False
    found: list[bool] = []

    def look(_module: nn.Module, taken: tuple[object, ...]) -> None:
        given = taken[0] if taken else None
        if isinstance(given, torch.Tensor) and given.ndim == 3:
            # a second dimension of one is that of the only sequence, whose steps the samples are
            found.append(len(given) == len(inputs) and given.shape[1] > 1)

    twin = without_batch_statistics(model)
    for module in twin.modules():
        if getattr(module, "batch_first", True) is False and isinstance(module, _OVER_TIME):
            module.register_forward_pre_hook(look)
    outputs = _outputs(twin, batch, inputs)
    return any(found) and outputs is not None and len(outputs) == len(inputs)


def evaluating(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode for one pass: a network that keeps its state begins every pass with the same one."""
    return copy.deepcopy(model).eval()


def without_batch_statistics(model: nn.Module) -> nn.Module:
    """Such a copy where a batch norm without running statistics, which mixes samples on purpose, scales and shifts.

    Its outputs show what depends on what, and are no answers of the network.
    """
    twin = evaluating(model)
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:  # noqa: SLF001
            like = next(model.parameters(), torch.zeros(()))
            module.running_mean = torch.zeros(module.num_features, dtype=like.dtype, device=like.device)
            module.running_var = torch.ones_like(module.running_mean)
    return twin


def _given(one: torch.Tensor | None) -> TypeGuard[torch.Tensor]:
    return one is not None


def _spread(outputs: torch.Tensor) -> float:
    """The deviation between samples; 0 where they are equal up to rounding."""
    spread = float((outputs - outputs.mean(dim=0)).square().mean().sqrt())
    return spread if spread > _ROUNDING * float(outputs.abs().max()) else 0.0


def _outputs(twin: nn.Module, batch: Batch, inputs: torch.Tensor) -> torch.Tensor | None:
    """The outputs for other inputs; None if they are no finite tensor."""
    with own_randomness(0), torch.no_grad():
        outputs = type(batch)(inputs, batch.targets).outputs(twin)
    if not isinstance(outputs, torch.Tensor) or not outputs.ndim or not bool(torch.isfinite(outputs).all()):
        return None
    return outputs.float()


def _read_first(batch: Batch) -> torch.Tensor | None:
    """The inputs; of several tensors with a row for each sample, the first one of real numbers, else the first one."""
    if isinstance(batch.inputs, torch.Tensor):
        return batch.inputs
    leaves = list(tensors_in(batch.inputs))
    if any(not one.ndim or len(one) != len(leaves[0]) or _of_pairs(one) for one in leaves):
        return None
    return next((one for one in leaves if one.is_floating_point()), leaves[0] if leaves else None)


def _of_pairs(one: torch.Tensor) -> bool:
    """Whether a tensor has a number for each pair of samples, or steps of time as many as samples."""
    return one.ndim > 1 and one.shape[1] == len(one)


def _outputs_or_taken(twin: nn.Module, batch: Batch, inputs: object, count: int) -> torch.Tensor | None:
    """The outputs for other inputs; where they are no tensor with rows, what the layers with weights are given.

    Similarities of pairs may be among several outputs, and mix samples on purpose, but no layer takes them.
    """
    rows: list[torch.Tensor] = []

    def look(_module: nn.Module, taken: tuple[object, ...]) -> None:
        of_samples = (one for one in tensors_in(taken) if one.ndim and len(one) == count and not _of_pairs(one))
        rows.extend(one.float().reshape(count, -1) for one in of_samples if one.is_floating_point())

    layers = [part for part in twin.modules() if next(part.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with own_randomness(0), torch.no_grad():
            outputs = type(batch)(inputs, batch.targets).outputs(twin)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(outputs, torch.Tensor) or not outputs.ndim:
        outputs = torch.cat(rows, 1) if rows else None
    elif not isinstance(inputs, torch.Tensor):
        return None
    return None if outputs is None or not bool(torch.isfinite(outputs).all()) else outputs.float()


def _another(inputs: torch.Tensor, place: int, *, alike: bool) -> torch.Tensor | None:
    """Other inputs for a sample: those of the sample that differs most from it; None if none does.

    Where all outputs are alike, the network may read only what all samples share: then its own values, moved by one.
    """
    if alike:
        own = inputs[place]
        other = own.reshape(-1).roll(1).reshape(own.shape)
        return other if bool((other != own).any()) else None
    distance_N = (inputs - inputs[place : place + 1]).double().reshape(len(inputs), -1).square().mean(dim=1)
    at = int(distance_N.argmax())
    return inputs[at] if float(distance_N[at]) > 0 else None

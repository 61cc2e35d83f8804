"""Target leakage: whether the inputs hold the targets, which nobody has when the model is used.

Four kinds can be told exactly: a column of a table from which the targets can be read off alone; a window of a series
that ends with the values to predict; a model of sequences that sees, at a position, the next input, which is its
target there; and one whose target there is the input itself.

Shape suffixes: N samples, T positions, F columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.mixing import without_batch_statistics
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from thalweg.probes.batches import Batch, LossFunction

FEWEST_ROWS = 32  # different ones, that show that a column and the targets are one
FEWEST_A_CLASS = 8  # of two classes; with more classes, a column that names all of them is no chance
SHORTEST = 4  # sequences
_SMOOTH = 0.5  # of the variance: half the mean square of successive differences; 1 in an order that says nothing
_NEARLY = 0.8  # of the samples
_FAR = 4.0  # standard deviations within a class: a gap so wide between all samples of two
_OFF = 1e-6  # of the variance: targets that were standardized, or written with fewer digits
_CHANGED = 1e-4  # of the outputs' spread
_MOSTLY = 0.9  # of the change of the loss's gradient
_ORDERS, _BEYOND = 200, 4.0  # of tokens, drawn at random; standard deviations of what these give


def leakage_measures(
    model: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch], kept: Batch | None = None
) -> dict[str, float]:
    """Measure what a model can read of its targets in its inputs.

    Args:
        model: only a copy of it runs, in evaluation mode.
        loss_fn: of (outputs, targets); it may shift targets against outputs itself.
        batches: at least one; of all of them together for a table, of the first for sequences.
        kept: more samples of a table; they count where their targets are whole numbers, as what was read from a
            gradient is exact only then.

    Returns:
        `targets_in_column`, 0 or 1: whether one column of a table of several, (N, F), alone is a linear, a rising or a
        falling function of the targets, or a column names each class by a number of its own. No leak are columns that
        are all functions of one variable, such as its powers, nor several that tell a number, such as the last values
        of a series that rises. `class_in_column`, 0 or 1: whether one column of several holds one value in all samples
        of one class of two, at least 32, and never in the other's, at least 8, where it has several, or has a gap
        between the two classes of more than four standard deviations within them; no other column
        may tell the classes apart by a threshold in more than four cases of five, each class counting the same, as
        pixels do. `targets_at_end`, 0 or 1: whether all numbers of each sample's target are values at the last position
        of its inputs, (N, T, F), in the same places in all samples. `next_seen`, in [0, 1]: the share of the positions
        looked at where the outputs change with the next input, if targets are the inputs shifted by one; of several
        such inputs, the least, because an encoder may read all of its source. `own_seen`, in [0, 1]: the share of the
        positions looked at where a model that sees no later input has its own input, a whole number, as its target, and
        the loss compares these two; 0 where no other inputs are given and these tell nothing about the next ones, so
        that giving them back is the task itself, as in an echo.
        Nothing where inputs or targets are of another form.

    Source: Kaufman, Rosset, Perlich and Stitelman 2012, Leakage in data mining, https://doi.org/10.1145/2382577.2382579;
    von Neumann 1941, Distribution of the ratio of the mean square successive difference to the variance,
    https://doi.org/10.1214/aoms/1177731677, for what is a function of one variable;
    Vaswani et al. 2017, Attention is all you need, https://arxiv.org/abs/1706.03762, for the mask.
    """
    found = _of_table(batches)
    if kept is not None and not found.get("targets_in_column") and bool((kept.targets == kept.targets.round()).all()):
        found |= _of_table([*batches, kept])
    known = [one for one in (*batches, kept) if one is not None]
    found |= _of_windows(batches)
    return found | _of_sequence(model, loss_fn, batches[0], [leaf for one in known for leaf in tensors_in(one.inputs)])


def _of_table(batches: Sequence[Batch]) -> dict[str, float]:
    if not all(_is_table(batch) for batch in batches) or len({batch.inputs.shape[1] for batch in batches}) > 1:
        return {}
    inputs_NF = torch.cat([batch.inputs.detach() for batch in batches]).double()
    parts = [_one_each(batch.targets.detach().double()) for batch in batches]
    targets_N = torch.cat([inputs_NF.new_empty(0), *(part for part in parts if part is not None)])
    varied_F = (inputs_NF != inputs_NF[:1]).any(dim=0)
    # a line fitted to one column is no leak
    if len(targets_N) < len(inputs_NF) or int(varied_F.sum()) < 2:
        return {}
    # a sample that comes again shows nothing new
    each_NG = torch.cat([inputs_NF, targets_N[:, None]], dim=1).unique(dim=0)
    inputs_NF, targets_N = each_NG[:, :-1], each_NG[:, -1]
    if len(targets_N) < FEWEST_ROWS:
        return {}
    kinds, ranks_N, counts = targets_N.unique(return_inverse=True, return_counts=True)
    if len(kinds) < 2 or (len(kinds) == 2 and int(counts.min()) < FEWEST_A_CLASS):
        return {"targets_in_column": 0.0}
    columns_FN = inputs_NF[:, varied_F].T
    names = [column_N for column_N in columns_FN if _names_classes(column_N, ranks_N, len(kinds))]
    if names and len(kinds) <= FEWEST_A_CLASS:
        return {"targets_in_column": 1.0}
    numbers = [column_N for column_N in columns_FN if _gives_number(column_N, targets_N, ranks_N, len(kinds))]
    telling = names or (numbers if len(numbers) == 1 else [])
    told = bool(telling) and not all(_is_function(column_N, telling[0]) for column_N in columns_FN)
    found = {"targets_in_column": float(told)}
    if len(kinds) == 2 and int(counts.max()) >= FEWEST_ROWS:
        found["class_in_column"] = float(any(_holds_class(columns_FN, ranks_N == rank) for rank in (0, 1)))
    return found


def _is_table(batch: Batch) -> bool:
    x, y = batch.inputs, batch.targets
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor):
        return False
    rows = x.ndim == 2 and y.ndim > 0 and len(x) == len(y)
    return rows and x.is_floating_point() and bool(torch.isfinite(x).all())


def _one_each(targets: Tensor) -> Tensor | None:
    """The target of each sample as one number, (N,); None if it has several."""
    if targets.numel() == len(targets):
        return targets.reshape(-1)
    hot = targets.ndim == 2 and bool(((targets == 0) | (targets == 1)).all()) and bool((targets.sum(dim=1) == 1).all())
    return targets.argmax(dim=1).double() if hot else None


def _names_classes(column_N: Tensor, ranks_N: Tensor, kinds: int) -> bool:
    """Whether a column has one number for each class."""
    values, order_N = column_N.unique(return_inverse=True)
    if len(values) != kinds or kinds > len(ranks_N) // 2:
        return False
    return len((order_N * kinds + ranks_N).unique()) == kinds


def _holds_class(columns_FN: Tensor, own_N: Tensor) -> bool:
    """Whether one column has the same value in all samples of a class, and others in the other; no other is near."""
    if int(own_N.sum()) < FEWEST_ROWS:
        return False
    value_F1, others_FN = columns_FN[:, own_N][:, :1], columns_FN[:, ~own_N]
    same_F = (columns_FN[:, own_N] == value_F1).all(dim=1)
    holds_F = same_F & (others_FN != value_F1).all(dim=1) & (others_FN != others_FN[:, :1]).any(dim=1)
    holds_F |= _far_apart(columns_FN[:, own_N], others_FN)
    if int(holds_F.sum()) != 1:
        return False
    return all(_told_by_threshold(column_N, own_N) <= _NEARLY for column_N in columns_FN[~holds_F])


def _far_apart(own_FN: Tensor, others_FN: Tensor) -> Tensor:
    """Whether the values of two classes lie so far apart in a column as no two bell curves do, (F,)."""
    gaps_F = torch.maximum(own_FN.amin(dim=1) - others_FN.amax(dim=1), others_FN.amin(dim=1) - own_FN.amax(dim=1))
    within_F = torch.maximum(own_FN.std(dim=1), others_FN.std(dim=1))
    return (within_F > 0) & (gaps_F > _FAR * within_F)


def _told_by_threshold(column_N: Tensor, own_N: Tensor) -> float:
    """The share of samples that the best threshold puts right, each class counting the same, in [0.5, 1]."""
    ordered_N, order_N = column_N.sort()
    hits_N, misses_N = (one[order_N].double().cumsum(dim=0) / one.sum() for one in (own_N, ~own_N))
    last_N = torch.cat([ordered_N.diff() > 0, own_N.new_ones(1)])  # of equal values
    return 0.5 + 0.5 * float((hits_N - misses_N)[last_N].abs().max())


def _gives_number(column_N: Tensor, targets_N: Tensor, ranks_N: Tensor, kinds: int) -> bool:
    """Whether the targets are a linear, a rising or a falling function of a column."""
    if kinds <= FEWEST_A_CLASS:
        return False
    line = torch.corrcoef(torch.stack([column_N, targets_N]))[0, 1]
    if 1 - float(line.square()) < _OFF:
        return True
    values, order_N = column_N.unique(return_inverse=True)
    return len(values) == kinds and bool((order_N == ranks_N).all() | (order_N == kinds - 1 - ranks_N).all())


def _is_function(column_N: Tensor, of_N: Tensor) -> bool:
    """Whether a column is a smooth function of another: in the other's order, neighbors are alike."""
    ordered_N = column_N[of_N.argsort()]
    return float(ordered_N.diff().square().mean()) < 2 * _SMOOTH * float(column_N.var())


def _of_windows(batches: Sequence[Batch]) -> dict[str, float]:
    pairs = [(batch.inputs, batch.targets) for batch in batches]
    tensors = [one for pair in pairs for one in pair]
    if not all(isinstance(one, torch.Tensor) and one.is_floating_point() for one in tensors):
        return {}
    if not all(x.ndim == 3 and x.shape[1] >= SHORTEST and y.ndim > 0 and len(x) == len(y) for x, y in pairs):
        return {}
    if len({(x.shape[2], y[:1].numel()) for x, y in pairs}) != 1:
        return {}
    last_NF = torch.cat([x[:, -1] for x, _ in pairs])
    targets_NK = torch.cat([y.reshape(len(y), -1) for _, y in pairs])
    # those of a task that asks for what it gave, such as an echo of the whole window, are more than one position has
    if targets_NK.shape[1] > last_NF.shape[1] or min(len(one.unique()) for one in targets_NK.T) < FEWEST_ROWS:
        return {}
    held = all(bool((last_NF == one_N[:, None]).all(dim=0).any()) for one_N in targets_NK.T)
    return {"targets_at_end": float(held)}


def _of_sequence(
    model: nn.Module, loss_fn: LossFunction, batch: Batch, others: Sequence[Tensor] = ()
) -> dict[str, float]:
    targets = batch.targets
    if not isinstance(targets, torch.Tensor):
        return {}
    batch = replace(batch, inputs=mapped(batch.inputs, torch.clone))  # one tensor may be given twice
    found: dict[str, float] = {}
    for leaf in tensors_in(batch.inputs):
        if leaf.ndim < 2 or leaf.numel() != targets.numel() or len(leaf.unique()) < 3:
            continue
        wanted = targets.reshape(leaf.shape)
        long = [time for time in (1, 0) if leaf.shape[time] >= SHORTEST]
        time = next((time for time in long if _is_shifted(leaf, wanted, time)), None)
        if time is not None:
            share = _next_seen(model, batch, leaf, time)
            found |= {"next_seen": min(share, found.get("next_seen", 1.0))} if share is not None else {}
        elif bool((leaf == wanted).all()) and (not leaf.is_floating_point() or _is_series(model, batch, leaf, long)):
            later = [_next_seen(model, batch, leaf, one) for one in long]
            own = [_own_seen(model, loss_fn, batch, leaf, one) for one in long if leaf.ndim == 2 or one == 1]
            # what reads a whole sequence may have to give it back, as an autoencoder has
            known = [share for share in own if share is not None] if 0 in later and not any(later) else []
            sources = [one for one in tensors_in(batch.inputs) if one is not leaf and one.ndim > 1]
            of_tokens = leaf.ndim == 2 and not leaf.is_floating_point()
            if of_tokens and any(known) and not sources and not any(_follows_on([leaf, *others], one) for one in long):
                known = []  # what comes next is chance: an echo is all that can be asked for
            found["own_seen"] = min(known, default=0.0)  # over samples and positions: a loss shifts along one of them
    return found


def _is_shifted(leaf: Tensor, targets: Tensor, time: int) -> bool:
    """Whether the target at each position is the input at the next."""
    length = leaf.shape[time] - 1
    return bool((targets.narrow(time, 0, length) == leaf.narrow(time, 1, length)).all())


def _is_series(model: nn.Module, batch: Batch, leaf: Tensor, long: Sequence[int]) -> bool:
    """Whether numbers, (N, T, F), tell something about the next ones, and the outputs depend on earlier inputs.

    A network that looks at each position by itself may be an autoencoder of what stands there.
    """
    if leaf.ndim != 3 or 1 not in long:
        return False
    if not float(leaf.diff(dim=1).square().mean()) < 2 * _SMOOTH * float(leaf.var(dim=1).mean()):
        return False
    last = leaf.shape[1] - 1
    earlier = torch.cat([leaf[:, :last].roll(1, 0), leaf[:, last:]], dim=1)
    before, after = (
        _by_position(without_batch_statistics(model), batch, _with(batch.inputs, leaf, one), leaf, 1)
        for one in (leaf, earlier)
    )
    return before is not None and after is not None and not torch.equal(before[last], after[last])


def _next_seen(model: nn.Module, batch: Batch, leaf: Tensor, time: int) -> float | None:
    """Change all inputs after a position: the share of positions up to which the outputs change; None if unknown."""
    before = _by_position(without_batch_statistics(model), batch, batch.inputs, leaf, time)
    if before is None:
        return None
    spread = float((before - before.mean(dim=0)).square().mean().sqrt())
    if not spread > 0:
        return None
    length, seen = leaf.shape[time], []
    for position in sorted({length // 4, length // 2, 3 * length // 4}):
        later = leaf.narrow(time, position + 1, length - position - 1)
        other = torch.cat([leaf.narrow(time, 0, position + 1), later.roll((1, 1), (1 - time, time))], dim=time)
        after = _by_position(without_batch_statistics(model), batch, _with(batch.inputs, leaf, other), leaf, time)
        if after is None:
            return None
        seen.append(float((after - before)[: position + 1].abs().max()) > _CHANGED * spread)
    return sum(seen) / len(seen)


def _own_seen(model: nn.Module, loss_fn: LossFunction, batch: Batch, leaf: Tensor, time: int) -> float | None:
    """The share of positions whose output changes with their own input, and is compared with it; None if unknown."""
    outputs = _by_position(without_batch_statistics(model), batch, batch.inputs, leaf, time)
    if outputs is None:
        return None

    def pull(targets: Tensor) -> Tensor | None:
        """The gradient of the loss at the outputs, (T, ...)."""
        with own_randomness(0), torch.enable_grad():
            given = batch.outputs(without_batch_statistics(model))
            if not isinstance(given, torch.Tensor):
                return None
            given = given.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss_fn(given, targets), given)
        return positions_of(gradient, leaf, time)

    length, seen = leaf.shape[time], []
    before = pull(batch.targets)
    for position in sorted({length // 4, length // 2, 3 * length // 4}):
        own = leaf.narrow(time, position, 1)
        other = leaf.clone()
        other.narrow(time, position, 1).copy_(own.roll(1, 1 - time))
        after = _by_position(without_batch_statistics(model), batch, _with(batch.inputs, leaf, other), leaf, time)
        pulled = pull(other.reshape(batch.targets.shape))
        if before is None or after is None or pulled is None or torch.equal(other, leaf):
            continue
        change_T = (pulled - before).flatten(1).abs().sum(dim=1)
        compared = float(change_T[position]) > _MOSTLY * float(change_T.sum())  # the mean may change everywhere
        seen.append(compared and not torch.equal(after[position], outputs[position]))
    return sum(seen) / len(seen) if seen else None


def _follows_on(tokens: Sequence[Tensor], time: int) -> bool:
    """Whether successive tokens tell something about each other: some pairs come more often than by chance.

    Args:
        tokens: those that have the form of the first count.
        time: their dimension that counts positions.
    """
    first = tokens[0]
    same = [
        one for one in tokens if one.ndim == 2 and one.shape[time] == first.shape[time] and one.dtype == first.dtype
    ]
    rows = torch.cat(same, dim=1 - time).unique(dim=1 - time)  # a sequence that comes again says nothing new
    length = rows.shape[time] - 1
    kinds, ranks = rows.unique(return_inverse=True)
    before, after = (ranks.narrow(time, at, length).reshape(-1) for at in (0, 1))

    def repeated(following: Tensor) -> Tensor:
        pairs = (before * len(kinds) + following)[before != following]  # padding follows on padding
        return pairs.unique(return_counts=True)[1].double().square().sum()

    draw = torch.Generator().manual_seed(0)
    orders = (torch.randperm(len(after), generator=draw).to(after.device) for _ in range(_ORDERS))
    drawn = torch.stack([repeated(after[order]) for order in orders])
    return bool(repeated(after) > drawn.mean() + _BEYOND * drawn.std() + _OFF)


def _with(inputs: Any, leaf: Tensor, other: Tensor) -> Any:
    return mapped(inputs, lambda one: other if one is leaf else one)


def _by_position(twin: nn.Module, batch: Batch, inputs: Any, leaf: Tensor, time: int) -> Tensor | None:
    """The outputs as (T, ...); None if they have no dimension that counts positions."""
    with own_randomness(0), torch.no_grad():
        outputs = type(batch)(inputs, batch.targets).outputs(twin)
    outputs = next(_floating(outputs), None)
    if outputs is None or not bool(torch.isfinite(outputs).all()):
        return None
    return positions_of(outputs, leaf, time)


def positions_of(outputs: Tensor, leaf: Tensor, time: int) -> Tensor | None:
    """What has one part for each position of the inputs, as (T, ...); None if it has no such dimension."""
    shape, length = leaf.shape[:2], leaf.shape[time]
    if outputs.shape[:2] == shape:
        return outputs.float().movedim(time, 0)
    if outputs.ndim == 3 and len(outputs) == len(leaf) and outputs.shape[2] == length:  # classes before positions
        return outputs.float().movedim(2, 0)
    if outputs.ndim == 2 and len(outputs) == shape[0] * shape[1]:
        return outputs.float().reshape(*shape, -1).movedim(time, 0)
    return None


def _floating(outputs: Any) -> Iterator[Tensor]:
    return (one for one in tensors_in(outputs) if one.is_floating_point() and one.ndim > 1)

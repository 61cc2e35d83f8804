"""The order of the samples: whether a step has few of the classes, and the same few as the step before.

Samples that come sorted, or through a shuffle buffer that is far too small, do both. A sampler that draws a few classes
anew for each step, as metric learning wants them, has few classes, but others than the step before. And a batch of one
class is no fault where that class is so frequent that chance gives such batches.

Numbers are asked the same: their quantiles are the classes, and quantiles that are close are partly the same. A series
that is learned in its order has this, too, so a measure tells whether the network still knows what it saw.

Shape suffixes: S steps, C classes, K kept samples, D columns of a target.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.batch import constant_of
from thalweg.diagnosis.measures.recovered import is_mean, targets_of, told_alike
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.recovered import Read
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy
    from thalweg.probes.kept import Rows

FEWEST_PAIRS = 6  # steps of which the step before was kept, too
FEWEST_SEEN = 32  # samples that show how frequent a class is
MOST_CLASSES, MOST_STEPS = 1024, 512
ORDERS = 400  # of the steps, drawn at random
QUANTILES, MOST_COLUMNS = 8, 8  # of numbers, and of a target that has several
FEWEST_EACH = 4  # samples of each number, which is a class then
_OFF = 1e-3  # within which a number that was read from a gradient is the same
_ALIKE = 1e-6  # deviation of the share: every order of the steps is as good


def order_measures(loss_fn: LossFunction, rows: Sequence[Rows], batch: Batch) -> dict[str, float]:
    """Measure how the classes of the samples that a watch kept are spread over the steps.

    Args:
        loss_fn: of (outputs, targets).
        rows: of some steps, in their order.
        batch: whose targets tell what a target is; a class, one for each sample, or 0 and 1.

    Returns:
        `kinds_together`: the classes in a step, as a share of those that as many random draws from all kept samples
        would have. `kinds_carried`: the share of pairs of samples, one of a step and one of the step before, that have
        the same class, less that of steps in random order, in standard deviations of the latter; neither where fewer
        than six steps follow one that was kept. Of a batch of one class, `one_kind_seen`: the share of that class
        among the kept samples, and where these have others, `one_kind_by_chance`: the probability of such a batch.
        Nothing for targets of another kind, or that the gradients do not tell. Numbers give `quantiles_together` and
        `quantiles_carried`, of the column that is carried most, where samples came again with the same target: the
        targets of an agent rise as it learns, in any order.
    """
    targets = batch.targets
    if not isinstance(targets, torch.Tensor) or not targets.ndim:
        return {}
    has_one, columns = bool((targets == targets[:1]).all()), targets[:1].numel()
    read = targets_of(rows, loss_fn, targets) if has_one or columns <= MOST_COLUMNS else None
    if read is None:
        return {}
    found = one_kind_measures(read.targets[read.known_K], targets) if has_one else {}
    kinds, ranks_K = read.targets.reshape(-1).unique(return_inverse=True)
    whole = columns == 1 and bool((kinds == kinds.round()).all())
    if targets.is_floating_point() and not (whole and FEWEST_EACH * len(kinds) <= len(ranks_K)):
        return found | (_of_numbers(read) if columns <= MOST_COLUMNS and told_alike(read.rows, read.targets) else {})
    if not whole or not 1 < len(kinds) <= MOST_CLASSES:
        return found
    return found | _spread(read, ranks_K, len(kinds))


def _of_numbers(read: Read) -> dict[str, float]:
    """The measures of the column of the targets that is carried most."""
    found: dict[str, float] = {}
    for column_K in read.targets.reshape(len(read.targets), -1).float().cpu().unbind(dim=1):
        edges = torch.quantile(column_K.unique(), torch.arange(1, QUANTILES) / QUANTILES)
        ranks_K = torch.bucketize(column_K.contiguous(), edges)
        one = _spread(read, ranks_K, QUANTILES, near_CC=_near(QUANTILES)) if len(ranks_K.unique()) > 2 else {}
        if one.get("kinds_carried", -math.inf) > found.get("kinds_carried", -math.inf):
            found = one
    return {name.replace("kinds", "quantiles"): value for name, value in found.items()}


def _near(count: int) -> Tensor:
    """How much two quantiles are the same: 1, less their distance as a share of the largest."""
    numbers = torch.arange(count).double()
    return 1 - (numbers[:, None] - numbers).abs() / (count - 1)


def _spread(read: Read, ranks_K: Tensor, kinds: int, near_CC: Tensor | None = None) -> dict[str, float]:
    """The measures of `spread_measures`, from the number of each sample's class."""
    sizes = [len(one.outputs) for one in read.rows]
    parts = zip(ranks_K.split(sizes), read.known_K.to(ranks_K.device).split(sizes), strict=True)
    counts_SC = torch.stack([part[known].bincount(minlength=kinds) for part, known in parts]).double().cpu()
    steps_S = torch.tensor([one.step for one in read.rows])
    some_S = counts_SC.sum(dim=1) > 0
    return spread_measures(counts_SC[some_S][:MOST_STEPS], steps_S[some_S][:MOST_STEPS], near_CC)


def forgotten_measures(copied: Copy, kept: Batch | None, loss_last: float, size: int) -> dict[str, float]:
    """Measure whether a network still knows the samples that it was trained on.

    Args:
        copied: its model runs.
        kept: samples that the training took; None: none.
        loss_last: the loss of the last steps; NaN: unknown.
        size: of the training's batches, samples.

    Returns:
        `forgotten`: the loss of these samples now, less that of the last steps, relative to the loss of the best
        constant for them. Nothing for targets other than a few numbers.
    """
    targets = None if kept is None else kept.targets
    if kept is None or not isinstance(targets, torch.Tensor) or not targets.is_floating_point():
        return {}
    if not targets.ndim or targets[:1].numel() > MOST_COLUMNS:
        return {}
    constant = constant_of(copied, kept).get("loss_constant", math.nan)
    with own_randomness(0), torch.no_grad():
        outputs = kept.outputs(copied.model)
        loss = float(copied.loss_fn(outputs, targets))
        last = loss_last if is_mean(outputs, copied.loss_fn, targets) else loss_last * kept.size / size
    found = (loss - last) / constant if constant > 0 else math.nan
    return {"forgotten": found} if math.isfinite(found) else {}


def one_kind_measures(seen_K: Tensor, batch_N: Tensor) -> dict[str, float]:
    """How frequent the only target of a batch is among the samples that the training was seen to take.

    Args:
        seen_K: their targets, (K, ...).
        batch_N: the targets of the batch, (N, ...), which are all the same.

    Example:
        >>> found = one_kind_measures(torch.tensor([0] * 30 + [1] * 10), torch.zeros(8))
        >>> found["one_kind_seen"], round(found["one_kind_by_chance"], 2)
        (0.75, 0.1)
        >>> one_kind_measures(torch.zeros(40, 3), torch.zeros(8, 3)), one_kind_measures(torch.zeros(9), torch.zeros(8))
        ({'one_kind_seen': 1.0}, {})
    """
    if len(seen_K) < FEWEST_SEEN or not len(batch_N):
        return {}
    only = batch_N[:1].double().cpu()
    off_K = (seen_K.double().cpu() - only).abs().reshape(len(seen_K), -1).amax(dim=1)
    share = float((off_K <= _OFF * (1 + float(only.abs().max()))).double().mean())
    return {"one_kind_seen": share} | ({"one_kind_by_chance": share ** len(batch_N)} if share < 1 else {})


def spread_measures(counts_SC: Tensor, steps_S: Tensor, near_CC: Tensor | None = None) -> dict[str, float]:
    """The measures of `order_measures`, from the number of samples of each class in each step.

    Args:
        counts_SC: at least one sample in each step.
        steps_S: numbers of the steps, rising.
        near_CC: how much two classes are the same, in [0, 1]; None: each is itself alone.

    Example:
        >>> counts_SC = torch.eye(4).repeat_interleave(3, dim=0) * 8
        >>> {name: round(value, 2) for name, value in spread_measures(counts_SC, torch.arange(12)).items()}
        {'kinds_together': 0.27, 'kinds_carried': 4.61}
    """
    follows = (steps_S.diff() == 1).nonzero()[:, 0]
    if len(follows) < FEWEST_PAIRS:
        return {}
    counts_SC = counts_SC.double()
    expected = sum(float(_kinds_drawn(counts_SC.sum(dim=0), size)) for size in counts_SC.sum(dim=1))
    shares_SC = counts_SC / counts_SC.sum(dim=1, keepdim=True)
    same_SS = (shares_SC if near_CC is None else shares_SC @ near_CC) @ shares_SC.T
    draw = torch.Generator().manual_seed(0)
    orders = (torch.randperm(len(steps_S), generator=draw) for _ in range(ORDERS))
    drawn = torch.stack([same_SS[order[follows], order[follows + 1]].mean() for order in orders])
    own, spread = float(same_SS[follows, follows + 1].mean()), float(drawn.std())
    carried = (own - float(drawn.mean())) / spread if spread > _ALIKE else 0.0
    return {"kinds_together": float((counts_SC > 0).sum()) / expected, "kinds_carried": carried}


def _kinds_drawn(counts_C: Tensor, size: Tensor) -> Tensor:
    """The expected number of classes among `size` samples that are drawn without replacement."""
    total, others_C = counts_C.sum(), counts_C.sum() - counts_C

    def ways(of: Tensor) -> Tensor:
        """The logarithm of the number of ways to take `size` of so many, without what all have in common."""
        return (of + 1).lgamma() - (of - size + 1).clamp(min=1).lgamma()

    missed_C = torch.where(others_C >= size, (ways(others_C) - ways(total)).exp(), 0.0)
    return (1 - missed_C)[counts_C > 0].sum()

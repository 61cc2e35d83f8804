"""The order of the samples: whether a step has few of the classes, and the same few as the step before.

Samples that come sorted, or through a shuffle buffer that is far too small, do both. A sampler that draws a few classes
anew for each step, as metric learning wants them, has few classes, but others than the step before. And a batch of one
class is no fault where that class is so frequent that chance gives such batches.

Shape suffixes: S steps, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.recovered import targets_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.kept import Rows

FEWEST_PAIRS = 6  # steps of which the step before was kept, too
FEWEST_SEEN = 32  # samples that show how frequent a class is
MOST_CLASSES, MOST_STEPS = 1024, 512
ORDERS = 400  # of the steps, drawn at random
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
        Nothing for targets of another kind, or that the gradients do not tell.
    """
    targets = batch.targets
    if not isinstance(targets, torch.Tensor) or not targets.ndim:
        return {}
    has_one, single = bool((targets == targets[:1]).all()), targets[:1].numel() == 1
    read = targets_of(rows, loss_fn, targets) if has_one or single else None
    if read is None:
        return {}
    found = one_kind_measures(read.targets[read.known_K], targets) if has_one else {}
    if not single or not bool((read.targets == read.targets.round()).all()):
        return found
    kinds, ranks_K = read.targets.reshape(-1).unique(return_inverse=True)
    if not 1 < len(kinds) <= MOST_CLASSES:
        return found
    sizes = [len(one.outputs) for one in read.rows]
    parts = zip(ranks_K.split(sizes), read.known_K.split(sizes), strict=True)
    counts_SC = torch.stack([part[known].bincount(minlength=len(kinds)) for part, known in parts]).double().cpu()
    steps_S = torch.tensor([one.step for one in read.rows])
    some_S = counts_SC.sum(dim=1) > 0
    return found | spread_measures(counts_SC[some_S][:MOST_STEPS], steps_S[some_S][:MOST_STEPS])


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


def spread_measures(counts_SC: Tensor, steps_S: Tensor) -> dict[str, float]:
    """The measures of `order_measures`, from the number of samples of each class in each step.

    Args:
        counts_SC: at least one sample in each step.
        steps_S: numbers of the steps, rising.

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
    same_SS = shares_SC @ shares_SC.T
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

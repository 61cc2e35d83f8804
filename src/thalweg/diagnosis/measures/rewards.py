"""The sign of a policy gradient: whether actions become rarer, the more they are rewarded.

A loss of actions and rewards is linear in the rewards, perhaps after it has subtracted their mean or divided by their
deviation. Rewards of 1 and -1 in turn, and the other way round, tell its sign. Where the loss draws the actions itself
and rewards those that equal the labels, labels that are changed tell it.

Shape suffixes: N samples, A actions.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.head import head_of, reachable
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

FEWEST = 8  # samples with actions and rewards
FEWEST_HITS = 4  # drawn actions that are the label
DRAWS = 4  # of outputs, and with them of actions
MOST_ACTIONS = 32  # as many gradients are asked for
_LINEAR, _NOTHING = 1e-3, 1e-5  # of the largest number
_UNLIKE = 0.02  # the same: something is added to 1 - p before its logarithm is taken
_COSTS = ("cost", "regret", "penalt", "punish", "delay", "latenc", "risk", "mistake")  # what a loss is to make rarer


def reward_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the sign of a policy gradient, with outputs that are drawn.

    Args:
        copied: its loss runs, and, for the shape of the outputs, its model.
        batch: one of its outputs, such as beside a critic's, needs the form (N, A). Its targets hold an action and a
            reward for each sample, in columns or in several tensors; or they are labels, for actions that the loss
            draws.

    Returns:
        `rewarded_rarer`, 0 or 1. Nothing for losses and targets of another form, nor for a loss function that names
        costs, or one of log(1 - p): then what is weighed is to become rarer.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def without_the_minus(outputs_NA, actions_and_rewards):
        ...     actions_N, rewards_N = actions_and_rewards
        ...     return (outputs_NA.log_softmax(1).gather(1, actions_N[:, None])[:, 0] * rewards_N).mean()
        >>> model = torch.nn.Linear(2, 3)
        >>> copied = Copy(model, torch.optim.SGD(model.parameters()), without_the_minus)
        >>> reward_measures(copied, Batch(torch.ones(9, 2), (torch.arange(9) % 3, torch.randn(9))))
        {'rewarded_rarer': 1.0}

    Source: Williams 1992, Simple statistical gradient-following algorithms for connectionist reinforcement learning.
    """
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
    rows = [one for one in tensors_in(outputs) if one.ndim == 2 and one.is_floating_point() and one.shape[1] > 1]
    if len(rows) != 1 or len(rows[0]) < FEWEST or _names_costs(copied.loss_fn):
        return {}
    scores_NA = rows[0]
    with own_randomness(0):
        noise = [torch.randn_like(scores_NA.detach().float()) for _ in range(DRAWS)]
    drawn = [reachable(head_of(scores_NA), one, 1).to(scores_NA.dtype) for one in noise]

    def loss_fn(given_NA: Any, targets: Any) -> Tensor:
        return copied.loss_fn(mapped(outputs, lambda one: given_NA if one is scores_NA else one.detach()), targets)

    with suppress(Exception):  # a loss that takes no other outputs, or no other targets
        asked = _of_rewards(loss_fn, drawn[0], batch.targets)
        rarer = _of_labels(loss_fn, drawn, batch.targets) if asked is None else asked
        return {} if rarer is None else {"rewarded_rarer": float(rarer)}
    return {}


def _names_costs(loss_fn: LossFunction) -> bool:
    """Whether a loss function speaks of costs, in a name or as a key of its targets: it is read, not run."""
    asked: Any = loss_fn
    while isinstance(asked, partial):  # ours, around the user's
        asked = next((one for one in asked.args if callable(one)), asked.func)
    runs = asked.forward if isinstance(asked, torch.nn.Module) else asked
    code = getattr(runs, "__code__", None) or getattr(type(runs).__call__, "__code__", None)
    names = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_consts) if code is not None else ()
    return any(word in name.lower() for name in names if isinstance(name, str) for word in _COSTS)


def _of_rewards(loss_fn: LossFunction, outputs_NA: Tensor, targets: Any) -> bool | None:
    """Whether a reward lowers the score of the action; None if the targets hold none, or in another form."""
    turns_N = 1.0 - 2.0 * (torch.arange(len(outputs_NA), device=outputs_NA.device) % 2)
    slots = list(_slots(targets, len(outputs_NA)))
    for at, actions_N in slots:
        kinds = actions_N.unique()
        whole = bool((kinds == kinds.round()).all()) and float(kinds.min()) >= 0
        if not whole or len(kinds) < 2 or float(kinds.max()) >= outputs_NA.shape[1]:
            continue
        for other, rewards_N in slots:
            if other != at and rewards_N.is_floating_point():
                given = [_with(targets, other, size * turns_N) for size in (1.0, -1.0, 2.0, -2.0)]
                pulls = [_pull(loss_fn, outputs_NA, one) * turns_N[:, None] for one in given]
                change_NA = pulls[0] - pulls[1]
                rarer = _lowered(change_NA, pulls[2] - pulls[3], actions_N.long())
                if rarer is not None and not _of_unlikelihood(outputs_NA, change_NA, actions_N.long()):
                    return rarer
    return None


def _slots(targets: Any, count: int) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """What the targets hold of each sample: (number of the tensor, of the column) and the numbers, (N,)."""
    for leaf, tensor in enumerate(tensors_in(targets)):
        if 0 < tensor.ndim < 3 and len(tensor) == count and tensor.dtype != torch.bool:
            columns_NF = tensor.reshape(count, -1)
            yield from (((leaf, column), columns_NF[:, column]) for column in range(min(columns_NF.shape[1], 4)))


def _with(targets: Any, slot: tuple[int, int], values_N: Tensor) -> Any:
    """The targets with other numbers in one of what they hold of each sample."""
    leaves = list(tensors_in(targets))
    changed = leaves[slot[0]].clone()
    changed.view(len(changed), -1)[:, slot[1]] = values_N.to(changed)
    return mapped(targets, lambda one: changed if one is leaves[slot[0]] else one)


def _lowered(change_NA: Tensor, twice_NA: Tensor, actions_N: Tensor) -> bool | None:
    """Whether rewards change the loss's gradient so that the scores of the actions fall, and no others.

    Twice the rewards must change it twice as much, or as much, where the loss divides them by their deviation.
    """
    size = float(change_NA.abs().max())
    if not size > 0 or not any(float((twice_NA - n * change_NA).abs().max()) <= _LINEAR * size for n in (1, 2)):
        return None
    told_N = change_NA.abs().amax(dim=1) > _NOTHING * size  # a ratio that is clipped has no gradient
    own_N = change_NA.gather(1, actions_N[:, None])[:, 0]
    others_NA = change_NA.scatter(1, actions_N[:, None], 0.0)
    for sign, rarer in ((1.0, True), (-1.0, False)):
        whole = bool((sign * own_N[told_N] > 0).all()) and bool((sign * others_NA <= _NOTHING * size).all())
        if whole and int(told_N.sum()) >= FEWEST:
            return rarer
    return None


def _of_unlikelihood(outputs_NA: Tensor, change_NA: Tensor, actions_N: Tensor) -> bool:
    """Whether the number weighs -log(1 - p): of classes that a sample is told not to have.

    Its gradient is as large as p at the class's score; that of log p is as large as 1 - p.
    """
    own_N = (change_NA / outputs_NA.softmax(dim=1)).gather(1, actions_N[:, None])[:, 0]
    return bool((own_N - own_N[0]).abs().max() < _UNLIKE * own_N.abs().max())


def _of_labels(loss_fn: LossFunction, drawn: list[Tensor], targets: Any) -> bool | None:
    """Whether the loss lowers the scores of drawn actions that are the label; None if it draws none."""
    if not isinstance(targets, torch.Tensor) or targets.is_floating_point() or targets.ndim != 1:
        return None
    count, actions = len(targets), drawn[0].shape[1]
    if not 3 <= actions <= MOST_ACTIONS or targets.dtype == torch.bool:
        return None
    one, other = (_pull(loss_fn, drawn[0], torch.full_like(targets, label)) for label in (0, 1))
    if bool((one != other).any(dim=1).all()):
        return None  # every sample is told its own label, as of a classifier: two gradients are enough
    signs = []
    for outputs_NA in drawn:
        # K: the label that all samples have
        pulled_KNA = torch.stack([_pull(loss_fn, outputs_NA, torch.full_like(targets, one)) for one in range(actions)])
        apart_KN = (pulled_KNA - pulled_KNA.median(dim=0).values).abs().amax(dim=2)
        hit_KN = apart_KN > _NOTHING * pulled_KNA.abs().max()
        if not bool((hit_KN.sum(dim=0) == 1).all()):
            return None  # more than one label changes what a sample's outputs are told: no action was drawn
        action_N = hit_KN.int().argmax(dim=0)
        rows_N = torch.arange(count, device=action_N.device)
        own_N = pulled_KNA[action_N, rows_N, action_N] - pulled_KNA.median(dim=0).values[rows_N, action_N]
        signs.append(own_N.sign())
    every = torch.cat(signs)
    return bool(every[0] > 0) if len(every) >= FEWEST_HITS and bool((every == every[0]).all()) else None


def _pull(loss_fn: LossFunction, outputs_NA: Tensor, targets: Any) -> Tensor:
    """The gradient of the loss at the outputs."""
    with own_randomness(0), torch.enable_grad():
        leaf = outputs_NA.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss_fn(leaf, targets), leaf)
    return gradient

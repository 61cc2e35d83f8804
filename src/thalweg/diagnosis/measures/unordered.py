"""Whether a network that cannot see the order of its inputs is asked for something that depends on it.

Attention, a mean over words and a network of points give the same answer for every order of their inputs, unless
something tells the positions. That is right for sets, and wrong where the order decides.

Shape suffixes: K samples, T positions, F features, V words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import one_hot

from thalweg.diagnosis.measures.mixing import evaluating
from thalweg.diagnosis.measures.outdone import CLEARLY, FEWEST, task_of
from thalweg.diagnosis.measures.ridge import MOST, standardized
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of


if TYPE_CHECKING:
    from torch import Tensor, nn

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

SHORTEST = 4  # positions
MOST_WORDS = 64  # that are told apart, the most frequent ones
MOST_COLUMNS = 4096
ROWS = 32  # samples whose positions are exchanged
_ROUNDING = {torch.double: 1e-9, torch.float: 1e-5}  # of the outputs: sums in another order differ by less


def unordered_measures(copied: Copy, samples: Batch) -> dict[str, float]:
    """Measure how many of its errors a network makes because it sees no order.

    Args:
        copied: only a copy of its model runs, in evaluation mode.
        samples: that the training took, each once: words (K, T), or rows of features (K, T, F).

    Returns:
        `order_tells`, in [0, 1]: the errors of the network, or if these are fewer, those of kernel ridge regression on
        the inputs without their order (how often each word comes, each feature's sorted values), less the errors of
        kernel ridge regression on the inputs in order, on samples kept from it; of classes as a share of the samples,
        of numbers as a share of the variance. 0 if they are not clearly more, by four standard errors. Nothing for a
        network whose outputs change with the order, for fewer than 64 samples, and for inputs or targets of other
        forms.

    Example:
        >>> from torch import nn
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> class Summed(nn.Embedding):
        ...     def forward(self, words):
        ...         return super().forward(words).sum(dim=1)
        >>> model = Summed(5, 2)
        >>> words = torch.randint(5, (300, 6), generator=torch.Generator().manual_seed(0))
        >>> copied = Copy.of(model, torch.optim.SGD(model.parameters()), nn.CrossEntropyLoss())
        >>> whether_it_begins_low = (words[:, 0] < 2).long()
        >>> unordered_measures(copied, Batch(words, whether_it_begins_low))["order_tells"] > 0.2
        True

    Source: Vaswani et al. 2017, Attention Is All You Need, section 3.5.
    """
    few = rows_of(samples, slice(MOST))
    if few is None or few.size < FEWEST or not _is_sequence(few.inputs):
        return {}
    model = evaluating(copied.model)
    with own_randomness(0), torch.no_grad():
        task = task_of(few.outputs(model), few.targets)
    if task is None or not _sees_no_order(model, few):
        return {}
    bags_KF, ordered_KF = _features(few.inputs)
    blind_K = min((task.own_errors(), task.plain_errors(bags_KF)), key=lambda one: float(one.mean())).mean(dim=1)
    fewer_K = blind_K - task.plain_errors(ordered_KF).mean(dim=1)
    clear = float(fewer_K.mean()) > CLEARLY * float(fewer_K.std()) / math.sqrt(len(fewer_K))
    return {"order_tells": min(float(fewer_K.mean()), 1.0) if clear else 0.0}


def _is_sequence(inputs: object) -> bool:
    if not isinstance(inputs, torch.Tensor) or inputs.is_complex() or inputs.ndim < 2 or inputs.shape[1] < SHORTEST:
        return False
    return inputs.ndim == (3 if inputs.is_floating_point() else 2) and inputs[0].numel() <= MOST_COLUMNS


def _sees_no_order(model: nn.Module, samples: Batch) -> bool:
    """Whether samples get different outputs, and the same ones in each order of all positions but the first or last.

    A place that holds the same in every sample, as that of a class token, may come first or last.
    """
    few = rows_of(samples, slice(ROWS))
    if few is None:
        return False
    kind = torch.double
    try:
        return _is_unmoved(model.to(kind), few, kind)
    except RuntimeError:  # a pass that names its own precision
        kind = torch.float
        return _is_unmoved(model.to(kind), few, kind)


def _is_unmoved(model: nn.Module, samples: Batch, kind: torch.dtype) -> bool:
    inputs = samples.inputs.to(kind) if samples.inputs.is_floating_point() else samples.inputs
    count = inputs.shape[1]
    mixed = torch.randperm(count - 1, generator=torch.Generator().manual_seed(0)).to(inputs.device)
    first, last = torch.zeros_like(mixed[:1]), torch.full_like(mixed[:1], count - 1)
    orders = torch.cat([first, mixed + 1]), torch.cat([mixed, last])
    with own_randomness(0), torch.no_grad():
        outputs = model(inputs)
        if not isinstance(outputs, torch.Tensor) or not bool(torch.isfinite(outputs).all()):
            return False
        least = _ROUNDING[kind] * float(outputs.abs().max())
        if not float((outputs - outputs[:1]).abs().max()) > 1e3 * least:
            return False
        return any(float((model(inputs[:, order]) - outputs).abs().max()) <= least for order in orders)


def _features(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Standardized columns of the inputs without and with their order."""
    if inputs.is_floating_point():
        return standardized(inputs.sort(dim=1).values.flatten(1)), standardized(inputs.flatten(1))
    words, which, often = inputs.unique(return_inverse=True, return_counts=True)
    most = min(len(words), MOST_WORDS, MOST_COLUMNS // inputs.shape[1])
    place = torch.full_like(words, most)  # the last place is that of all others
    place[often.argsort(descending=True)[:most]] = torch.arange(most, device=words.device)
    words_KTV = one_hot(place[which], most + 1)
    return standardized(words_KTV.sum(dim=1)), standardized(words_KTV.flatten(1))

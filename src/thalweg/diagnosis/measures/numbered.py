"""Numbers of classes learned as if they were quantities: one output that is rounded, in place of one for each class."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from thalweg.diagnosis.measures.domain import loss_or_none
from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.diagnosis.measures.ridge import features_of, ridge
from thalweg.diagnosis.measures.widening import calls_of, put
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import kept_out, rows_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

STEPS = 80
FEWEST, MOST = 3, 100  # classes
ROWS = 64  # of a batch of kept samples
CLEARLY = 0.2  # of the samples: no copy is trained
OFF = 0.1  # of the distance between two numbers


def numbered_measures(gains: Gains, kept: Batch | None = None) -> dict[str, float]:
    """Measure how many more samples get their right number when each number has an output of its own.

    A copy gets a new last layer and is trained with cross-entropy for a moment; both are judged on samples kept out.

    Args:
        gains: the model, its optimizer, the batches, and how long short runs may take.
        kept: samples of several steps, which say more than a batch; None: the batches are all there is.

    Returns:
        `numbered_classes`: accuracy of the copy less that of the rounded outputs. Nothing unless the targets are the
        whole numbers from 0 to C − 1, with at least three of them, the network has one output for each sample, its
        last layer is linear, and the loss is least where the outputs are the numbers: they are not where outputs are
        the logarithms of a rate.

    Source: Hung-yi Lee's course: classes 1, 2 and 3 as numbers would say that 1 is nearer to 2 than to 3.
    """
    batches = gains.batches if kept is None or kept.size < 2 * gains.batches[0].size else _in_parts(kept)
    count = _classes([batch.targets for batch in batches]) if _are_quantities(gains, gains.batches[0]) else 0
    found = _by_ridge(gains, kept) if kept is not None and count else -math.inf
    if found > CLEARLY:
        return {"numbered_classes": found}
    steps = STEPS * gains.affordable() // RUN_STEPS
    if not count or steps * gains.a_step > gains.seconds:
        return {}
    train, held = kept_out(batches)
    copied = gains.copied()
    calls = calls_of(copied.model, train[0])
    with torch.no_grad(), own_randomness(0):
        outputs = train[0].outputs(copied.model)
    last = calls[-1] if calls else None
    one_each = isinstance(outputs, torch.Tensor) and outputs.numel() == len(outputs) == len(train[0].targets)
    if last is None or not isinstance(last.module, nn.Linear) or last.gives != 1 or not last.name or not one_each:
        return {}
    seen: list[Tensor] = []
    with own_randomness(0):
        layer = nn.Linear(last.takes, count).to(last.module.weight)
        put(copied, last.name, layer)
    handle = layer.register_forward_hook(lambda _module, _inputs, logits: seen.append(logits) or logits[..., :1])
    try:
        with own_randomness(0), torch.enable_grad():
            for step in range(steps):
                batch = train[step % len(train)]
                copied.step(partial(_loss, copied.model, batch, seen))
        copied.model.eval()
        with own_randomness(0), torch.no_grad():
            right = sum(float((_logits(copied.model, one, seen).argmax(1) == _labels(one)).sum()) for one in held)
    finally:
        handle.remove()
    plain = gains.copied().model.eval()
    with own_randomness(0), torch.no_grad():
        rounded = sum(float((one.outputs(plain).reshape(-1).round() == _labels(one)).sum()) for one in held)
    return {"numbered_classes": max(found, (right - rounded) / max(1, sum(one.size for one in held)))}


def _are_quantities(gains: Gains, batch: Batch) -> bool:
    """Whether outputs that are the targets have a lower loss than such a little above or below."""
    copied = gains.copied()
    with own_randomness(0), torch.no_grad():
        outputs = batch.outputs(copied.model)
        if not isinstance(outputs, torch.Tensor) or not isinstance(batch.targets, torch.Tensor):
            return False
        if outputs.numel() != batch.targets.numel():
            return False
        exact = batch.targets.reshape(outputs.shape).to(outputs.dtype)
    at, above, below = (loss_or_none(copied, exact + off, batch) for off in (0.0, OFF, -OFF))
    if at is None or above is None or below is None:  # probabilities, of which there are none above 1
        return False
    return at < min(above, below)


def _by_ridge(gains: Gains, kept: Batch) -> float:
    """The same difference for plain predictors, which need no training; less than that where the network is better.

    The numbers of the classes are asked of the same predictors: of quantities, these know as much.
    """
    features_KF = features_of(kept)
    with torch.no_grad(), own_randomness(0):
        outputs = kept.outputs(gains.copied().model.eval())
    if features_KF is None or outputs.numel() != kept.size:
        return -math.inf
    labels_K = _labels(kept)[: len(features_KF)]
    hot_KC, numbers_K1 = one_hot(labels_K).double(), labels_K[:, None].double()
    means = hot_KC.mean(dim=0), numbers_K1.mean(dim=0)
    named = max(_right((one + means[0]).argmax(dim=1), labels_K) for one in ridge(features_KF, hot_KC))
    counted = max(_right((one + means[1])[:, 0], labels_K) for one in ridge(features_KF, numbers_K1))
    return named - max(counted, _right(outputs.reshape(-1)[: len(labels_K)], labels_K))


def _right(predicted_K: Tensor, labels_K: Tensor) -> float:
    return float((predicted_K.round() == labels_K).double().mean())


def _in_parts(kept: Batch) -> Sequence[Batch]:
    """Batches of the samples in a random order; the last, which judges, has a quarter of them."""
    order = torch.randperm(kept.size, generator=torch.Generator().manual_seed(0))
    cut = kept.size * 3 // 4
    parts = [rows_of(kept, rows) for rows in (*order[:cut].split(ROWS), order[cut:])]
    return [part for part in parts if part is not None]


def _classes(targets: list[object]) -> int:
    """The number of classes, if the targets are their numbers; else 0."""
    given = [one for one in targets if isinstance(one, torch.Tensor) and one.ndim and one.numel() == len(one)]
    if not given or len(given) < len(targets):
        return 0
    values = torch.cat([one.reshape(-1).double() for one in given])
    if not len(values) or not torch.isfinite(values).all() or bool((values != values.round()).any()):
        return 0
    kinds = values.unique()
    contiguous = bool((kinds == torch.arange(len(kinds), dtype=kinds.dtype, device=kinds.device)).all())
    return len(kinds) if contiguous and FEWEST <= len(kinds) <= MOST else 0


def _labels(batch: Batch) -> Tensor:
    return batch.targets.reshape(-1).long()


def _logits(model: nn.Module, batch: Batch, seen: list[Tensor]) -> Tensor:
    """The outputs of the new last layer: what follows it in the network may change its shape."""
    seen.clear()
    batch.outputs(model)
    return seen[-1].reshape(len(batch.targets), -1)


def _loss(model: nn.Module, batch: Batch, seen: list[Tensor]) -> Tensor:
    return cross_entropy(_logits(model, batch, seen), _labels(batch))

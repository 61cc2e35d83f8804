"""Numbers of classes learned as if they were quantities: one output that is rounded, in place of one for each class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.diagnosis.measures.widening import calls_of, put
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import kept_out


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

STEPS = 80
FEWEST, MOST = 3, 100  # classes


def numbered_measures(gains: Gains) -> dict[str, float]:
    """Measure how many more samples get their right number when each number has an output of its own.

    A copy gets a new last layer and is trained with cross-entropy for a moment; both are judged on samples kept out.

    Args:
        gains: the model, its optimizer, the batches, and how long short runs may take.

    Returns:
        `numbered_classes`: accuracy of the copy less that of the rounded outputs. Nothing unless the targets are the
        whole numbers from 0 to C − 1, with at least three of them, the network has one output for each sample, and its
        last layer is linear.

    Source: Hung-yi Lee's course: classes 1, 2 and 3 as numbers would say that 1 is nearer to 2 than to 3.
    """
    count = _classes([batch.targets for batch in gains.batches])
    steps = STEPS * gains.affordable() // RUN_STEPS
    if not count or steps * gains.a_step > gains.seconds:
        return {}
    train, held = kept_out(gains.batches)
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
    return {"numbered_classes": (right - rounded) / max(1, sum(one.size for one in held))}


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

"""Whether the loss is defined for what the network can output: a logarithm or a root of a negative number is NaN.

A linear layer gives any number, whatever its outputs have been so far. The first one below −1 makes `log1p` NaN, and
its gradient all weights. A sigmoid gives exactly 1 for numbers above 17, and zero times the logarithm of zero is NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.head import from_weights, head_of
from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

TIMES = (2.0, 3.0, -1.0, -2.0, -3.0)  # the outputs: what a layer that gives them can give as well
SMALLEST = 2.0  # a layer of new weights gives some tenths, and numbers beyond 1 soon
NEAR, SURE = 5.0, 20.0  # logits: of an answer that is nearly sure, and of one whose probability is 1
LARGEST = 10.0  # of moderate outputs: their exponential is far from the largest number


def domain_measures(copied: Copy, start: Mapping[str, Tensor], batch: Batch) -> dict[str, float]:
    """Measure whether moderate outputs have a loss of NaN.

    They are the outputs of the start, whose weights no rate has thrown far, or of the present weights where those are
    unknown; behind a layer with weights of its own, also two and three times as large ones, with both signs, whose
    largest lies between 2 and 10.

    Args:
        copied: the model and its loss; it gets the weights of the start.
        start: weights and buffers by name; empty: unknown.
        batch: of inputs and targets.

    Returns:
        `loss_undefined`, 0 or 1; nothing if outputs, inputs or targets are not finite, or if no outputs have a finite
        loss with these targets. `loss_at_ends`, 0 or 1, for targets of 0 and 1, one for each logit or each probability
        of a sigmoid: whether sure answers, right or wrong, have no finite loss, and nearly sure ones have one.

    Example:
        >>> from torch.nn.functional import mse_loss
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def of_logarithms(outputs, prices):
        ...     return mse_loss(torch.log1p(outputs), torch.log1p(prices))
        >>> model, x = torch.nn.Linear(3, 1), torch.linspace(-1, 1, 24).view(8, 3)
        >>> batch, optimizer = Batch(x, torch.full((8, 1), 2.0)), torch.optim.SGD(model.parameters())
        >>> _ = torch.nn.init.constant_(model.weight, 0.5)
        >>> domain_measures(Copy.of(model, optimizer, of_logarithms), {}, batch)
        {'loss_undefined': 1.0}
        >>> domain_measures(Copy.of(model, optimizer, mse_loss), {}, batch)
        {'loss_undefined': 0.0}
    """
    if not _finite(batch.inputs) or not _finite(batch.targets):
        return {}
    rewound(copied, start)
    outputs = _outputs(copied, batch)
    if outputs is None:
        return {}
    free, given = from_weights(outputs), outputs.detach()
    largest = float(given.abs().max())
    tried = [given] if largest <= LARGEST else []
    if free and largest > 0:
        tried += [times / abs(times) * given / largest * _size(abs(times) * largest) for times in TIMES]
    losses = [loss_or_none(copied, one, batch) for one in tried]
    known = [*losses, *(loss_or_none(copied, one, batch) for one in (given.abs(), torch.ones_like(given)))]
    if not tried or not any(loss is not None and math.isfinite(loss) for loss in known):
        return {}
    found = {"loss_undefined": float(any(loss is not None and math.isnan(loss) for loss in losses))}
    return found | _at_ends(copied, outputs, batch)


def _at_ends(copied: Copy, outputs: Tensor, batch: Batch) -> dict[str, float]:
    """`loss_at_ends`."""
    targets, squashed = batch.targets, head_of(outputs) == "sigmoid"
    if not isinstance(targets, torch.Tensor) or targets.shape != outputs.shape:
        return {}
    if not squashed and not from_weights(outputs):
        return {}
    if not targets.is_floating_point() or not bool(((targets == 0) | (targets == 1)).all()):
        return {}

    def are_finite(size: float) -> bool:
        logits = [sign * size * (2 * targets - 1) for sign in (1, -1)]
        losses = [loss_or_none(copied, one.sigmoid() if squashed else one, batch) for one in logits]
        return all(loss is not None and math.isfinite(loss) for loss in losses)

    return {"loss_at_ends": float(not are_finite(SURE))} if are_finite(NEAR) else {}


def _size(size: float) -> float:
    """The moderate size next to one."""
    return min(max(size, SMALLEST), LARGEST)


def _finite(part: object) -> bool:
    return all(bool(one.isfinite().all()) for one in tensors_in(part) if one.is_floating_point())


def _outputs(copied: Copy, batch: Batch) -> Tensor | None:
    """The outputs of a batch, if they are one tensor of finite numbers."""
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or not outputs.is_floating_point() or not outputs.numel():
        return None
    return outputs if bool(outputs.isfinite().all()) else None


def loss_or_none(copied: Copy, outputs: Tensor, batch: Batch) -> float | None:
    """The loss of other outputs; None if it refuses them."""
    try:
        with own_randomness(0), torch.no_grad():
            return float(copied.loss_fn(outputs, batch.targets))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):
        return None

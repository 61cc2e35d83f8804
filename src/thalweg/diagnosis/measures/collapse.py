"""Whether the outputs of all samples point one way, for a loss that sees nothing but where they point.

Two branches that pull each other agree best on one direction for all samples: the loss is as low as it can be, and the
outputs tell nothing of the inputs.

Shape suffixes: N samples, D numbers of an output.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST = 8  # samples
_SAME = 1e-4  # of a loss, in single precision
_UNIT = 1e-3  # of a length


def collapse_measures(copied: Copy, start: Mapping[str, Tensor], batch: Batch) -> dict[str, float]:
    """Measure how far apart the directions of different samples' outputs are.

    Args:
        copied: of the model now; then gets the weights of the start.
        start: weights and buffers by name; empty: unknown.
        batch: of at least eight samples.

    Returns:
        `directions_apart`, in [0, 1]: the root mean square distance of unit outputs from their mean, of the outputs
        that differ most; `directions_left`: the same relative to the start. Nothing unless the loss takes no targets,
        and outputs have unit length or may have any, each its own, as for a loss of cosines.

    Source: Chen and He 2021, Exploring Simple Siamese Representation Learning, https://arxiv.org/abs/2011.10566.

    Example:
        >>> from torch import nn
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> model = nn.Linear(2, 2, bias=False)
        >>> cosine = lambda outputs, _: -torch.cosine_similarity(outputs, outputs.roll(1, 0)).mean()
        >>> copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), cosine)
        >>> samples = Batch(torch.ones(8, 2) * torch.arange(1.0, 9.0)[:, None], torch.zeros(8))
        >>> round(collapse_measures(copied, {}, samples)["directions_apart"], 3)
        0.0
    """
    now = _apart(copied, batch)
    if now is None:
        return {}
    found = {"directions_apart": now}
    first = _apart(copied, batch) if rewound(copied, start) else None
    return found | ({"directions_left": now / first} if first else {})


def _apart(copied: Copy, batch: Batch) -> float | None:
    with own_randomness(0), torch.no_grad():
        outputs = batch.outputs(copied.model)
    tensors = [one for one in tensors_in(outputs) if one.ndim > 1 and len(one) == batch.size]
    vectors = [one.double() for one in tensors if _holds_vectors(one)]
    if not vectors or batch.size < FEWEST or not all(bool(torch.isfinite(one).all()) for one in vectors):
        return None
    if not _sees_directions_alone(copied, batch.targets, outputs):
        return None
    means = [normalize(one, dim=-1).mean(dim=0).square().sum(dim=-1).mean() for one in vectors]
    return math.sqrt(max(0.0, 1 - float(min(means))))


def _holds_vectors(one: Tensor) -> bool:
    return one.is_floating_point() and one.ndim > 1 and one.shape[-1] > 1


def _sees_directions_alone(copied: Copy, targets: Any, outputs: Any) -> bool:
    """Whether the loss takes no notice of targets and of lengths, and does of where the outputs point."""

    def value(given: Any, wanted: Any) -> float:
        with own_randomness(0), torch.no_grad():
            return float(copied.loss_fn(given, wanted))

    def changed(change: Callable[[Tensor], Tensor]) -> Any:
        return mapped(outputs, lambda one: change(one) if _holds_vectors(one) else one)

    def stretched(one: Tensor) -> Tensor:
        """Each vector with another length, unless all have unit length."""
        lengths = one.norm(dim=-1, keepdim=True)
        return one if bool(((lengths - 1).abs() < _UNIT).all()) else one * (0.5 + torch.rand_like(lengths))

    before = value(outputs, targets)
    size = max(1.0, abs(before))
    others = [mapped(targets, torch.zeros_like), mapped(targets, lambda one: one.flip(0) if one.ndim else one)]
    same = [value(outputs, other) == before for other in others]
    longer = abs(value(changed(stretched), targets) - before) < _SAME * size
    turned = abs(value(changed(lambda one: normalize(torch.randn_like(one), dim=-1)), targets) - before) > _SAME * size
    return all(same) and longer and turned

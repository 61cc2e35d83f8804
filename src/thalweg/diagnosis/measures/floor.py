"""How high, and how low, a loss can be at all: outputs that are free of a network, except for a length it gives them.

A loss that hardly moves, whatever the outputs are, teaches nothing: similarities that are multiplied by a temperature
in place of divided by it, cosines without a scale among very many. A loss that cannot fall because the targets tell
nothing, such as cross-entropy of a teacher that has no opinion, still rises without end for wrong outputs.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.head import head_of
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

    Loss = Callable[[Sequence[Tensor]], Tensor]

STEPS = 40
RATES = (0.1, 1.0)  # of Adam, relative to the size of outputs and targets
FAR = (1.0, 30.0, 1000.0)  # times that size
LOW, HIGH = 0.5, 2.0  # of the constant's loss: it is not asked how far beyond
MOST_MOVED = 1.0  # nats: beyond, the loss is large because a constant was added, such as a likelihood's
MOST_NUMBERS = 1 << 22  # in the outputs: three times as many are held beside them
SECONDS = 2.0  # for all steps together; a slow loss is asked with fewer
FEWEST_STEPS = 10
_EQUAL = 1e-2  # lengths of normalized vectors of half precision differ by less
_TINY = 1e-12


def floor_measures(copied: Copy, batch: Batch, constant: float) -> dict[str, float]:
    """Measure the highest and the lowest loss that outputs can have which no network binds.

    Adam changes the outputs themselves, from where they are and from random ones, at several rates, up and down; the
    highest and the lowest value of all steps count. Where all vectors of an output have one length, as a network that
    normalizes them gives, they keep it.

    Args:
        copied: the model and its loss.
        batch: of inputs and targets.
        constant: the loss of the constant predictor; NaN: that of outputs that are zero, or their own mean over the
            batch, where this is lower.

    Returns:
        `ceiling_left` and `floor_left`, in multiples of the constant predictor's loss. The floor is missing where the
        ceiling is above 2, or where the two lie more than 1 apart as losses, and is any below 0.5 where it is below
        that. Nothing unless the network ends without an activation, and its loss is positive for constant outputs, has
        a gradient, and depends on nothing else that is trained.

    Example:
        >>> from torch.nn.functional import cross_entropy, normalize
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def contrast(z_NF, labels_N):
        ...     z_NF = normalize(z_NF, dim=1)
        ...     return cross_entropy(0.07 * z_NF @ z_NF.T, torch.arange(len(z_NF)).flip(0))
        >>> model = torch.nn.Linear(3, 4)
        >>> copied = Copy(model, torch.optim.SGD(model.parameters()), contrast)
        >>> floor_measures(copied, Batch(torch.randn(16, 3), torch.zeros(16)), float("nan"))["floor_left"] > 0.95
        True
    """
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
    made = [one for one in tensors_in(outputs) if one.is_floating_point()]
    if not made or sum(one.numel() for one in made) > MOST_NUMBERS:
        return {}
    if any(head_of(one) not in ("none", "unknown") or not bool(one.isfinite().all()) for one in made):
        return {}

    lengths = [_length(one) for one in made]

    def loss_of(free: Sequence[Tensor]) -> Tensor:
        given = dict(zip(map(id, made), map(_of_length, free, lengths), strict=True))
        with own_randomness(0):
            return copied.loss_fn(mapped(outputs, lambda one: given.get(id(one), one)), batch.targets)

    start = [one.detach().float() for one in made]
    try:
        return _extremes(loss_of, start, constant, _size(start, batch.targets))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):  # a loss that takes no other outputs
        return {}


def _length(output: Tensor) -> float | None:
    """The length that all its vectors have; None: they have several, or it has fewer than two of two numbers."""
    if output.ndim < 2 or output.shape[-1] < 2 or output.numel() == output.shape[-1]:
        return None
    vectors_NF = output.detach().float().reshape(-1, output.shape[-1])
    lengths_N = torch.linalg.vector_norm(vectors_NF, dim=1)
    apart = torch.linalg.vector_norm(vectors_NF - vectors_NF.mean(dim=0), dim=1).mean()
    length = float(lengths_N.max())
    # vectors that are all alike, as of a network that has collapsed, have one length without being normalized
    is_one = float(apart) > _EQUAL * length and length - float(lengths_N.min()) < _EQUAL * float(apart)
    return length if is_one else None


def _of_length(free: Tensor, length: float | None) -> Tensor:
    if length is None:
        return free
    return free * (length / torch.linalg.vector_norm(free, dim=-1, keepdim=True).clamp_min(_TINY))


def _size(start: Sequence[Tensor], targets: object) -> float:
    """The root mean square of the outputs, or of the targets where it is larger."""
    wanted = [one for one in tensors_in(targets) if one.is_floating_point()]
    sizes = [float(one.detach().float().square().mean().sqrt()) for one in (*start, *wanted) if one.numel()]
    return max((size for size in sizes if math.isfinite(size)), default=0.0) or 1.0


def _extremes(loss_of: Loss, start: Sequence[Tensor], constant: float, size: float) -> dict[str, float]:
    with torch.enable_grad():
        loss = loss_of(start)
    if loss.requires_grad or loss.numel() != 1:  # a part of it comes from weights, not from outputs
        return {}
    constant = constant if math.isfinite(constant) else _constant(loss_of, start)
    if not constant > 0 or not math.isfinite(constant):
        return {}
    generator = torch.Generator().manual_seed(0)
    drawn = [size * torch.randn(one.shape, generator=generator).to(one) for one in start]
    with torch.no_grad():
        far = [float(loss_of([times * one for one in whole])) for whole in (start, drawn) for times in FAR]
    known = [float(loss), *(value for value in far if math.isfinite(value))]
    if max(known) > HIGH * constant:
        return {"ceiling_left": max(known) / constant}
    ways = [(begin, rate * size) for begin in (start, drawn) for rate in RATES]
    steps = _affordable(loss_of, drawn, 2 * len(ways))
    if steps < FEWEST_STEPS:
        return {}
    lowest = [_furthest(loss_of, *way, steps, LOW * constant, sign=1) for way in ways]
    highest = [_furthest(loss_of, *way, steps, HIGH * constant, sign=-1) for way in ways]
    if not any(map(math.isfinite, lowest)):
        return {}
    high = max(known + [value for value in highest if math.isfinite(value)])
    low = min(known + [value for value in lowest if math.isfinite(value)])
    floor = {"floor_left": low / constant} if high - low <= MOST_MOVED else {}
    return {"ceiling_left": high / constant, **floor}


def _constant(loss_of: Loss, start: Sequence[Tensor]) -> float:
    """The loss of the better of two outputs that are the same for all samples."""
    with torch.no_grad():
        zero = float(loss_of([torch.zeros_like(one) for one in start]))
        mean = float(loss_of([one.mean(dim=0, keepdim=True).expand_as(one) if one.ndim else one for one in start]))
    return min((value for value in (zero, mean) if math.isfinite(value)), default=math.nan)


def _affordable(loss_of: Loss, free: Sequence[Tensor], ways: int) -> int:
    """The number of steps of each way."""
    began = time.perf_counter()
    _furthest(loss_of, free, 0.0, 2, -math.inf, sign=1)
    return min(STEPS, int(2 * SECONDS / max(time.perf_counter() - began, 1e-9) / ways))


def _furthest(loss_of: Loss, start: Sequence[Tensor], rate: float, steps: int, enough: float, *, sign: int) -> float:
    """The lowest loss that Adam finds, or with a sign of -1 the highest; infinite where outputs have no gradient."""
    found = math.inf
    free = [one.clone().requires_grad_() for one in start]
    adam = torch.optim.Adam(free, lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        with torch.enable_grad():
            loss = sign * loss_of(free)
        if not loss.requires_grad or not bool(loss.isfinite()):
            break
        loss.backward()
        if not any(one.grad is not None and bool(one.grad.any()) for one in free):
            break
        found = min(found, float(loss.detach()))
        if found < sign * enough:
            break
        adam.step()
    return sign * found

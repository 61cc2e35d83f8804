"""Whether pictures and masks were flipped apart: then a network that has learned them cannot tell left from right.

Shape suffixes: N samples, H rows, W columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.mixing import evaluating
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

SMALLEST = 8  # rows and columns of a picture
FEWEST = 6  # pictures with lopsided targets
LOPSIDED = 0.5  # of the distance between two pictures' targets: that of a target from its mirror image
FLIPS: tuple[tuple[int, ...], ...] = ((-1,), (-2,), (-2, -1))
ENOUGH, KNOWN = 12, 0.85  # pictures, and the share whose outputs show where their target is, in one of its four places
LEARNED = 0.75  # share of the pictures whose own target, or its mirror image, fits better than another picture's
SURELY = 4.0  # standard errors of the mean by which it does
CLEARLY = 2.0  # how far it is from its mirror image, relative to another's target from its own: else chance decides


def mirrored_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure how often the mirror image of the targets fits the outputs better than the targets.

    Args:
        copied: only a copy of its model runs, in evaluation mode.
        batch: of pictures (N, channels, H, W), and of targets with as many rows and columns.

    Returns:
        `mirrored`, in [0, 1]: of the pictures whose targets differ from their mirror image, the share where that
        fits better; the largest of left for right, top for bottom, and both. Nothing for batches of another form, if
        fewer than six pictures count, or if the outputs fit neither clearly better than another picture's targets, or
        tell the two hardly further apart: then nothing was learned yet that a flip could spoil. Where flips both ways
        let next to nothing be learned, it is the share of the pictures that fit any mirror image better, if the
        outputs show where their targets are.
    """
    inputs, targets = batch.inputs, batch.targets
    if not isinstance(inputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        return {}
    if inputs.ndim != 4 or targets.ndim < 3 or inputs.shape[-2:] != targets.shape[-2:] or len(inputs) != len(targets):
        return {}
    if min(inputs.shape[-2:]) < SMALLEST or len(targets) < FEWEST:
        return {}
    with own_randomness(0), torch.no_grad():
        outputs = batch.outputs(evaluating(copied.model))
    if not isinstance(outputs, torch.Tensor) or outputs.shape[-2:] != targets.shape[-2:]:
        return {}
    shares = [_share(outputs, targets, copied.loss_fn, lambda one, dims=dims: one.flip(dims)) for dims in FLIPS]
    known = [share for share in shares if share is not None] or _share_of_any(outputs, targets, copied.loss_fn)
    return {"mirrored": max(known)} if known else {}


def _share(outputs: Tensor, targets: Tensor, loss_fn: LossFunction, flip: Callable[[Tensor], Tensor]) -> float | None:
    """The share for one way to mirror; None if that cannot be told."""
    other = targets.roll(1, 0)
    own_N, mirror_N, other_N, mirror_of_other_N = (
        _losses(outputs, one, loss_fn) for one in (targets, flip(targets), other, flip(other))
    )
    best_N, best_of_other_N = own_N.minimum(mirror_N), other_N.minimum(mirror_of_other_N)
    counted_N = _distance(targets, flip(targets)) > LOPSIDED * _distance(targets, other).mean()
    better_N = (best_of_other_N - best_N)[counted_N]
    if len(better_N) < FEWEST or not float((better_N > 0).double().mean()) > LEARNED:
        return None
    if not float(better_N.mean()) > SURELY * float(better_N.std()) / len(better_N) ** 0.5:
        return None
    apart_N, by_chance_N = (own_N - mirror_N).abs()[counted_N], (other_N - mirror_of_other_N).abs()[counted_N]
    if not float(apart_N.median()) > CLEARLY * float(by_chance_N.median()):
        return None
    return float((mirror_N < own_N)[counted_N].double().mean())


def _share_of_any(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> list[float]:
    """The share for all ways to mirror together, as the only item; none if that cannot be told."""
    if len(targets) < ENOUGH:
        return []
    other, others_outputs = targets.roll(1, 0), outputs.roll(1, 0)
    own_4N = _of_places(outputs, targets, loss_fn)
    places = (own_4N, _of_places(others_outputs, other, loss_fn))
    crossed = (_of_places(outputs, other, loss_fn), _of_places(others_outputs, targets, loss_fn))
    # The best place against the next: sizes and brightness, of outputs and of targets, cancel. A place that fits worse
    # than all others shows nothing: a network that has just begun may take bright for dark.
    shown = [torch.diff(one.sort(dim=0).values[:2], dim=0)[0] for one in (*places, *crossed)]
    known_N = shown[0] + shown[1] > shown[2] + shown[3]
    apart_N = torch.stack([_distance(targets, targets.flip(dims)) for dims in FLIPS]).amin(dim=0)
    counted_N = apart_N > LOPSIDED * _distance(targets, other).mean()
    if int(counted_N.sum()) < FEWEST or not float(known_N.double().mean()) > KNOWN:
        return []
    return [float((own_4N[1:].amin(dim=0) < own_4N[0])[counted_N].double().mean())]


def _of_places(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> Tensor:
    """The loss of each picture with its targets as they are, and mirrored in three ways, (4, N)."""
    return torch.stack([_losses(outputs, one, loss_fn) for one in (targets, *(targets.flip(d) for d in FLIPS))])


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """How far the targets of each picture are from others, (N,); of classes, the share that differs."""
    apart = (one - other).abs() if one.is_floating_point() else one != other
    return apart.reshape(len(one), -1).double().mean(dim=1)


def _losses(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> Tensor:
    """The loss of each picture, (N,)."""
    with torch.no_grad():
        losses = [float(loss_fn(outputs[at : at + 1], targets[at : at + 1])) for at in range(len(targets))]
    return torch.tensor(losses, dtype=torch.double)

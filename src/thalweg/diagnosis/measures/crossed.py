"""Whether the targets of a sample pull its own outputs, asked with inputs and with targets that change.

Outputs (time, batch, ...) and targets (batch, time) that are both flattened compare each output with another sample's
target; so do outputs that a network returns in another order than it was given their inputs.

Shape suffixes: O numbers of the outputs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.head import class_dim, head_of, reachable
from thalweg.diagnosis.measures.mixing import evaluating
from thalweg.probes.batches import Batch, mapped
from thalweg.probes.copies import own_randomness
from thalweg.probes.kept import leaves


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.probes.copies import Copy

FEWEST = 4  # samples
PLACES = 5  # samples looked at
LITTLE = 0.5  # of what a sample pulls
MOST_NUMBERS = 1 << 24
_MOVED = 1e-6  # of the largest change: rounding
_WHOLE = 0.5  # of a sample's share of the outputs: some of its numbers may stay as they are


def crossed_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of the samples looked at whose targets pull the outputs of others in place of their own.

    The outputs of a sample are those that change with its inputs, in evaluation mode. What it pulls are the outputs
    whose gradient changes with its targets, for outputs that are drawn.

    Args:
        copied: the model and its loss.
        batch: inputs and targets, with a row for each sample.

    Returns:
        `crossed`, in [0, 1]: a sample counts if less than half of what it pulls is its own, and the rest is others'.
        Nothing where samples share outputs, as neighbors in a graph do, where targets pull more than a sample's share
        of the outputs, as in a contrastive loss, or where outputs and targets are of another form.
    """
    targets = batch.targets
    if not isinstance(targets, torch.Tensor) or not targets.ndim or len(targets) < FEWEST:
        return {}
    parts = leaves(batch.inputs)
    if not parts or any(not one.ndim or len(one) != len(targets) for one in parts):
        return {}
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or not outputs.is_floating_point() or outputs.numel() > MOST_NUMBERS:
        return {}
    places = torch.linspace(0, len(targets) - 1, PLACES).round().long().unique().tolist()
    found = _own(copied, batch, places)
    if found is None or not _apart(found[1], outputs.numel() / len(targets)):
        return {}
    read_O, own = found
    with own_randomness(0):
        drawn = torch.randn(outputs.shape).to(outputs)
    drawn = reachable(head_of(outputs), drawn, class_dim(outputs.detach(), targets))
    shares = []
    for own_O, pulled_O in zip(own, _pulled(copied, drawn, targets, places), strict=False):
        count = int((pulled_O & read_O).sum())
        if count > 0 and int(pulled_O.sum()) <= outputs.numel() / len(targets):
            shares.append(float((pulled_O & own_O).sum()) / count)
    return {"crossed": sum(share < LITTLE for share in shares) / len(shares)} if shares else {}


def _own(copied: Copy, batch: Batch, places: list[int]) -> tuple[Tensor, list[Tensor]] | None:
    """Which outputs change with any inputs, and which with those of each place; None where no others are taken."""

    def outputs(change: Callable[[Tensor], Tensor]) -> Tensor:
        with own_randomness(0), torch.no_grad():
            given = Batch(mapped(batch.inputs, change), batch.targets)
            return given.outputs(evaluating(copied.model)).detach().flatten()

    with suppress(Exception):
        before_O = outputs(lambda rows: rows)
        read_O = _changed(before_O, outputs(lambda rows: rows.roll(1, 0)))
        return read_O, [_changed(before_O, outputs(_with_another(place))) for place in places]
    return None


def _pulled(copied: Copy, drawn: Tensor, targets: Tensor, places: list[int]) -> list[Tensor]:
    """The outputs whose gradient changes with the targets of each place; none for a loss that takes no such targets.

    The numbers of a row change places if that pulls anything: as many of them are padding then, and no mean over the
    others changes.
    """

    def pull(given: Tensor) -> Tensor:
        with own_randomness(0), torch.enable_grad():
            leaf = drawn.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(copied.loss_fn(leaf, given), leaf)
        return gradient.flatten()

    def pulled(place: int, before_O: Tensor) -> Tensor:
        turned = targets.clone()
        turned[place] = targets[place].flatten().flip(0).view_as(targets[place])
        pulled_O = _changed(before_O, pull(turned))
        return pulled_O if pulled_O.any() else _changed(before_O, pull(_with_another(place)(targets)))

    with suppress(Exception):
        before_O = pull(targets)
        return [pulled(place, before_O) for place in places]
    return []


def _with_another(place: int) -> Callable[[Tensor], Tensor]:
    """Give a place the row that differs most from its own."""

    def change(rows: Tensor) -> Tensor:
        distances = (rows != rows[place]).reshape(len(rows), -1).sum(dim=1)
        changed = rows.clone()
        changed[place] = rows[int(distances.argmax())]
        return changed

    return change


def _changed(before_O: Tensor, after_O: Tensor) -> Tensor:
    change_O = (after_O.float() - before_O.float()).abs()
    return change_O > _MOVED * change_O.max()


def _apart(own: list[Tensor], share: float) -> bool:
    """Whether each sample has outputs of its own, as many as its share, and no two have one in common."""
    together_O = torch.stack([one_O.int() for one_O in own]).sum(dim=0)
    return bool((together_O <= 1).all()) and all(_WHOLE * share <= int(one_O.sum()) <= share for one_O in own)

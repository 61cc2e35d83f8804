"""Padding that the loss counts: positions after the end of a text, which anybody can predict.

Where most positions are padding, the mean loss is small before a word is learned, and so is the gradient of the words.

Shape suffixes: N rows, T positions, C classes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.head import class_dim
from thalweg.diagnosis.measures.recovered import is_mean
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import kept_out


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

STEPS, FEWEST_STEPS = 80, 20
FEWEST = 8  # rows
SHORTEST = 4  # positions
MOSTLY = 0.5  # of the rows that end, or begin, with padding, and of the positions from which a copy is trained


class _Padding(NamedTuple):
    leaf: int  # place of the tensor of tokens among the inputs
    value: float  # of its padding

    def of(self, batch: Batch) -> Tensor:
        """Which positions of a batch are padded, in the shape of its targets."""
        tokens_NT = list(tensors_in(batch.inputs))[self.leaf]
        return (tokens_NT == self.value).reshape(batch.targets.shape)


def padding_measures(gains: Gains) -> dict[str, float]:
    """Measure the share of the loss's positions that are padding, and what the words gain where they alone count.

    Two copies go on from now, one with the loss as it is, one with the mean over the words alone; both are judged by
    the words of samples kept out.

    Args:
        gains: the model, its optimizer, the loss, the batches, and how long short runs may take.

    Returns:
        `padding_counted`, in [0, 1]: the share of the positions of the first batch; 0 where the loss leaves padding
        out. `tried_unpadded`: accuracy of the words without padding in the loss, less that with it. Nothing unless
        inputs (N, T) and targets are whole numbers, a position each, rows end or begin with runs of one input that is
        found nowhere else, and all targets there are one number.
    """
    first = gains.batches[0]
    padding = _padding_of(first)
    if padding is None:
        return {}
    copied = gains.copied()
    with own_randomness(0), torch.no_grad():
        outputs = first.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or class_dim(outputs, first.targets) is None:
        return {}
    padded = padding.of(first)
    if not _counts(outputs, first.targets, padded, copied.loss_fn):
        return {"padding_counted": 0.0}
    found = {"padding_counted": float(padded.float().mean())}
    steps = min(STEPS * gains.affordable() // RUN_STEPS, int(gains.seconds / max(2 * gains.a_step, 1e-9)))
    if steps < FEWEST_STEPS or found["padding_counted"] < MOSTLY:
        return found
    train, held = kept_out(gains.batches)
    as_it_is, words = (_right(gains.copied(), train, held, steps, padding, alone=alone) for alone in (False, True))
    return found | {"tried_unpadded": words - as_it_is}


def _padding_of(batch: Batch) -> _Padding | None:
    """The padding of a batch; None if there is none that is beyond doubt."""
    targets = batch.targets
    if not isinstance(targets, torch.Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        return None
    for leaf, tokens_NT in enumerate(tensors_in(batch.inputs)):
        if tokens_NT.ndim == 2 and not tokens_NT.is_floating_point() and tokens_NT.numel() == targets.numel():
            value = _value_of(tokens_NT, targets.reshape(tokens_NT.shape))
            if value is not None:
                return _Padding(leaf, value)
    return None


def _value_of(tokens_NT: Tensor, targets_NT: Tensor) -> float | None:
    """The token in runs at the ends of rows, or at their beginnings, that stands nowhere else and has one target."""
    rows, length = tokens_NT.shape
    if rows < FEWEST or length < SHORTEST:
        return None
    for ordered_NT in (tokens_NT, tokens_NT.flip(1)):
        value = ordered_NT[:, -1].mode().values
        same_NT = ordered_NT == value
        run_NT = same_NT.flip(1).cumprod(dim=1).flip(1).bool()
        ends = float(run_NT.any(dim=1).float().mean())
        if ends < MOSTLY or len(run_NT.sum(dim=1).unique()) < 2 or bool((same_NT & ~run_NT).any()):
            continue
        padded_NT = tokens_NT == value
        if len(targets_NT[padded_NT].unique()) == 1 and len(targets_NT[~padded_NT].unique()) > 1:
            return float(value)
    return None


def _counts(outputs: Tensor, targets: Tensor, padded: Tensor, loss_fn: LossFunction) -> bool:
    """Whether the loss has a gradient at the outputs of all padded positions."""
    with torch.enable_grad():
        given = outputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss_fn(given, targets), given)
    dim = class_dim(outputs, targets)
    assert dim is not None  # noqa: S101 - the caller asked
    pulled = gradient.abs().amax(dim=dim)
    return bool((pulled[padded] > 0).all())


def _of_words(batch: Batch, copied: Copy, padding: _Padding) -> Tensor:
    """The loss without the gradient of the padded positions; a mean counts as much as one over the others alone."""
    outputs, padded = batch.outputs(copied.model), padding.of(batch)
    dim = class_dim(outputs, batch.targets)
    assert dim is not None  # noqa: S101 - the caller asked
    alone = torch.where(padded.unsqueeze(dim), outputs.detach(), outputs)
    share = float((~padded).float().mean()) if is_mean(outputs.detach(), copied.loss_fn, batch.targets) else 1.0
    return copied.loss_fn(alone, batch.targets) / max(share, 1 / padded.numel())


def _right(
    copied: Copy, train: Sequence[Batch], held: Sequence[Batch], steps: int, padding: _Padding, *, alone: bool
) -> float:
    """The share of the words that a copy predicts after some more steps."""
    with own_randomness(0), torch.enable_grad():
        for step in range(steps):
            batch = train[step % len(train)]
            as_it_is = partial(batch.loss, copied.model, copied.loss_fn)
            copied.step(partial(_of_words, batch, copied, padding) if alone else as_it_is)
    copied.model.eval()
    right = count = 0.0
    with own_randomness(0), torch.no_grad():
        for batch in held:
            outputs = batch.outputs(copied.model)
            dim, words = class_dim(outputs, batch.targets), ~padding.of(batch)
            right += float((outputs.argmax(dim=dim) == batch.targets)[words].float().sum())
            count += float(words.sum())
    return right / max(1.0, count)

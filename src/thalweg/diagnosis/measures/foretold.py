"""Whether inputs foretell targets at all: asked of samples that a watch kept, and judged on some kept out.

A network that learns its samples by heart looks like one that learns: its loss falls. Two things tell them apart. While
every sample is new, the loss of one that only memorizes is a constant's. And what a predictor makes of three quarters
of the samples says nothing about the others.

Shape suffixes: K samples, F features, D numbers or classes, S steps.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import one_hot

from thalweg.diagnosis.measures.batch import constant_measures
from thalweg.diagnosis.measures.head import head_of
from thalweg.diagnosis.measures.ridge import MOST, features_of, ridge
from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.copies import Copy, own_randomness
from thalweg.probes.dropout import WithoutDropout
from thalweg.probes.holdout import rows_of


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

FEWEST = 160  # samples that show whether their inputs foretell anything
FEWEST_UNLIKE = 64  # of them with another target than the most frequent: of a rare class, chance hides what is foretold
FEWEST_NEW = 10  # steps in which every sample was new
COMES_AGAIN = 0.03  # share of a step's samples, from which the second epoch has begun
COVERED = 0.5  # share of the late samples that are among the kept ones, which are then the whole data set
MOST_NUMBERS, MOST_CLASSES = 16, 100
CLEARLY = 6.0  # standard errors from which no further predictor is asked
LEARNED = 0.6  # of the constant's loss: a network that leaves less has learned its samples
STEPS, LOOKS, ROWS = 400, 16, 64
RATES = (1e-3, 1e-2)
SHARE = 0.2  # of the seconds for all short runs


def sight_measures(marks: Mapping[int, Tensor], losses_S: NDArray) -> dict[str, float]:
    """Measure the loss while every sample was new.

    Args:
        marks: number of a step, from 1, to one number for each of its first samples: `probes.kept.Kept.marks`.
        losses_S: of all steps.

    Returns:
        `loss_first_sight`: the mean loss of the second half of the steps before the first sample came again; nothing
        for fewer than ten such steps, or if no sample ever came again. `comes_again`: the share of the samples that
        came before, in the second half of the steps up to the last mark, as far as the marks tell.
    """
    seen: set[float] = set()
    shares: dict[int, float] = {}
    for step, marks_K in sorted(marks.items()):
        known = marks_K.tolist()
        shares[step] = sum(mark in seen for mark in known) / max(1, len(known))
        seen.update(known)
    again = [step for step, share in shares.items() if share > COMES_AGAIN]
    if not again:
        return {}
    late = [share for step, share in shares.items() if step > max(shares) / 2]
    found = {"comes_again": sum(late) / len(late)} if late else {}
    new = max((step for step in shares if step < again[0]), default=0)
    if new >= FEWEST_NEW:
        found["loss_first_sight"] = float(losses_S[new // 2 : new].mean())
    return found


def foretold_measures(
    gains: Gains, samples: Batch, start: Mapping[str, Tensor], known: Mapping[str, float]
) -> dict[str, float]:
    """Measure how far beyond chance predictions for samples kept out agree with their targets.

    Kernel ridge regression is asked first. If it finds nothing, so is the network from its first weights, trained on
    three quarters of the samples.

    Args:
        gains: the model, its optimizer, the loss and the budget.
        samples: of several steps, each once.
        start: the first weights; empty: new ones are drawn.
        known: the measures so far.

    Returns:
        `foretold`: the agreement in standard errors, the most of all predictors and of all moments of the training.
        Nothing if the samples are too few, nearly all of one class, of another form, or hardly a part of a data set
        that is seen once; nothing either if the network does not learn the three quarters. `first_sight`: the loss
        while every sample was new, relative to the best constant's over the kept samples.

    Source: Zhang et al. 2017, Understanding deep learning requires rethinking generalization,
    https://arxiv.org/abs/1611.03530; Mantel 1967, The detection of disease clustering and a generalized regression
    approach, for the permutation of one side.
    """
    numbers_KD, features_KF = _numbers_of(samples), features_of(samples)
    whole = known.get("comes_again", 0.0) > COVERED
    if numbers_KD is None or features_KF is None or samples.size < FEWEST or _unlike(numbers_KD) < FEWEST_UNLIKE:
        return {}
    if not whole and "loss_first_sight" not in known:
        return {}
    found = _of_first_sight(gains, samples, known)
    most = max(agreement(one_KD, numbers_KD[: len(one_KD)]) for one_KD in ridge(features_KF, numbers_KD))
    if most > CLEARLY:
        return found | {"foretold": most}
    reached = [_of_network(gains, samples, start, rate) for rate in RATES]
    return found | {"foretold": max([most, *reached])} if max(reached) > -math.inf else found


def _of_first_sight(gains: Gains, samples: Batch, known: Mapping[str, float]) -> dict[str, float]:
    copied = gains.copied()
    with own_randomness(0), torch.enable_grad():
        outputs = samples.outputs(copied.model)
    found = constant_measures(outputs.detach(), samples.targets, copied.loss_fn, head_of(outputs))
    constant, first = found.get("loss_constant", 0.0), known.get("loss_first_sight", math.nan)
    return {"first_sight": first / constant} if constant > 0 and math.isfinite(first) else {}


def agreement(predicted_KD: Tensor, targets_KD: Tensor) -> float:
    """How much better predictions fit their own targets than targets in another order, in standard errors.

    Args:
        predicted_KD: one row for each sample; any scale.
        targets_KD: likewise.

    Example:
        >>> x = torch.arange(10.0)[:, None]
        >>> agreement(x, 3 * x + 1), agreement(torch.ones(10, 1), x)
        (3.0, 0.0)
    """
    one, two = (part.double() - part.double().mean(dim=0) for part in (predicted_KD, targets_KD))
    scale = float(one.square().mean().sqrt())
    one = (one / scale).clamp(-3, 3) if scale > 0 else one
    one = one - one.mean(dim=0)
    variance = float(((one.T @ one) * (two.T @ two)).sum()) / max(1, len(one) - 1)
    return round(float((one * two).sum()) / math.sqrt(variance), 9) if variance > 0 else 0.0


def _numbers_of(samples: Batch) -> Tensor | None:
    """One row of numbers for each sample: its targets, or 1 in the column of its class."""
    targets = samples.targets
    if not isinstance(targets, torch.Tensor) or not len(targets):
        return None
    if targets.is_floating_point():
        flat = targets.reshape(len(targets), -1)
        return flat if flat.shape[1] <= MOST_NUMBERS and bool((flat != flat[:1]).any()) else None
    kinds, labels_K = targets.unique(return_inverse=True)
    return one_hot(labels_K).double() if targets.ndim == 1 and 1 < len(kinds) <= MOST_CLASSES else None


def _unlike(numbers_KD: Tensor) -> int:
    """The number of samples with another target than the most frequent, among those that all predictors get."""
    few_KD = numbers_KD[:MOST]
    return len(few_KD) - int(few_KD.unique(dim=0, return_counts=True)[1].max())


def _of_network(gains: Gains, samples: Batch, start: Mapping[str, Tensor], rate: float) -> float:
    """The agreement of a network's outputs on a fourth that it does not train on; minus infinity if it learns nothing.

    The most of several moments counts: it is high before the network learns the others by heart.
    """
    a_step = max(gains.a_step, 1e-9) * max(1.0, ROWS / gains.batches[0].size)  # of 64 samples
    steps = min(STEPS, int(SHARE * gains.seconds / (len(RATES) * a_step)))
    order_K = torch.randperm(samples.size, generator=torch.Generator().manual_seed(1))
    cut = samples.size * 3 // 4
    held, train = rows_of(samples, order_K[cut:]), rows_of(samples, order_K[:cut])
    numbers_KD = None if held is None else _numbers_of(held)
    if held is None or train is None or numbers_KD is None or steps < LOOKS:
        return -math.inf
    copied, most = gains.copied(), -math.inf
    with own_randomness(0), torch.enable_grad(), WithoutDropout():
        if not rewound(copied, start):
            copied.restart()
        adam = torch.optim.Adam([one for one in copied.model.parameters() if one.requires_grad], lr=rate)
        copied, losses = Copy(copied.model, adam, copied.loss_fn), []
        for step in range(1, steps + 1):
            batch = rows_of(train, torch.randint(cut, (min(ROWS, cut),))) or train
            losses.append(float(copied.step(partial(batch.loss, copied.model, copied.loss_fn)).detach()))
            if step % (steps // LOOKS) == 0:
                most = max(most, agreement(_outputs(copied.model, held, numbers_KD.shape[1]), numbers_KD))
                if most > CLEARLY:
                    return most
    has_learned = sum(losses[-(steps // LOOKS) :]) / (steps // LOOKS) < LEARNED * gains.scale
    return most if has_learned else -math.inf


def _outputs(model: nn.Module, held: Batch, columns: int) -> Tensor:
    """The outputs as one row for each sample, in evaluation mode; of classes, the columns of those that come."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        outputs = held.outputs(model).reshape(held.size, -1)
    for module, training in modes:
        module.training = training
    if outputs.shape[1] != columns:
        outputs = outputs[:, held.targets.unique()]
    return outputs

"""Whether inputs foretell targets at all: asked of samples that a watch kept, and judged on some kept out.

A network that learns its samples by heart looks like one that learns: its loss falls. Two things tell them apart. While
every sample is new, the loss of one that only memorizes is a constant's. And what a predictor makes of three quarters
of the samples says nothing about the others.

Shape suffixes: K samples, F features, D numbers or classes, S steps, O orders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import one_hot

from thalweg.diagnosis.measures.batch import constant_of
from thalweg.diagnosis.measures.ridge import features_of, ridge
from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.copies import Copy, own_randomness
from thalweg.probes.dropout import WithoutDropout
from thalweg.probes.holdout import rows_of
from thalweg.probes.kept import MOST_ROWS


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
FORETELLS = 3.0  # standard errors; no targets in another order reached them
LEARNED = 0.6  # of the constant's loss: a network that leaves less has learned its samples
NEARLY = 1.05  # of the loss that the training has come to
_ROUNDING = 1e-10  # of the largest eigenvalue
OTHER_ORDERS, FEWEST_ORDERS = 32, 8  # of the targets, which show what kernels reach by chance
STEPS, LOOKS, ROWS = 400, 16, 64
RATES = (1e-3, 1e-2)
SHARE = 0.5  # of the seconds that are left


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
    three quarters of the samples. Each fourth of the samples is predicted from the other three, so the errors of the
    kernels hang together, and chance gives more than one standard error: targets in other orders show how much.

    Args:
        gains: the model, its optimizer, the loss and the budget.
        samples: of several steps, each once.
        start: the first weights; empty: new ones are drawn.
        known: the measures so far.

    Returns:
        `foretold`: the agreement in standard errors, the most of all predictors and of all moments of the training.
        Nothing if the samples are too few, nearly all of one class, of another form, or hardly a part of a data set
        that is seen once, unless kernels find more than `FORETELLS`; nothing either if the network does not learn the
        three quarters. `first_sight`: the loss
        while every sample was new, relative to the best constant's over the kept samples. `pictures_foretold`, in
        place of `foretold`: the same of targets with rows and columns, such as masks, of which the 16 directions
        count in which they vary most; the network counts, too, if it comes as low as the training did.

    Source: Zhang et al. 2017, Understanding deep learning requires rethinking generalization,
    https://arxiv.org/abs/1611.03530; Mantel 1967, The detection of disease clustering and a generalized regression
    approach, for the permutation of one side.
    """
    whole = known.get("comes_again", 0.0) > COVERED
    seen_once = not whole and "loss_first_sight" not in known
    if samples.size < FEWEST or (seen_once and _are_pictures(samples)):
        return {}
    if _are_pictures(samples):
        return _of_pictures(gains, samples, start, known)
    numbers_KD, features_KF = _numbers_of(samples), features_of(samples, MOST_ROWS)
    if numbers_KD is None or features_KF is None or _unlike(numbers_KD) < FEWEST_UNLIKE:
        return {}
    if seen_once:  # what so few samples do not show, the others may
        agreed = beyond_chance(features_KF, numbers_KD)
        return {"foretold": agreed} if agreed > FORETELLS else {}
    question = _Question(gains, samples, start, _numbers_of, _said_of_classes, LEARNED * gains.scale)
    agreed = question.agreement(features_KF, numbers_KD)
    return _of_first_sight(gains, samples, known) | ({} if agreed is None else {"foretold": agreed})


def _of_pictures(
    gains: Gains, samples: Batch, start: Mapping[str, Tensor], known: Mapping[str, float]
) -> dict[str, float]:
    """The agreement of predicted and true targets along the directions in which these vary most."""
    features_KF, most = features_of(samples, MOST_ROWS), _most_frequent(samples.targets)
    basis_PD = _basis_of(_flat(samples.targets, most))
    if features_KF is None or basis_PD is None:
        return {}

    def numbers_of(some: Batch) -> Tensor:
        return _flat(some.targets, most) @ basis_PD

    def said_of(outputs: Tensor, _held: Batch) -> Tensor:
        own = outputs if most is None else outputs[:, most] - outputs.mean(dim=1)
        return own.reshape(len(own), -1).double() @ basis_PD

    enough = max(LEARNED * gains.scale, NEARLY * known.get("loss_last", 0.0))
    agreed = _Question(gains, samples, start, numbers_of, said_of, enough).agreement(features_KF, numbers_of(samples))
    return {} if agreed is None else {"pictures_foretold": agreed}


def _are_pictures(samples: Batch) -> bool:
    """Whether inputs and targets have rows and columns."""
    inputs, targets = samples.inputs, samples.targets
    if not isinstance(inputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        return False
    return inputs.ndim > 3 and targets.ndim > 2 and inputs.shape[-2:] == targets.shape[-2:]


def _most_frequent(targets: Tensor) -> int | None:
    """The most frequent class; None of numbers."""
    return None if targets.is_floating_point() else int(targets.flatten().mode().values)


def _flat(targets: Tensor, most: int | None) -> Tensor:
    """The targets as one row for each sample, (K, P); of classes, whether each is the most frequent one."""
    return (targets if most is None else targets == most).reshape(len(targets), -1).double()


def _basis_of(targets_KP: Tensor) -> Tensor | None:
    """The directions in which targets vary most, (P, D); None if they are all the same."""
    centered_KP = targets_KP - targets_KP.mean(dim=0)
    values_K, vectors_KK = torch.linalg.eigh(centered_KP @ centered_KP.T)
    most = int((values_K > _ROUNDING * values_K.max()).sum().clamp(max=MOST_NUMBERS))
    return centered_KP.T @ vectors_KK[:, -most:] if most else None


def _of_first_sight(gains: Gains, samples: Batch, known: Mapping[str, float]) -> dict[str, float]:
    found = constant_of(gains.copied(), samples)
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


def beyond_chance(features_KF: Tensor, numbers_KD: Tensor) -> float:
    """The most agreement of all kernels with the targets, relative to that with targets in other orders.

    Args:
        features_KF: standardized columns, in double precision.
        numbers_KD: numbers, or 1 in the column of the class.

    Returns:
        Standard errors; the error is the root mean square over the other orders, and at least that of `agreement`.

    Example:
        >>> features_KF = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)).double()
        >>> numbers_KD = features_KF[:, :1]
        >>> beyond_chance(features_KF, numbers_KD) > 8, beyond_chance(features_KF, numbers_KD.roll(100, 0)) < 2
        (True, True)
    """
    numbers_KD = numbers_KD[: len(features_KF)]
    columns, draw = numbers_KD.shape[1], torch.Generator().manual_seed(2)
    count = max(FEWEST_ORDERS, min(OTHER_ORDERS, OTHER_ORDERS * MOST_NUMBERS // columns))
    others = [numbers_KD[torch.randperm(len(numbers_KD), generator=draw)] for _ in range(count)]
    orders = [numbers_KD, *others]
    most_O = [-math.inf] * len(orders)
    for predicted in ridge(features_KF, torch.cat(orders, dim=1)):
        parts = predicted.split(columns, dim=1)
        found = (agreement(one_KD, order_KD) for one_KD, order_KD in zip(parts, orders, strict=True))
        most_O = [max(pair) for pair in zip(most_O, found, strict=True)]
    by_chance = math.sqrt(sum(most**2 for most in most_O[1:]) / count)
    return most_O[0] / max(1.0, by_chance)


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
    few_KD = numbers_KD[:MOST_ROWS]
    return len(few_KD) - int(few_KD.unique(dim=0, return_counts=True)[1].max())


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether any predictor foretells some numbers of the targets.

    Attributes:
        gains: the model, its optimizer, the loss and the budget.
        samples: each once.
        start: the first weights; empty: new ones are drawn.
        numbers_of: of samples, one row of numbers for each, or None.
        said_of: the same numbers of the outputs.
        enough: a network whose loss comes below this counts.
    """

    gains: Gains
    samples: Batch
    start: Mapping[str, Tensor]
    numbers_of: Callable[[Batch], Tensor | None]
    said_of: Callable[[Tensor, Batch], Tensor]
    enough: float

    def agreement(self, features_KF: Tensor, numbers_KD: Tensor) -> float | None:
        """The most agreement, in standard errors; None if no kernel finds any and no network counts."""
        most = beyond_chance(features_KF, numbers_KD)
        if most > CLEARLY:
            return most
        reached = [self._of_network(rate) for rate in RATES]
        return max([most, *reached]) if max(reached) > -math.inf else None

    def _of_network(self, rate: float) -> float:
        """The agreement of outputs on a fourth that the network does not train on; minus infinity if it does not count.

        The most of several moments counts: it is high before the network learns the others by heart.
        """
        gains, samples = self.gains, self.samples
        a_step = max(gains.a_step, 1e-9) * max(1.0, ROWS / gains.batches[0].size)  # of 64 samples
        steps = min(STEPS, int(SHARE * gains.seconds / (len(RATES) * a_step)))
        order_K = torch.randperm(samples.size, generator=torch.Generator().manual_seed(1))
        cut = samples.size * 3 // 4
        held, train = rows_of(samples, order_K[cut:]), rows_of(samples, order_K[:cut])
        numbers_KD = None if held is None else self.numbers_of(held)
        if held is None or train is None or numbers_KD is None or steps < LOOKS:
            return -math.inf
        copied, most = gains.copied(), -math.inf
        with own_randomness(0), torch.enable_grad(), WithoutDropout():
            if not rewound(copied, self.start):
                copied.restart()
            adam = torch.optim.Adam([one for one in copied.model.parameters() if one.requires_grad], lr=rate)
            copied, losses = Copy(copied.model, adam, copied.loss_fn), []
            for step in range(1, steps + 1):
                batch = rows_of(train, torch.randint(cut, (min(ROWS, cut),))) or train
                losses.append(float(copied.step(partial(batch.loss, copied.model, copied.loss_fn)).detach()))
                if step % (steps // LOOKS) == 0:
                    most = max(most, agreement(self.said_of(_outputs(copied.model, held), held), numbers_KD))
                    if most > CLEARLY:
                        return most
        has_learned = sum(losses[-(steps // LOOKS) :]) / (steps // LOOKS) < self.enough
        return most if has_learned else -math.inf


def _outputs(model: nn.Module, held: Batch) -> Tensor:
    """The outputs in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        outputs = held.outputs(model)
    for module, training in modes:
        module.training = training
    return outputs


def _said_of_classes(outputs: Tensor, held: Batch) -> Tensor:
    """One row for each sample; of classes, the columns of those that come."""
    flat, numbers_KD = outputs.reshape(held.size, -1), _numbers_of(held)
    return flat if numbers_KD is None or flat.shape == numbers_KD.shape else flat[:, held.targets.unique()]

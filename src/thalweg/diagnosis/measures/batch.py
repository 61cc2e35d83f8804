"""Measures of one batch: its inputs, its targets, the network's outputs, and the loss.

Shape suffixes: N samples, C classes, F features.
"""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import one_hot

from thalweg.diagnosis.measures.alike import are_of_pairs, is_difference, is_residual
from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.head import class_dim, head_of, normalized_over, of_log_sigmoid, reachable
from thalweg.diagnosis.measures.loss import of_loss
from thalweg.diagnosis.measures.pairing import pairs_of
from thalweg.diagnosis.measures.rare import rare_of
from thalweg.diagnosis.measures.relabeled import IGNORED
from thalweg.diagnosis.measures.running_statistics import gap_measures
from thalweg.diagnosis.measures.signs import sign_measures
from thalweg.diagnosis.preparing import BEYOND
from thalweg.probes.batches import first_tensor
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.head import Head
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy


FAR, FAR_ALONE = 20.0, 200.0  # standard deviations of all others beyond them, of a number that repeats, and of another
FEWEST_FOR_REPEATS = 16  # samples that show that most of them have the same inputs
MOST_COLUMNS = 100  # of a table whose columns are compared with one another
_LAYERS = (nn.Embedding, nn.EmbeddingBag, nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase)  # noqa: SLF001 - their base
_ROUNDING = 1e-10  # of the largest eigenvalue
FEWEST_A_CLASS = 10  # with fewer labels per class, a batch does not show how frequent each class is


def of_batch(model: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch]) -> dict[str, float]:
    """Measure the first batch.

    Args:
        model: the model in training; only a copy of it runs.
        loss_fn: the loss of (outputs, targets), a scalar tensor.
        batches: at least one.

    Returns:
        Name to number; what could not be computed is missing.
    """
    inputs, targets = batches[0].inputs, batches[0].targets
    twin = copy.deepcopy(model)
    found = _of_inputs(first_tensor(inputs))
    with own_randomness(0):
        with torch.enable_grad(), _first_taken(twin) as taken:
            outputs = batches[0].outputs(twin)
        if "inputs_nonfinite" not in found and taken and taken[0].is_floating_point():  # whole numbers taken as sizes
            found["inputs_scale"] = float(taken[0].detach().double().square().mean().sqrt())
            found["ids_as_numbers"] = float(_are_as_given(first_tensor(inputs), taken[0].detach()))
        found |= _of_passed(outputs)
        if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
            return found
        head, of_each = head_of(outputs), of_log_sigmoid(outputs)
        outputs = outputs.detach()
        found |= _of_targets(outputs, targets)
        of_one_kind = found.get("targets_kinds") == 1
        of_pairs = of_one_kind and are_of_pairs(twin, outputs, targets)
        is_of_two = of_one_kind and not of_pairs and is_difference(twin, batches[0])
        if of_pairs or is_of_two or (of_one_kind and is_residual(twin, batches[0])):
            del found["targets_kinds"]
        loss = _loss_of(loss_fn, outputs, targets)
        if loss is None:
            return found | _of_labels_beyond(outputs, targets)
        found["loss_batch"] = loss
        if found.get("targets_broadcast"):
            found["targets_broadcast"] = float(pairs_of(loss_fn, outputs, targets, head) is False)
        if _heedless(
            loss_fn, outputs, targets, loss
        ):  # dummies, as for a triplet loss, or for a loss within the network
            return {name: value for name, value in found.items() if not name.startswith("targets_")}
        if bool(torch.isfinite(outputs).all()):
            found |= sign_measures(outputs.float(), targets, loss_fn)
            found |= of_loss(outputs.float(), targets, loss_fn, head)
            if of_each and found.get("log_missing"):
                found |= {"log_missing": 0.0, "log_of_each": 1.0, "loss_floor": 0.0}  # no output is above zero
            found |= _of_outputs(outputs, targets, loss) | rare_of(outputs, targets, head)
        if not is_of_two:  # no constant but zero is within its reach
            found |= constant_measures(outputs, targets, loss_fn, head, by_column=not of_pairs)
        found |= gap_measures(twin, loss_fn, batches, found.get("loss_constant", math.nan))
    return found


@contextmanager
def _first_taken(model: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that gets what the first layer of a pass takes: an embedding, or one that multiplies."""
    taken: list[Tensor] = []

    def take(_module: nn.Module, given: tuple[Any, ...]) -> None:
        if not taken and (first := first_tensor(given)) is not None:
            taken.append(first)

    layers = [layer for layer in model.modules() if isinstance(layer, _LAYERS)]
    hooks = [layer.register_forward_pre_hook(take) for layer in layers]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def _are_as_given(given: Tensor | None, taken: Tensor) -> bool:
    """Whether a layer that multiplies takes whole numbers as they were given; bytes are a picture's."""
    if given is None or given.dtype in (torch.uint8, torch.bool) or given.numel() != taken.numel():
        return False
    return bool((taken.double().flatten().sort().values == given.double().flatten().sort().values).all())


def _of_inputs(inputs: Tensor | None) -> dict[str, float]:
    if inputs is None or not inputs.numel():
        return {}
    if not inputs.is_floating_point():
        rows = inputs.reshape(len(inputs), -1)
        return {"inputs_alike": float((rows == rows[:1]).all()) if len(rows) > 1 else 0.0} | _of_repeats(rows)
    values = inputs.detach().float()
    rows_NF = values.reshape(len(values), -1)
    finite = torch.isfinite(rows_NF)
    found = {"inputs_nonfinite": float((~finite).float().mean())}
    if not finite.all():
        return found
    scale = float(rows_NF.std()) if rows_NF.numel() > 1 else 0.0
    center = float(rows_NF.mean())
    found["inputs_scale"] = max(abs(center), scale)
    if len(rows_NF) > 1:
        between = float((rows_NF - rows_NF.mean(dim=0)).square().mean().sqrt())
        found["inputs_spread"] = between / max(abs(center), scale, 1e-30)
        found["inputs_alike"] = float(between <= 1e-6 * max(abs(center), scale, 1e-30))
        found |= _of_repeats(rows_NF)
    if values.ndim == 2:
        found |= _of_columns(values)
    return found


def _of_passed(outputs: Any) -> dict[str, float]:
    """The share of the outputs that are NaN or infinite: a network may take NaN for a missing value on purpose."""
    values = [one.detach().reshape(-1) for one in tensors_in(outputs) if one.is_floating_point() and one.numel()]
    return {"outputs_nonfinite": float((~torch.isfinite(torch.cat(values))).float().mean())} if values else {}


def _of_repeats(rows_NF: Tensor) -> dict[str, float]:
    """The share of the samples that have the most frequent inputs of the batch, as where every word is unknown."""
    if len(rows_NF) < FEWEST_FOR_REPEATS:
        return {}
    _, counts = rows_NF.unique(dim=0, return_counts=True)
    return {"inputs_repeated": float(counts.max()) / len(rows_NF)}


def _of_columns(inputs_NF: Tensor) -> dict[str, float]:
    """How unequal the columns are, and how far they repeat each other; constant ones do not count.

    `inputs_columns`: the largest deviation relative to the median one. Of a table, `inputs_columns_least`: the median
    one relative to the least of columns that vary throughout; `inputs_condition`: the condition number of the columns'
    correlations, over the eigenvalues beyond rounding; nothing for fewer than three rows for each column.
    """
    spread_F = inputs_NF.double().std(dim=0, correction=0)
    varied_NF, spread_F = inputs_NF[:, spread_F > 0].double(), spread_F[spread_F > 0]
    rows, columns = varied_NF.shape
    found = {"inputs_columns": float(spread_F.max() / spread_F.median())} if columns > 1 else {}
    if not 1 < columns <= MOST_COLUMNS:
        return found
    throughout_F = spread_F[(varied_NF - varied_NF.mean(dim=0)).abs().amax(dim=0) < BEYOND * spread_F]
    if len(throughout_F):
        found["inputs_columns_least"] = float(spread_F.median() / throughout_F.min())
    if rows >= 3 * columns:
        values_F = torch.linalg.eigvalsh(torch.corrcoef(varied_NF.T))
        known_F = values_F[values_F > _ROUNDING * values_F.max()]
        found["inputs_condition"] = float(known_F.max() / known_F.min())
    return found


def _of_targets(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    found: dict[str, float] = {}
    if targets.is_floating_point():
        found["targets_nonfinite"] = float((~torch.isfinite(targets)).float().mean())
        found["targets_scale"] = float(targets.detach().float().abs().mean())
        if outputs.numel() != targets.numel():
            # No output has a target of its own: these say which of two outputs is to be the larger, or what the chosen
            # action was worth, and may well be one number.
            return found
        found["targets_filled"] = _filled(outputs, targets)
        if targets.ndim and len(targets) > 1:
            found["targets_kinds"] = float(len(torch.unique(targets.reshape(len(targets), -1), dim=0)))
        # a loss of (N, 1) against (N,) compares every output with every target
        found["targets_broadcast"] = float(outputs.shape != targets.shape and outputs.ndim != targets.ndim)
        return found
    counted = targets[targets != IGNORED]
    if counted.numel() > 1:
        found["targets_kinds"] = float(len(torch.unique(counted)))
    found["targets_count"] = float(counted.numel())
    dim = class_dim(outputs, targets)
    if dim is not None:
        found["targets_outside"] = float(((targets < 0) & (targets != IGNORED)).float().mean())
    return found


def _filled(outputs: Tensor, targets: Tensor) -> float:
    """The share of targets that are one number far from all others, as -999 that stands for "missing".

    A number that the outputs there have come nearer to than to the others is one that the inputs foretell: a target.
    """
    values, said = (one.detach().double().reshape(-1) for one in (targets, outputs))
    kinds, counts = values.unique(return_counts=True)
    if len(kinds) < 3 or not bool(torch.isfinite(kinds).all()):
        return 0.0
    for at in (0, -1):
        others = values[values != kinds[at]]
        spread = float(others.std(correction=0))
        gap = float((others - kinds[at]).abs().min())
        far = gap / max(spread, 1e-12)
        there = said[values == kinds[at]]
        foretold = float(((there - kinds[at]).abs() < (there - others.mean()).abs()).double().mean()) > 0.5
        if (far > FAR_ALONE or (far > FAR and counts[at] > 1)) and len(others) > len(values) / 2 and not foretold:
            return float(counts[at]) / len(values)
    return 0.0


def _of_labels_beyond(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Labels that the loss does not take; a contrastive loss may take more labels than the outputs have columns."""
    dim = class_dim(outputs, targets)
    if dim is None:
        return {}
    return {"targets_outside": float(((targets < 0) | (targets >= outputs.shape[dim])).float().mean())}


def _loss_of(loss_fn: LossFunction, outputs: Tensor, targets: Tensor) -> float | None:
    """The loss; None if it does not take these targets."""
    try:
        with torch.no_grad():
            return float(loss_fn(outputs, targets))
    except IndexError:  # a label beyond the classes
        return None


def _heedless(loss_fn: LossFunction, outputs: Tensor, targets: Tensor, loss: float) -> bool:
    """Whether the loss changes with the outputs, and with no targets.

    Outputs that are all one number, as behind a dead ReLU, are equally far from any class: others are asked, too.
    """
    others = (targets.flip(0), torch.zeros_like(targets), torch.ones_like(targets)) if targets.ndim else ()
    try:
        heedless = all(_loss_of(loss_fn, outputs, other) == loss for other in others)
        if heedless and outputs.numel() > 1 and bool((outputs == outputs.flatten()[0]).all()):
            ramp = outputs + torch.linspace(0, 1, outputs.numel(), device=outputs.device).view_as(outputs)
            heedless = all(_loss_of(loss_fn, ramp, other) == _loss_of(loss_fn, ramp, targets) for other in others)
        return heedless and _loss_of(loss_fn, 2 * outputs + 1, targets) != loss
    except (RuntimeError, ValueError):
        return False


def _of_outputs(outputs: Tensor, targets: Tensor, loss: float) -> dict[str, float]:
    """Compare a squared error over probabilities with the true classes."""
    outputs = outputs.detach().float()
    if outputs.ndim != 2 or outputs.shape[1] < 2 or not normalized_over(outputs, 1):
        return {}
    if targets.is_floating_point():
        if targets.shape != outputs.shape or not normalized_over(targets, 1):
            return {}
        labels = targets.argmax(dim=1)
    else:
        labels = targets
    if labels.ndim != 1 or bool(((labels < 0) | (labels >= outputs.shape[1])).any()):
        return {}
    return _of_labels(outputs, labels, loss)


def _of_labels(outputs_NC: Tensor, labels_N: Tensor, loss: float) -> dict[str, float]:
    found: dict[str, float] = {}
    hot_NC = one_hot(labels_N, outputs_NC.shape[1]).float()
    errors = (outputs_NC - hot_NC).square()
    squared = (float(errors.mean()), float(errors.sum(dim=1).mean()))
    found["loss_is_squared"] = float(any(abs(loss - value) < 1e-3 * max(value, 1e-6) for value in squared))
    true_N = outputs_NC.gather(1, labels_N[:, None])[:, 0]
    found["probability_of_truth"] = float(true_N.median())
    found["probability_of_guess"] = float(outputs_NC.amax(dim=1).median())
    return found


def constant_of(copied: Copy, samples: Batch) -> dict[str, float]:
    """The measures of `constant_measures` for samples that a model takes."""
    with own_randomness(0), torch.enable_grad():
        outputs = samples.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or not isinstance(samples.targets, torch.Tensor):
        return {}
    return constant_measures(outputs.detach(), samples.targets, copied.loss_fn, head_of(outputs))


def constant_measures(
    outputs: Tensor, targets: Tensor, loss_fn: LossFunction, head: Head, *, steps: int = 30, by_column: bool = True
) -> dict[str, float]:
    """Measure the loss of outputs that are zero, and of the best output that is the same for all samples.

    The search goes over outputs that the head can produce, so that a loss with a domain is not asked outside it. Scores
    of pairs have one number for all columns (`by_column=False`): no weight tells these apart.
    """
    if outputs.ndim < 1:
        return {}
    dim = class_dim(outputs, targets)
    if head == "unknown" and dim is not None and normalized_over(outputs, dim):
        head = "softmax"
    bounded: Head = head if head in ("softmax", "log_softmax", "sigmoid") else "none"
    # One number for each class or column: one for each pixel would learn the batch's positions by heart.
    shape = [1] * outputs.ndim
    if outputs.ndim > 1 and by_column:
        column = 1 if dim is None else dim
        shape[column] = outputs.shape[column]
    constant = torch.zeros(shape, device=outputs.device).requires_grad_()

    def loss_of_constant() -> Tensor:
        return loss_fn(reachable(bounded, constant, dim).expand(outputs.shape), targets)

    with torch.no_grad():
        zero = float(loss_of_constant())
    if outputs.ndim == 2 and not targets.is_floating_point() and targets.numel() < FEWEST_A_CLASS * outputs.shape[1]:
        # too few labels to estimate frequencies: treat classes as equally frequent
        return {"loss_zero": zero, "loss_constant": zero}
    optimizer = torch.optim.LBFGS([constant], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of_constant()
        loss.backward()
        return loss

    try:
        with torch.enable_grad():
            optimizer.step(closure)
        with torch.no_grad():
            value = float(loss_of_constant())
    except RuntimeError:  # outside the domain of the loss, or a loss without a gradient
        value = math.nan
    found = {"loss_zero": zero, "loss_constant": value}
    return {name: number for name, number in found.items() if math.isfinite(number)}

"""Measures of one batch: its inputs, its targets, the network's outputs, and the loss.

Shape suffixes: N samples, C classes, F features.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from thalweg.probes.batches import first_tensor, mean_loss
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction


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
        with torch.no_grad():
            outputs = batches[0].outputs(twin)
        if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
            return found
        found |= _of_targets(outputs, targets)
        with torch.no_grad():
            loss = float(loss_fn(outputs, targets))
        found["loss_batch"] = loss
        found |= _of_outputs(outputs, targets, loss, loss_fn)
        found |= _of_constant(outputs, targets, loss_fn)
        found |= _of_batch_norm(twin, loss_fn, batches, found.get("loss_constant", math.nan))
    return found


def _of_inputs(inputs: Tensor | None) -> dict[str, float]:
    if inputs is None or not inputs.numel():
        return {}
    if not inputs.is_floating_point():
        rows = inputs.reshape(len(inputs), -1)
        return {"inputs_alike": float((rows == rows[:1]).all()) if len(rows) > 1 else 0.0}
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
    return found


def _of_targets(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    found: dict[str, float] = {}
    if targets.is_floating_point():
        found["targets_nonfinite"] = float((~torch.isfinite(targets)).float().mean())
        found["targets_scale"] = float(targets.detach().float().abs().mean())
        found["targets_kinds"] = float(len(torch.unique(targets.reshape(len(targets), -1), dim=0)))
        # a loss of (N, 1) against (N,) compares every output with every target
        differs = outputs.shape != targets.shape and outputs.numel() == targets.numel()
        found["targets_broadcast"] = float(differs and outputs.ndim != targets.ndim)
        return found
    found["targets_kinds"] = float(len(torch.unique(targets)))
    found["targets_count"] = float(targets.numel())
    places = {
        outputs.shape[:1] + outputs.shape[2:]: 1,
        outputs.shape[:-1]: -1,
    }  # second, or last as for tokens
    if outputs.ndim >= 2 and targets.shape in places:
        classes = outputs.shape[places[targets.shape]]
        # -100 is torch's ignore_index
        found["targets_outside"] = float((((targets < 0) & (targets != -100)) | (targets >= classes)).float().mean())
    return found


def _of_outputs(outputs: Tensor, targets: Tensor, loss: float, loss_fn: LossFunction) -> dict[str, float]:
    """Whether the outputs are already probabilities, which loss takes them, and whether that loss is bounded below."""
    found: dict[str, float] = {}
    outputs = outputs.detach().float()
    if not torch.isfinite(outputs).all():
        return found
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        return found
    sums_off = float((outputs.sum(dim=1) - 1).abs().max())
    found["outputs_are_probabilities"] = float(sums_off < 1e-3 and bool((outputs >= 0).all()))
    if targets.is_floating_point() or targets.ndim != outputs.ndim - 1 or outputs.ndim != 2:
        labels = targets.argmax(dim=1) if targets.shape == outputs.shape and targets.is_floating_point() else None
    else:
        labels = targets
    if labels is None or bool(((labels < 0) | (labels >= outputs.shape[1])).any()):
        return found
    found |= _of_labels(outputs, labels, loss)
    with torch.no_grad():
        found["loss_floor"] = min(float(loss_fn(outputs * scale, targets)) for scale in (-1000.0, 1000.0))
    return found


def _of_labels(outputs_NC: Tensor, labels_N: Tensor, loss: float) -> dict[str, float]:
    found: dict[str, float] = {}
    as_logits = float(cross_entropy(outputs_NC, labels_N))
    found["loss_is_cross_entropy"] = float(abs(loss - as_logits) < 1e-4 * max(1.0, abs(as_logits)))
    hot_NC = one_hot(labels_N, outputs_NC.shape[1]).float()
    errors = (outputs_NC - hot_NC).square()
    squared = (float(errors.mean()), float(errors.sum(dim=1).mean()))
    found["loss_is_squared"] = float(any(abs(loss - value) < 1e-3 * max(value, 1e-6) for value in squared))
    # the probability of the true class, and of the predicted class
    if bool((outputs_NC >= 0).all()):
        true_N = outputs_NC.gather(1, labels_N[:, None])[:, 0]
        found["probability_of_truth"] = float(true_N.median())
        found["probability_of_guess"] = float(outputs_NC.amax(dim=1).median())
    return found


def _of_constant(outputs: Tensor, targets: Tensor, loss_fn: LossFunction, *, steps: int = 30) -> dict[str, float]:
    """The loss of the constant-predictor baseline: the best output that is the same for all samples."""
    if outputs.ndim < 1:
        return {}
    start = torch.zeros_like(outputs[:1], dtype=torch.float32)
    if outputs.ndim == 2 and bool((outputs >= 0).all()) and bool(((outputs.sum(dim=1) - 1).abs() < 1e-3).all()):
        return _of_constant_probabilities(outputs, targets, loss_fn)
    constant = start.requires_grad_()
    if outputs.ndim == 2 and not targets.is_floating_point() and targets.numel() < FEWEST_A_CLASS * outputs.shape[1]:
        with torch.no_grad():  # too few labels to estimate frequencies: treat classes as equally frequent
            return {"loss_constant": float(loss_fn(constant.expand(outputs.shape), targets))}
    optimizer = torch.optim.LBFGS([constant], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_fn(constant.expand(outputs.shape), targets)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
        value = float(loss_fn(constant.detach().expand(outputs.shape), targets).detach())
    return {"loss_constant": value} if math.isfinite(value) else {}


def _of_constant_probabilities(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> dict[str, float]:
    labels = targets.argmax(dim=1) if targets.is_floating_point() else targets
    shares = torch.bincount(labels, minlength=outputs.shape[1]).float() / len(labels)
    with torch.no_grad():
        value = float(loss_fn(shares.expand(outputs.shape), targets))
    return {"loss_constant": value} if math.isfinite(value) else {}


def _of_batch_norm(
    twin: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch], constant: float
) -> dict[str, float]:
    """Compare the loss with running statistics to the loss with the batch's own; all else is as in training."""
    norms = [module for module in twin.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return {}
    losses = []
    for training in (False, True):  # running statistics first: training mode changes them
        twin.train()
        for norm in norms:
            norm.train(training)
        with own_randomness(0):
            losses.append(mean_loss(twin, loss_fn, batches[:1]))
    scale = max(abs(constant), 1e-12) if math.isfinite(constant) else max(abs(losses[1]), 1e-12)
    return {"norm_gap": (losses[0] - losses[1]) / scale}

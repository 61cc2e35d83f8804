"""Remedies that can be tried on a copy: each changes a twin, its batches or its loss, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, nll_loss


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor
    from torch.optim import Optimizer

    from thalweg.diagnosis.measures.twins import Batch, LossFunction, Twin

ADAM_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class Patient:
    """A training on a copy, as it goes on.

    Attributes:
        twin: model and optimizer.
        loss_fn: of (outputs, targets).
        prepare: what happens to a batch before it is used.
        clip: largest gradient norm; None leaves it.
        clear: whether gradients are cleared before each step.
    """

    twin: Twin
    loss_fn: LossFunction
    prepare: Callable[[Batch], Batch] = lambda batch: batch
    clip: float | None = None
    clear: bool = True


def can_be_tried(remedy: str) -> bool:
    """Whether a remedy is something that a copy can be given."""
    return remedy in _CURES


def cure(patient: Patient, remedy: str, values: Mapping[str, Any]) -> Patient | None:
    """The patient with the remedy; None when it is nothing that a copy can be given."""
    make = _CURES.get(remedy)
    return make(patient, values) if make is not None else None


def _rate(patient: Patient, values: Mapping[str, Any]) -> Patient:
    groups = patient.twin.optimizer.param_groups
    most = max(float(group["lr"]) for group in groups)
    for group in groups:
        group["lr"] = group["lr"] * float(values["to"]) / most if most else float(values["to"])
    return patient


def _clip(patient: Patient, values: Mapping[str, Any]) -> Patient:
    return replace(patient, clip=float(values["norm"]))


def _less_decay(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    for group in patient.twin.optimizer.param_groups:
        group["weight_decay"] = 0.0
    return patient


def _clear(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    return replace(patient, clear=True)


def _with_optimizer(patient: Patient, optimizer: Optimizer) -> Patient:
    return replace(patient, twin=replace(patient.twin, optimizer=optimizer))


def _adaptive(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    parameters = [p for p in patient.twin.model.parameters() if p.requires_grad]
    return _with_optimizer(patient, torch.optim.Adam(parameters, lr=ADAM_RATE))


def _momentum(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    parameters = [p for p in patient.twin.model.parameters() if p.requires_grad]
    rate = max(float(group["lr"]) for group in patient.twin.optimizer.param_groups)
    return _with_optimizer(patient, torch.optim.SGD(parameters, lr=rate, momentum=0.9))


def _hand_over(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    optimizer = patient.twin.optimizer
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for parameter in patient.twin.model.parameters():
        parameter.requires_grad_(True)  # noqa: FBT003 - torch's signature
    missing = [parameter for parameter in patient.twin.model.parameters() if id(parameter) not in held]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] or ADAM_RATE
    if missing:
        optimizer.add_param_group({"params": missing})
    return patient


def _perturb(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    with torch.no_grad():
        for parameter in patient.twin.model.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
            parameter.add_(torch.randn_like(parameter), alpha=0.1 / max(1, fan) ** 0.5)
    return patient


def _reinitialize(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    """Torch's own initial values for every layer that has them, and a fresh optimizer state."""
    for module in patient.twin.model.modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            reset()
    patient.twin.optimizer.state.clear()
    return patient


def _normalize(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    def prepare(batch: Batch) -> Batch:
        inputs, targets = batch
        if isinstance(inputs, torch.Tensor) and inputs.is_floating_point():
            finite = torch.nan_to_num(inputs)
            inputs = (finite - finite.mean(dim=0)) / finite.std().clamp_min(1e-12)
            inputs = inputs / inputs.std().clamp_min(1e-12)
        return inputs, targets

    return replace(patient, prepare=prepare)


def _match_shapes(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    wrong = patient.loss_fn

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return wrong(outputs, targets.view_as(outputs) if targets.numel() == outputs.numel() else targets)

    return replace(patient, loss_fn=loss_fn)


def _of_probabilities(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    """Cross-entropy of outputs that are probabilities already."""

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        labels = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return nll_loss(outputs.clamp_min(1e-12).log(), labels)

    return replace(patient, loss_fn=loss_fn)


def _of_logits(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    return replace(patient, loss_fn=cross_entropy)


def _norm_momentum(patient: Patient, _values: Mapping[str, Any]) -> Patient:
    for module in patient.twin.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all three
            module.momentum = 0.1
    return patient


_CURES: dict[str, Callable[[Patient, Mapping[str, Any]], Patient]] = {
    "adaptive": _adaptive,
    "clip": _clip,
    "cross_entropy": _of_probabilities,
    "decay_rate": _rate,
    "hand_all_over": _hand_over,
    "less_decay": _less_decay,
    "logits": _of_probabilities,
    "lower_rate": _rate,
    "match_shapes": _match_shapes,
    "momentum": _momentum,
    "norm_momentum": _norm_momentum,
    "normalize_inputs": _normalize,
    "perturb": _perturb,
    "raise_rate": _rate,
    "reinitialize": _reinitialize,
    "scale_initial": _reinitialize,
    "sign_of_loss": _of_logits,
    "unfreeze": _hand_over,
    "zero_grad": _clear,
}

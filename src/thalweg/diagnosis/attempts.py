"""Fixes tried on a copy: each changes its model, its optimizer, its loss, or what happens in a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, nll_loss
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from thalweg.diagnosis.measures.called import mended
from thalweg.diagnosis.measures.head import class_dim, normalized_over
from thalweg.diagnosis.preparing import decorrelating, standardizing


if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Fix
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

ADAM_RATE = 1e-3
_OF_BATCHES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A copy in training, which a fix may change.

    Attributes:
        copy: of the model and the optimizer.
        loss_fn: of (outputs, targets).
        prepare: transforms a batch before each step.
        clip: largest gradient norm; None: no clipping.
        clip_value: largest absolute value of a gradient's numbers; None: no clipping.
        clear: whether gradients are cleared before each step.
    """

    copy: Copy
    loss_fn: LossFunction
    prepare: Callable[[Batch], Batch] = lambda batch: batch
    clip: float | None = None
    clip_value: float | None = None
    clear: bool = True

    def step(self, batch: Batch) -> Tensor:
        """Take a step on a batch that is prepared, clipped as the training is; return the loss before it."""
        model = self.copy.model

        def limit() -> None:
            if self.clip is not None:
                clip_grad_norm_(model.parameters(), self.clip)
            if self.clip_value is not None:
                clip_grad_value_(model.parameters(), self.clip_value)

        return self.copy.step(partial(batch.loss, model, self.loss_fn), clear=self.clear, before=limit)


_Way = Callable[[Attempt, Mapping[str, Any]], Attempt | None]


def can_be_tried(code: str) -> bool:
    """Whether a fix with this code can be tried on a copy."""
    return code in FIXES


def apply(attempt: Attempt, fix: Fix) -> Attempt | None:
    """Apply a fix to an attempt; None if the fix cannot be tried on a copy."""
    way = FIXES.get(fix.code)
    return way(attempt, fix.values) if way is not None else None


def _rate(attempt: Attempt, values: Mapping[str, Any]) -> Attempt:
    groups = attempt.copy.optimizer.param_groups
    most = max(float(group["lr"]) for group in groups)
    for group in groups:
        group["lr"] = group["lr"] * float(values["to"]) / most if most else float(values["to"])
    return attempt


def _clip(attempt: Attempt, values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, clip=float(values["norm"]))


def _unclipped(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, clip=None, clip_value=None)


def _train_mode(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    attempt.copy.model.train()
    return attempt


def _less_dropout(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    for module in attempt.copy.model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):  # noqa: SLF001 - the base of all of them
            module.p /= 4
    return attempt


def _less_decay(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    for group in attempt.copy.optimizer.param_groups:
        group["weight_decay"] = 0.0
    return attempt


def _clear(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, clear=True)


def _with_optimizer(attempt: Attempt, optimizer: Optimizer) -> Attempt:
    return replace(attempt, copy=replace(attempt.copy, optimizer=optimizer))


def _adaptive(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    parameters = [p for p in attempt.copy.model.parameters() if p.requires_grad]
    return _with_optimizer(attempt, torch.optim.Adam(parameters, lr=ADAM_RATE))


def _momentum(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    parameters = [p for p in attempt.copy.model.parameters() if p.requires_grad]
    rate = max(float(group["lr"]) for group in attempt.copy.optimizer.param_groups)
    return _with_optimizer(attempt, torch.optim.SGD(parameters, lr=rate, momentum=0.9))


def _hand_over(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt | None:
    optimizer = attempt.copy.optimizer
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    whole = all(p.requires_grad and id(p) in held for p in attempt.copy.model.parameters())
    if whole and all(group["lr"] for group in optimizer.param_groups):
        return None  # nothing to hand over: what is lost is lost in the forward pass, or was never registered
    for parameter in attempt.copy.model.parameters():
        parameter.requires_grad_(True)  # noqa: FBT003 - torch's signature
    missing = [parameter for parameter in attempt.copy.model.parameters() if id(parameter) not in held]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] or ADAM_RATE
    if missing:
        optimizer.add_param_group({"params": missing})
    return attempt


def _perturb(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    with torch.no_grad():
        for parameter in attempt.copy.model.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
            parameter.add_(torch.randn_like(parameter), alpha=0.1 / max(1, fan) ** 0.5)
    return attempt


def _reinitialize(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    attempt.copy.restart()
    return attempt


def _normalize(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, prepare=standardizing())


def _decorrelate(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, prepare=decorrelating())


def _match_shapes(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    wrong = attempt.loss_fn

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return wrong(outputs, targets.view_as(outputs) if targets.numel() == outputs.numel() else targets)

    return replace(attempt, loss_fn=loss_fn)


def _of_probabilities(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    """Compute cross-entropy from outputs that are already probabilities: of classes, or of each output alone.

    Where the loss makes probabilities of the outputs itself, it gets their logarithms.
    """
    inside = mended(attempt.loss_fn)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if not isinstance(outputs, torch.Tensor) or bool(((outputs < 0) | (outputs > 1)).any()):
            return inside(outputs, targets)
        if targets.shape == outputs.shape and not normalized_over(outputs.detach(), -1):
            return binary_cross_entropy(outputs.clamp(0, 1), targets.to(outputs.dtype))
        labels = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return nll_loss(outputs.clamp_min(1e-12).log(), labels)

    return replace(attempt, loss_fn=loss_fn)


def _of_logits(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, loss_fn=cross_entropy)


def _log_softmax(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    """Give the loss the log-probabilities that it takes: by the call of one of torch's losses, else by the outputs."""
    raw = attempt.loss_fn

    def outside(outputs: Tensor, targets: Tensor) -> Tensor:
        dim = class_dim(outputs, targets)
        return raw(outputs.log_softmax(1 if dim is None else dim), targets)

    return replace(attempt, loss_fn=mended(raw, outside))


def _norm_momentum(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    for module in attempt.copy.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all three
            module.momentum = 0.1
    return attempt


def _group_norm(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt | None:
    """Norm each sample by itself, over all of its channels, with the weights of the batch norm."""
    model = attempt.copy.model
    found = {name: norm for name, norm in model.named_modules() if isinstance(norm, _OF_BATCHES) and name}
    for name, norm in found.items():
        other = nn.GroupNorm(1, norm.num_features, eps=norm.eps, affine=norm.affine).train(norm.training)
        if norm.affine:
            other.weight, other.bias = norm.weight, norm.bias  # the optimizer holds them
        model.set_submodule(name, other)
    return attempt if found else None


FIXES: dict[str, _Way] = {
    "adaptive": _adaptive,
    "clip": _clip,
    "clip_less": _unclipped,
    "cross_entropy": _of_probabilities,
    "decay_rate": _rate,
    "decorrelate_inputs": _decorrelate,
    "group_norm": _group_norm,
    "hand_all_over": _hand_over,
    "initialize_at_random": _reinitialize,
    "less_decay": _less_decay,
    "less_dropout": _less_dropout,
    "log_softmax": _log_softmax,
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
    "train_mode": _train_mode,
    "unfreeze": _hand_over,
    "zero_grad": _clear,
}
"""Code of each fix that can be tried on a copy, to the function that applies it."""

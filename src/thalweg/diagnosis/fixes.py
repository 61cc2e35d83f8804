"""The fixes of each verdict: their order, their numbers, and how to try each on a copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, nll_loss
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from thalweg.diagnosis.measures.head import class_dim, normalized_over
from thalweg.diagnosis.preparing import decorrelating, standardizing
from thalweg.diagnosis.verdict import Fix


if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

ADAM_RATE = 1e-3

FIXES_OF: dict[str, tuple[str, ...]] = {
    "bad_inputs": ("check_inputs", "normalize_inputs"),
    "bad_targets": ("check_targets", "match_shapes"),
    "batchnorm_mismatch": ("norm_momentum", "shuffle_batches", "group_norm"),
    "class_imbalance": ("weigh_classes", "balance_batches"),
    "clipped_too_hard": ("clip_less", "raise_rate"),
    "converged": ("stop", "more_capacity"),
    "dead_units": ("reinitialize", "leaky_units", "lower_rate"),
    "decayed_too_early": ("raise_rate", "decay_later"),
    "diverged": ("lower_rate", "clip", "warm_up"),
    "dropout_too_strong": ("less_dropout",),
    "exploding_gradients": ("scale_initial", "clip", "normalize_layers"),
    "gradients_not_averaged": ("call_wrapper", "reduce_all"),
    "healthy": (),
    "ill_conditioned": ("adaptive", "momentum", "normalize_inputs", "decorrelate_inputs"),
    "lr_too_large": ("lower_rate", "warm_up", "clip"),
    "lr_too_small": ("raise_rate", "find_rate"),
    "model_too_small": ("widen", "residual", "add_activation"),
    "noise_floor": ("decay_rate", "enlarge_batch"),
    "not_shuffled": ("shuffle",),
    "optimizer_not_stepping": ("call_step",),
    "overfitting": ("stop_early", "augment", "more_data", "add_decay", "train_all_layers"),
    "rank_without_data": ("share_samples", "join"),
    "replicas_differ": ("equal_weights", "fail_together"),
    "replicas_see_same_data": ("distributed_sampler", "seed_by_rank"),
    "saddle": ("perturb", "initialize_at_random", "momentum"),
    "same_batch": ("next_batch",),
    "samples_mixed": ("batch_first",),
    "saturated_units": ("reinitialize", "relu_units", "normalize_inputs"),
    "straggler": ("look_at_process", "share_evenly"),
    "symmetric_weights": ("initialize_at_random",),
    "targets_unrelated": ("check_pairs",),
    "too_few_steps": ("train_longer", "raise_rate"),
    "unsure": ("fit_one_batch", "watch_loop", "other_rates"),
    "untrained_parameters": ("hand_all_over", "unfreeze", "register_layers"),
    "vanishing_gradients": ("scale_initial", "relu_units", "residual", "normalize_layers"),
    "weight_decay_too_strong": ("less_decay", "less_penalty"),
    "wrong_loss": (
        "logits",
        "log_softmax",
        "class_dimension",
        "each_class",
        "output_per_class",
        "one_logit",
        "linear_output",
        "cross_entropy",
        "proper_loss",
        "smooth_loss",
        "sign_of_loss",
    ),
    "wrong_mode": ("train_mode", "follow_mode"),
    "zero_grad_missing": ("zero_grad",),
}
"""Code of a verdict to the codes of its fixes, the first to try first."""


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


def fixes_of(code: str, measures: Mapping[str, float]) -> tuple[Fix, ...]:
    """The fixes of a verdict, with their numbers.

    Example:
        >>> [fix.code for fix in fixes_of("lr_too_small", {"lr_last": 1e-6})]
        ['raise_rate', 'find_rate']
    """
    values = _values(measures)
    return tuple(Fix(name, values.get(name, {})) for name in _order(code, measures))


def can_be_tried(code: str) -> bool:
    """Whether a fix with this code can be tried on a copy."""
    return code in FIXES


def apply(attempt: Attempt, fix: Fix) -> Attempt | None:
    """Apply a fix to an attempt; None if the fix cannot be tried on a copy."""
    way = FIXES.get(fix.code)
    return way(attempt, fix.values) if way is not None else None


def _order(code: str, measures: Mapping[str, float]) -> tuple[str, ...]:
    """The order of the fixes; if a verdict has several causes, the fix of the measured one comes first."""
    if code == "wrong_loss":
        return _for_loss(measures)
    if code == "overfitting" and measures.get("only_classifier", 0) > 0.5:  # fitted once: it has no steps to augment
        return ("train_all_layers", "more_data")
    if code == "weight_decay_too_strong" and measures.get("penalty_to_gradient", 0) > 0.1:
        return ("less_penalty",)
    names = [name for name in FIXES_OF[code] if name not in ("train_all_layers", "less_penalty")]
    first = {
        "ill_conditioned": "decorrelate_inputs" if measures.get("tried_decorrelated", 0) > 0.1 else "adaptive",
        "bad_targets": "match_shapes" if measures.get("targets_broadcast", 0) > 0.5 else "check_targets",
        "model_too_small": "add_activation" if measures.get("affine", 0) > 0.5 else "widen",
        "replicas_see_same_data": "distributed_sampler" if measures.get("data_shared", 0) > 0.3 else "seed_by_rank",
        "wrong_mode": "follow_mode" if measures.get("dropout_left_on", 0) > 0.05 else "train_mode",
        "bad_inputs": "normalize_inputs" if _large_but_sound(measures) else "check_inputs",
        "untrained_parameters": "register_layers"
        if measures.get("unregistered", 0) > 0.01
        else "unfreeze"
        if measures.get("frozen", 0) > max(measures.get("missing", 0), measures.get("gradless", 0))
        else "hand_all_over",
    }.get(code)
    return tuple(sorted(names, key=lambda name: name != first)) if first else tuple(names)


def _large_but_sound(measures: Mapping[str, float]) -> bool:
    return not measures.get("inputs_nonfinite", 0) and not measures.get("inputs_alike", 0) > 0.5


def _for_loss(measures: Mapping[str, float]) -> tuple[str, ...]:
    """The fixes of what was found; those of another mismatch would be false."""
    found = [fix for name, fixes in _LOSS_FIXES.items() if measures.get(name, 0) > 0.05 for fix in fixes]
    if measures.get("loss_floor", 0) < -1:
        found.append("sign_of_loss")
    return tuple(dict.fromkeys(found)) or FIXES_OF["wrong_loss"]


_LOSS_FIXES = {
    "loss_blind": ("one_logit",),
    "loss_in_steps": ("smooth_loss",),
    "outputs_fixed": ("one_logit", "linear_output"),
    "squashed_twice": ("logits",),
    "several_labels": ("each_class",),
    "numbered_classes": ("output_per_class",),
    "scores_cut": ("linear_output",),
    "softmax_misplaced": ("class_dimension", "logits"),
    "log_missing": ("log_softmax", "sign_of_loss"),
    "out_of_reach": ("linear_output",),
    "improper": ("proper_loss",),
    "loss_is_squared": ("cross_entropy",),
}
"""What may be wrong with the loss, to the fixes that mend it."""


def _values(measures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    lr, most = measures.get("lr_last", math.nan), measures.get("lr_most", math.nan)
    gains = {
        factor: measures.get(f"gain_{name}", -math.inf)
        for name, factor in (("tenfold", 10.0), ("hundredfold", 100.0), ("thousandfold", 1000.0))
    }
    factor = max(gains, key=lambda key: gains[key])
    raised = most if math.isfinite(most) and most > 5 * lr else lr * (factor if gains[factor] > 0 else 10.0)
    return {
        "raise_rate": {"lr": lr, "to": raised},
        "lower_rate": {"lr": lr, "to": lr / 10},
        "decay_rate": {"lr": lr, "to": lr / 10},
        "decay_later": {"lr": most},
        "clip": {"norm": max(measures.get("gradient_last", 1.0), 1e-3)},
        "equal_weights": {"rank": measures.get("odd_process", 0.0), "step": measures.get("differ_since", 0.0)},
        "look_at_process": {"rank": measures.get("slowest_process", 0.0)},
        "share_samples": {"rank": measures.get("lacking_process", 0.0)},
    }


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
    """Compute cross-entropy from outputs that are already probabilities: of classes, or of each output alone."""

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if targets.shape == outputs.shape and not normalized_over(outputs.detach(), -1):
            return binary_cross_entropy(outputs.clamp(0, 1), targets.to(outputs.dtype))
        labels = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return nll_loss(outputs.clamp_min(1e-12).log(), labels)

    return replace(attempt, loss_fn=loss_fn)


def _of_logits(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    return replace(attempt, loss_fn=cross_entropy)


def _log_softmax(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    """Give the loss the log-probabilities that it takes."""
    raw = attempt.loss_fn

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        dim = class_dim(outputs, targets)
        return raw(outputs.log_softmax(1 if dim is None else dim), targets)

    return replace(attempt, loss_fn=loss_fn)


def _norm_momentum(attempt: Attempt, _values: Mapping[str, Any]) -> Attempt:
    for module in attempt.copy.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all three
            module.momentum = 0.1
    return attempt


FIXES: dict[str, _Way] = {
    "adaptive": _adaptive,
    "clip": _clip,
    "clip_less": _unclipped,
    "cross_entropy": _of_probabilities,
    "decay_rate": _rate,
    "decorrelate_inputs": _decorrelate,
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

"""What to try for each verdict, in this order, with the numbers that it needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thalweg.diagnosis.verdict import Remedy


if TYPE_CHECKING:
    from collections.abc import Mapping

REMEDIES: dict[str, tuple[str, ...]] = {
    "bad_inputs": ("check_inputs", "normalize_inputs"),
    "bad_targets": ("check_targets", "match_shapes"),
    "batchnorm_mismatch": ("norm_momentum", "shuffle_batches", "group_norm"),
    "converged": ("stop", "more_capacity"),
    "dead_units": ("reinitialize", "leaky_units", "lower_rate"),
    "decayed_too_early": ("raise_rate", "decay_later"),
    "diverged": ("lower_rate", "clip", "warm_up"),
    "exploding_gradients": ("scale_initial", "clip", "normalize_layers"),
    "gradients_not_cleared": ("zero_grad",),
    "healthy": (),
    "lr_too_large": ("lower_rate", "warm_up", "clip"),
    "lr_too_small": ("raise_rate", "find_rate"),
    "model_too_small": ("widen", "residual"),
    "noise_floor": ("decay_rate", "enlarge_batch"),
    "overfitting": ("stop_early", "augment", "more_data", "add_decay"),
    "parameters_not_trained": ("hand_all_over", "unfreeze"),
    "ravine": ("adaptive", "momentum", "normalize_inputs"),
    "saddle": ("perturb", "initialize_at_random", "momentum"),
    "saturated_units": ("reinitialize", "relu_units", "normalize_inputs"),
    "vanishing_gradients": ("scale_initial", "relu_units", "residual", "normalize_layers"),
    "weight_decay_too_strong": ("less_decay",),
    "wrong_loss": ("logits", "cross_entropy", "sign_of_loss"),
}


def remedies_of(code: str, measures: Mapping[str, float]) -> tuple[Remedy, ...]:
    """The remedies of a verdict, with numbers.

    Example:
        >>> [remedy.code for remedy in remedies_of("lr_too_small", {"lr_last": 1e-6})]
        ['raise_rate', 'find_rate']
    """
    values = _values(measures)
    return tuple(Remedy(name, values.get(name, {})) for name in _order(code, measures))


def _order(code: str, measures: Mapping[str, float]) -> tuple[str, ...]:
    """The first remedy is the one that fits the evidence, where a verdict has several causes."""
    names = list(REMEDIES[code])
    first = {
        "bad_targets": "match_shapes" if measures.get("targets_broadcast", 0) > 0.5 else "check_targets",
        "bad_inputs": "normalize_inputs" if _large_but_sound(measures) else "check_inputs",
        "wrong_loss": _first_for_loss(measures),
        "parameters_not_trained": "unfreeze"
        if measures.get("frozen", 0) > max(measures.get("missing", 0), measures.get("gradless", 0))
        else "hand_all_over",
    }.get(code)
    return tuple(sorted(names, key=lambda name: name != first)) if first else tuple(names)


def _large_but_sound(measures: Mapping[str, float]) -> bool:
    return not measures.get("inputs_nonfinite", 0) and not measures.get("inputs_alike", 0) > 0.5


def _first_for_loss(measures: Mapping[str, float]) -> str:
    if measures.get("loss_floor", 0) < -1:
        return "sign_of_loss"
    return "cross_entropy" if measures.get("loss_is_squared", 0) > 0.5 else "logits"


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
    }

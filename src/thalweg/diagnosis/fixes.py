"""The fixes of each verdict: their order, and their numbers; `attempts` tries them on copies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thalweg.diagnosis.measures.ignored import MOST, NEARLY_ALL
from thalweg.diagnosis.measures.outdone import MANY
from thalweg.diagnosis.measures.running_statistics import GAINS, NOISY, PAIR
from thalweg.diagnosis.measures.trends import BURSTS
from thalweg.diagnosis.verdict import Fix


if TYPE_CHECKING:
    from collections.abc import Mapping

FIXES_OF: dict[str, tuple[str, ...]] = {
    "bad_inputs": ("check_inputs", "normalize_inputs", "permute", "look_up"),
    "bad_targets": (
        "check_targets",
        "match_shapes",
        "minus_one",
        "zero_to_one",
        "own_blank",
        "longer_outputs",
        "scale_targets",
        "balance_terms",
    ),
    "batchnorm_mismatch": ("norm_momentum", "shuffle_batches", "group_norm", "enlarge_batch"),
    "class_imbalance": ("weigh_classes", "balance_batches", "ignore_padding"),
    "clipped_too_hard": ("clip_less", "raise_rate"),
    "converged": ("stop", "more_capacity"),
    "dead_units": ("reinitialize", "leaky_units", "lower_rate"),
    "decayed_too_early": ("raise_rate", "decay_later"),
    "diverged": ("lower_rate", "clip", "warm_up"),
    "dropout_too_strong": ("less_dropout",),
    "exploding_gradients": ("scale_initial", "clip", "normalize_layers"),
    "gradients_not_averaged": ("call_wrapper", "reduce_all", "divide_loss"),
    "healthy": (),
    "ill_conditioned": ("adaptive", "momentum", "normalize_inputs", "decorrelate_inputs"),
    "inputs_ignored": (
        "follow_signal",
        "turn_mask",
        "mix_less",
        "stop_gradient",
        "each_column",
        "see_all",
        "add_positions",
    ),
    "lr_too_large": ("lower_rate", "warm_up", "clip", "divide_loss"),
    "lr_too_small": ("raise_rate", "find_rate", "scale_targets", "wider_weights"),
    "model_too_small": ("widen", "residual", "add_activation", "hidden_layer"),
    "noise_floor": ("decay_rate", "enlarge_batch"),
    "not_shuffled": ("shuffle",),
    "optimizer_not_stepping": ("call_step", "clear_first", "step_each_batch"),
    "overfitting": ("stop_early", "augment", "more_data", "add_decay", "train_all_layers"),
    "rank_without_data": ("share_samples", "join"),
    "replicas_differ": ("equal_weights", "fail_together"),
    "replicas_see_same_data": ("distributed_sampler", "seed_by_rank"),
    "saddle": ("perturb", "initialize_at_random", "momentum"),
    "same_batch": ("next_batch", "weigh_samples"),
    "samples_mixed": ("batch_first",),
    "saturated_units": ("reinitialize", "relu_units", "normalize_inputs"),
    "straggler": ("look_at_process", "share_evenly"),
    "symmetric_weights": ("initialize_at_random",),
    "target_leakage": ("drop_column", "end_before", "causal_mask", "shift_labels"),
    "targets_unrelated": ("check_pairs", "same_order"),
    "too_few_steps": ("train_longer", "raise_rate", "step_each_batch"),
    "unsure": ("fit_one_batch", "watch_loop", "other_rates"),
    "untrained_parameters": (
        *("hand_all_over", "unfreeze", "register_layers", "make_parameter"),
        *("add_terms", "clear_first"),
    ),
    "vanishing_gradients": (
        "scale_initial",
        "relu_units",
        "residual",
        "normalize_layers",
        "last_word",
        "keep_gradient",
    ),
    "weight_decay_too_strong": ("less_decay", "less_penalty"),
    "wrong_loss": (
        "logits",
        "log_softmax",
        "class_dimension",
        "each_class",
        "output_per_class",
        "one_logit",
        "linear_output",
        "no_last_relu",
        "cross_entropy",
        "proper_loss",
        "minus_score",
        "within_domain",
        "stable_loss",
        "smooth_loss",
        "smooth_units",
        "sign_of_loss",
        "minus_log_probability",
        "times_first",
        "temperature",
        "balance_terms",
        "permute",
    ),
    "wrong_mode": ("train_mode", "follow_mode", "eval_mode"),
    "zero_grad_missing": ("zero_grad",),
}
"""Code of a verdict to the codes of its fixes, the first to try first."""


def fixes_of(code: str, measures: Mapping[str, float]) -> tuple[Fix, ...]:
    """The fixes of a verdict, with their numbers.

    Example:
        >>> [fix.code for fix in fixes_of("lr_too_small", {"lr_last": 1e-6})]
        ['raise_rate', 'find_rate']
    """
    values = _values(measures)
    return tuple(Fix(name, values.get(name, {})) for name in _order(code, measures))


def _order(code: str, measures: Mapping[str, float]) -> tuple[str, ...]:
    """The order of the fixes; if a verdict has several causes, the fix of the measured one comes first."""
    if code == "wrong_loss":
        return _for_loss(measures)
    if instead := _instead(code, measures):
        return instead
    names = [name for name in FIXES_OF[code] if _applies(name, measures)]
    first = {
        "ill_conditioned": "decorrelate_inputs" if measures.get("tried_decorrelated", 0) > 0.1 else "adaptive",
        "bad_targets": "match_shapes"
        if max(measures.get("targets_broadcast", 0), measures.get("unpaired", 0)) > 0.5
        else next(
            (name for name in ("minus_one", "zero_to_one", "own_blank", "longer_outputs") if name in names),
            "check_targets",
        ),
        # where the weights were not too large at first, the gradient of a few steps was
        "exploding_gradients": "clip"
        if max(measures.get("gradient_burst", 0) / BURSTS, measures.get("update_ratio_first", 0) / 0.5) > 1
        and not measures.get("initial_scale", 0) > 4
        else "scale_initial",
        "lr_too_large": "divide_loss" if "divide_loss" in names else "lower_rate",
        "model_too_small": "add_activation" if measures.get("affine", 0) > 0.5 else "widen",
        "replicas_see_same_data": "distributed_sampler" if measures.get("data_shared", 0) > 0.3 else "seed_by_rank",
        "bad_inputs": "permute"
        if "permute" in names
        else "normalize_inputs"
        if _large_but_sound(measures)
        else "check_inputs",
        "untrained_parameters": "register_layers"
        if measures.get("unregistered", 0) > 0.01
        else "make_parameter"
        if measures.get("plain_tensors", 0) > 0.01
        else "unfreeze"
        if measures.get("frozen", 0) > max(measures.get("missing", 0), measures.get("gradless", 0))
        else "hand_all_over",
    }.get(code)
    return tuple(sorted(names, key=lambda name: name != first)) if first else tuple(names)


def _instead(code: str, measures: Mapping[str, float]) -> tuple[str, ...]:
    """The fixes of a cause that has none of its verdict's others; empty if it is not such a one."""

    def known(name: str, otherwise: float = 0.0) -> float:
        return measures.get(name, otherwise)

    holds, fixes = {
        "bad_inputs": (
            (known("ids_as_numbers") > 0.5 and known("avoidable") > MANY) or known("names_tell") > 5,
            ("look_up",),
        ),
        "bad_targets": (
            (known("drowned_term", 1) < 0.01 and known("drowning_targets") > 10)
            or known("tried_standardized_targets") > 0.1,
            ("scale_targets", "balance_terms") if known("drowning_targets") > 10 else ("scale_targets",),
        ),
        "batchnorm_mismatch": (
            (known("norm_values", PAIR) < PAIR or known("norm_noise") > NOISY or known("tried_group_norm") > GAINS)
            and max(known("norm_gap"), known("restated")) <= 0.2,
            ("group_norm", "enlarge_batch"),
        ),
        "class_imbalance": (known("tried_unpadded") > 0.1, ("ignore_padding",)),
        # fitted once: it has no steps to augment
        "overfitting": (known("only_classifier") > 0.5, ("train_all_layers", "more_data")),
        "lr_too_small": (
            known("rounded_away") > 0.5 or (known("to_constant") > 1.5 and known("targets_scale") > 10),
            ("wider_weights",) if known("rounded_away") > 0.5 else ("raise_rate", "find_rate", "scale_targets"),
        ),
        "weight_decay_too_strong": (known("penalty_to_gradient") > 0.1, ("less_penalty",)),
        "wrong_mode": (
            not known("evaluating") > 0.5,
            ("follow_mode",) if known("dropout_left_on") > 0.05 else ("eval_mode",),
        ),
        "same_batch": (known("redrawn") > 2 and known("batches_seen", 2) > 1, ("weigh_samples",)),
        "optimizer_not_stepping": (
            known("cleared_early") > 0.5 or (known("dropped") > 0.9 and known("stepped") > 0),
            ("clear_first",) if known("cleared_early") > 0.5 else ("step_each_batch",),
        ),
        "untrained_parameters": (
            known("part_unread") > 0.5
            or (min(known("gradless"), known("cleared_early")) > 0.01 and not known("missing") > 0.01),
            ("clear_first",) if known("cleared_early") > 0.01 else ("add_terms",),
        ),
        "gradients_not_averaged": (not known("gradients_differ"), ("divide_loss",)),
        "inputs_ignored": (known("inputs_seen", 1) >= 1e-3, _for_ignored(measures)),
        "targets_unrelated": (known("crossed") > 0.5, ("same_order",)),
        "model_too_small": (known("one_layer") > 0.5, ("hidden_layer",)),
        "too_few_steps": (known("stepped", 1) < 0.1, ("step_each_batch",)),
        "vanishing_gradients": (
            known("steps_cut") > 0.5 or (known("forgotten_in_padding") > 0.5 and known("inputs_seen", 1) < 1e-3),
            ("keep_gradient",) if known("steps_cut") > 0.5 else ("last_word",),
        ),
    }.get(code, (False, ()))
    return fixes if holds else ()


def _for_ignored(measures: Mapping[str, float]) -> tuple[str, ...]:
    """The fix where the inputs reach the outputs, and tell too little; empty if nothing says why."""
    if measures.get("own_to_others", math.inf) < 3:
        return ("mix_less",)
    if measures.get("order_tells", 0) > 0.1:
        return ("add_positions",)
    unjoined = measures.get("gradless", 0) > 0.01 and measures.get("inputs_seen", 1) < NEARLY_ALL
    if measures.get("ignored_tells", 0) > 5 or unjoined:
        return ("each_column",)
    if measures.get("directions_apart", math.inf) < 0.2:
        return ("stop_gradient",)
    return ("see_all",) if measures.get("inputs_seen", 1) < MOST else ()


def _applies(name: str, measures: Mapping[str, float]) -> bool:
    """Whether a fix is one of what was found; one of another cause of the same verdict would be false."""
    if name in _INSTEAD:
        return False
    limit, only_for = _ONLY_FOR.get(name, (0.0, ()))
    return not only_for or any(measures.get(measure, 0) > limit for measure in only_for)


_INSTEAD = {
    "add_positions",
    "add_terms",
    "balance_terms",
    "clear_first",
    "each_column",
    "eval_mode",
    "hidden_layer",
    "ignore_padding",
    "keep_gradient",
    "last_word",
    "less_penalty",
    "look_up",
    "mix_less",
    "same_order",
    "scale_targets",
    "see_all",
    "step_each_batch",
    "stop_gradient",
    "train_all_layers",
}
"""Fixes that `_instead` gives alone."""

_ONLY_FOR: dict[str, tuple[float, tuple[str, ...]]] = {
    "causal_mask": (0.05, ("next_seen",)),
    "divide_loss": (0.4, ("summed_passes",)),
    "drop_column": (0.05, ("targets_in_column", "class_in_column")),
    "end_before": (0.05, ("targets_at_end",)),
    "longer_outputs": (0, ("targets_too_long",)),
    "make_parameter": (0.01, ("plain_tensors",)),
    "minus_one": (0.05, ("targets_unread",)),
    "own_blank": (0, ("blank_in_targets",)),
    "permute": (2, ("misread",)),
    "shift_labels": (0.05, ("own_seen",)),
    "weigh_samples": (2, ("redrawn",)),
    "wider_weights": (0.05, ("rounded_away",)),
    "zero_to_one": (0, ("targets_above_one", "targets_below_zero")),
}
"""A fix to a limit, and to the measures of which one beyond it makes it a fix."""


def _large_but_sound(measures: Mapping[str, float]) -> bool:
    alike = max(measures.get("inputs_alike", 0), measures.get("inputs_repeated", 0)) > 0.5
    whole = not measures.get("inputs_nonfinite", 0) and not measures.get("nonfinite_inputs", 0)
    return whole and not alike


def _for_loss(measures: Mapping[str, float]) -> tuple[str, ...]:
    """The fixes of what was found; those of another mismatch would be false."""
    found = [fix for name, fixes in _LOSS_FIXES.items() if measures.get(name, 0) > 0.05 for fix in fixes]
    if measures.get("loss_floor", 0) < -1 or measures.get("sunk", 0) < -30:
        found.append("sign_of_loss")
    if measures.get("floor_left", 0) > 0.95 and measures.get("ceiling_left", math.inf) < 1.1:
        found.append("temperature")
    if measures.get("drowned_term", 1) < 0.01:
        found.append("balance_terms")
    return tuple(dict.fromkeys(found)) or FIXES_OF["wrong_loss"]


_LOSS_FIXES = {
    "loss_blind": ("one_logit",),
    "loss_in_steps": ("smooth_loss",),
    "mispaired": ("permute",),
    "rewarded_rarer": ("minus_log_probability",),
    "outputs_fixed": ("one_logit", "linear_output"),
    "outputs_unmoved": ("smooth_units",),
    "squashed_twice": ("logits",),
    "several_labels": ("each_class",),
    "targets_multi_hot": ("each_class",),
    "numbered_classes": ("output_per_class",),
    "scores_cut": ("no_last_relu",),
    "truths_cut": ("no_last_relu",),
    "negatives_cut": ("no_last_relu",),
    "softmax_misplaced": ("class_dimension", "logits"),
    "log_missing": ("log_softmax", "sign_of_loss"),
    "log_of_each": ("log_softmax",),
    "samples_as_times": ("times_first",),
    "out_of_reach": ("linear_output",),
    "improper": ("proper_loss",),
    "wrong_is_best": ("minus_score",),
    "loss_undefined": ("within_domain",),
    "loss_at_ends": ("stable_loss",),
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
    if not gains[factor] > 0 or measures.get("tried_higher_rate", 0) > 0.1:
        factor = 10.0  # the rate that is tried on samples kept out
    raised = most if math.isfinite(most) and most > 5 * lr else lr * factor
    return {
        "raise_rate": {"lr": lr, "to": raised},
        "lower_rate": {"lr": lr, "to": lr / 10},
        "decay_rate": {"lr": lr, "to": lr / 10},
        "decay_later": {"lr": most},
        "divide_loss": {"passes": measures.get("passes", 1.0)},
        "clip": {"norm": max(measures.get("gradient_last", 1.0), 1e-3)},
        "equal_weights": {"rank": measures.get("odd_process", 0.0), "step": measures.get("differ_since", 0.0)},
        "look_at_process": {"rank": measures.get("slowest_process", 0.0)},
        "share_samples": {"rank": measures.get("lacking_process", 0.0)},
    }

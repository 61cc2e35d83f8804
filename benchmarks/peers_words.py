"""What each peer's words mean in the codes of thalweg's verdicts, written down before any of them was run.

A word counts for every cause that the peer names beside it, in its explanation or in its advice, so that one finding
may count for five causes. Words about speed and memory count for none. The words of `ADVICE` report what is in the
log and call it no fault of the run; they are no alarm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# the verdict that a newer one refines: who wrote the causes of a program before it was there wrote the older one
REFINES: Mapping[str, tuple[str, ...]] = {
    "class_imbalance": ("bad_targets",),
    "clipped_too_hard": ("lr_too_small",),
    "dropout_too_strong": ("model_too_small", "noise_floor"),
    "inputs_ignored": ("bad_inputs",),
    "not_shuffled": ("bad_inputs", "noise_floor"),
    "optimizer_not_stepping": ("parameters_not_trained", "untrained_parameters"),
    "same_batch": ("bad_inputs",),
    "samples_mixed": ("bad_inputs", "bad_targets"),
    "symmetric_weights": ("saddle",),
    "target_leakage": ("bad_inputs", "bad_targets"),
    "targets_unrelated": ("bad_targets",),
    "too_few_steps": ("lr_too_small",),
    "wrong_mode": ("batchnorm_mismatch",),
}
RENAMED = {
    "gradients_not_cleared": "zero_grad_missing",
    "parameters_not_trained": "untrained_parameters",
    "ravine": "ill_conditioned",
}

RUNMEDIC = {
    "non_finite": "diverged lr_too_large exploding_gradients bad_inputs bad_targets wrong_loss",
    "divergence": "lr_too_large diverged not_shuffled weight_decay_too_strong",
    "no_learning": "optimizer_not_stepping untrained_parameters zero_grad_missing lr_too_small targets_unrelated"
    " bad_targets dead_units",
    "overfitting": "overfitting",
    "loss_spikes": "lr_too_large bad_inputs bad_targets exploding_gradients",
    "grad_spikes": "exploding_gradients lr_too_large bad_inputs",
    "val_below_train": "dropout_too_strong wrong_mode",
    "constant_lr_plateau": "noise_floor converged",
}
TRAINSPOTTER = {
    "Diverged (non-finite values)": "diverged lr_too_large exploding_gradients wrong_loss",
    "Diverged (sustained growth)": "lr_too_large diverged not_shuffled",
    "Gradient-norm explosion": "exploding_gradients lr_too_large bad_inputs",
    "Gradient clipping likely saturated": "clipped_too_hard lr_too_large",
    "Plateau": "lr_too_small untrained_parameters decayed_too_early",
    "No LR warmup detected": "lr_too_large",
    "LR increased after its peak": "lr_too_large",
    "LR discontinuity": "decayed_too_early",
    "Suspiciously low loss early (heuristic)": "wrong_loss bad_targets bad_inputs",
    "Overfitting onset": "overfitting",
    "Loss spike": "lr_too_large exploding_gradients bad_inputs",
    "Eval metric too noisy to rank checkpoints": "noise_floor",
}
TORCHMORTEM = {
    "Vanishing gradients detected": "vanishing_gradients saturated_units",
    "Exploding gradients detected": "exploding_gradients lr_too_large",
    "Gradient stalling": "vanishing_gradients untrained_parameters dead_units",
    "Dead units": "dead_units lr_too_large",
    "Activation saturation": "saturated_units lr_too_large",
    "Update ratio too low": "lr_too_small vanishing_gradients",
    "Update ratio too high": "lr_too_large exploding_gradients clipped_too_hard",
    "Training divergence detected": "diverged lr_too_large",
    "Loss plateau detected": "saddle lr_too_small converged",
    "Catapult phase detected": "lr_too_large",
    "Edge of stability": "lr_too_large",
    "Rank collapse": "weight_decay_too_strong dropout_too_strong symmetric_weights model_too_small",
    "Weight norm explosion": "exploding_gradients lr_too_large",
    "Stagnant weight norms": "lr_too_small untrained_parameters optimizer_not_stepping vanishing_gradients",
    "Inter-layer weight norm imbalance": "ill_conditioned exploding_gradients",
    "High gradient noise": "noise_floor lr_too_large",
    "Training trapped by loss landscape": "ill_conditioned saddle lr_too_large",
    "Instability feedback loop": "exploding_gradients lr_too_large diverged",
    "Representation bottleneck": "model_too_small weight_decay_too_strong symmetric_weights",
    "Gradient starvation": "vanishing_gradients dead_units",
}
# patterns of a violated invariant's own description
TRAINCHECK = {
    r"zero_grad": "zero_grad_missing optimizer_not_stepping",
    r"\.step\b.*(data|Parameter)": "optimizer_not_stepping untrained_parameters",
    r"backward|\bgrad\b": "untrained_parameters vanishing_gradients exploding_gradients zero_grad_missing",
    r"requires_grad": "untrained_parameters",
    r"(soft(max|plus|sign)|sigmoid|cross_entropy|nll_loss|mse_loss|l1_loss|Loss\b)": "wrong_loss",
    r"relu|ReLU|tanh|Tanh": "wrong_loss dead_units saturated_units vanishing_gradients",
    r"[Dd]ropout": "dropout_too_strong wrong_mode",
    r"batch_norm|BatchNorm": "batchnorm_mismatch wrong_mode",
    r"\.(eval|train)\b": "wrong_mode batchnorm_mismatch",
    r"clip_grad": "clipped_too_hard exploding_gradients",
    r"nn\.init": "symmetric_weights exploding_gradients vanishing_gradients",
    r"lr_scheduler": "lr_too_small lr_too_large decayed_too_early",
    r"(DataLoader|[Ss]ampler|randperm|randint)": "not_shuffled same_batch",
    r"(transpose|view|reshape|permute)": "samples_mixed",
    r"isnan|isinf|isfinite": "diverged",
}
WORDS = {"runmedic": RUNMEDIC, "trainspotter": TRAINSPOTTER, "torchmortem": TORCHMORTEM, "traincheck": TRAINCHECK}
ADVICE = {"No LR warmup detected"}


def meant(peer: str, word: str) -> tuple[str, ...]:
    """The codes that a peer's word counts for; empty for a word that names no cause.

    Args:
        peer: a key of `WORDS`.
        word: as the peer prints it: a name, a title that may go on with the name of a layer, a description.

    Example:
        >>> meant("torchmortem", "Dead units in body.1")
        ('dead_units', 'lr_too_large')
    """
    if peer == "traincheck":
        found = [codes for pattern, codes in TRAINCHECK.items() if re.search(pattern, word)]
    else:
        found = [codes for known, codes in WORDS[peer].items() if word.startswith(known)]
    return tuple(dict.fromkeys(code for codes in found for code in codes.split()))


def counts(codes: Iterable[str], truth: Iterable[str]) -> bool:
    """Whether one of `codes` is the cause: one of `truth`, under an old name, or a newer verdict that refines it."""
    right = {RENAMED.get(code, code) for code in truth}
    return any(code in right or right & {RENAMED.get(old, old) for old in REFINES.get(code, ())} for code in codes)


def named(peer: str, words: Sequence[str], truth: Iterable[str], first: int | None = None) -> bool:
    """Whether one of the first words of a peer counts for the cause; all of them if `first` is None.

    Words that mean the same, of several steps or layers, are one; advice comes after them.
    """
    said = list(dict.fromkeys(meant(peer, word) for word in sorted(words, key=ADVICE.__contains__)))
    return any(counts(codes, tuple(truth)) for codes in said[:first])

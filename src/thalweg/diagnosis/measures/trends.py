"""Measures of a history: the course of the loss, of the gradients and of the steps.

Shape suffixes: S steps.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from thalweg.history import History

LATE = 0.5  # "lately" is the last half of the steps
SIGMAS = 3.5  # a fall counts only beyond this many standard errors
CLIPPED = 1e-3  # clipped gradients have one norm: within this share of the largest
NEARLY_EVERY = 0.9  # share of clipped steps from which copies are clipped as the training was
FEW = 20  # fewer steps show no trend
ONE_SIDED = 0.75  # share of the late losses with one sign; of others, no share of the first loss is "left"
GONE, FULL = 1e-3, 0.5  # of the largest rate: next to none, and about all of it
FEW_BEFORE = 12  # steps before a decay, of which quarters are compared
FEWEST_MARKS = 10  # measured steps; in fewer, the same batch may come twice by chance
ROUNDED = 2.0**-24  # half the distance of a single-precision number's neighbors, relative to it: less rounds away
BURSTS = 30.0  # times the median gradient
RISES = 2.0  # of the median loss: less is no rise
FLAT = 0.006  # of the loss: what falls less, from the second quarter of the steps to the last, does not fall
LEARNS, FALLS = 0.6, 0.02  # a loss far below the best constant predictor's, and still falling


def of_history(
    columns: Mapping[str, NDArray[np.float64]],
    *,
    layers: History | None = None,
    valid_loss: ArrayLike = (),
    train_loss: float | None = None,
) -> dict[str, float]:
    """Measure all that a history tells, whoever kept it: a watch, a run, or a log.

    Args:
        columns: name of a column to (S,) numbers, one per step.
        layers: the history of the layers, if there is one.
        valid_loss: (V,) losses on validation data, in the order of their steps.
        train_loss: the training loss to compare them with; None: the latest ones of `columns`.

    Returns:
        Name to number.
    """
    found = trends(columns) if len(columns.get("loss", ())) else {"steps": 0.0}
    if layers is not None:
        found |= layer_trends(layers)
    latest = found.get("loss_last", math.nan) if train_loss is None else train_loss
    return found | validation_trends({"loss": np.asarray(valid_loss, dtype=np.float64)}, latest)


def trends(steps: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Measure the columns of a history; the measures of a missing column are unknown.

    Args:
        steps: name of a column to (S,) numbers, one per step; `loss` is required.

    Returns:
        Name to number.

    Example:
        >>> import numpy as np
        >>> found = trends({"loss": np.linspace(2.0, 1.0, 100)})
        >>> round(found["falling"], 2), round(found["left"], 2)
        (0.25, 0.52)
    """
    loss_S = np.asarray(steps["loss"], dtype=np.float64)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, which means "unknown"
        return {
            "steps": float(len(loss_S)),
            **_of_loss(loss_S),
            **_of_numbers(steps),
            **_of_gradients(steps),
            **_of_rate(steps, loss_S),
        }


def layer_trends(layers: History) -> dict[str, float]:
    """Compare the gradients of the first layers with those of the last; nothing with fewer than three layers.

    Args:
        layers: a history of `probes.StepProbe.layers` or of `probes.LayerProbe`.
    """
    names = [name.rpartition(".")[0] for name in layers.units if name.endswith(".gradient_norm")]
    if len(names) < 3 or not len(layers):
        return {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        count = max(1, int(np.isfinite(layers.rows_NC[:, 1:]).any(axis=1).sum()))  # rows before all became NaN
        late = slice(count // 2, count)
        gradient_L = np.array([np.nanmedian(layers[f"{name}.gradient_norm"][late]) for name in names])
        first_L = np.array([np.nanmedian(layers[f"{name}.gradient_norm"][:3]) for name in names])
        known_L = np.isfinite(gradient_L) & np.isfinite(first_L)
        if known_L.sum() < 3:
            return {}
        start_L = np.array([layers[f"{name}.gradient_norm"][0] for name in names])
        return {
            "gradient_first_to_last": _first_to_last(gradient_L[known_L]),
            "gradient_first_to_last_start": _first_to_last(start_L[known_L]),
        }


def _first_to_last(gradient_L: NDArray[np.float64]) -> float:
    """The gradients of the first third of the layers, relative to those of the last."""
    third = max(1, len(gradient_L) // 3)
    return float(np.nanmedian(gradient_L[:third]) / np.nanmax(gradient_L[-third:]))


def learns(measures: Mapping[str, float]) -> bool:
    """Whether the training demonstrably learns: its loss is finite, far below the best constant's, and falls.

    Example:
        >>> learns({"loss_last": 0.5, "loss_constant": 2.3, "falling": 0.1}), learns({"loss_last": 0.5})
        (True, False)
    """
    last, constant, falling = (measures.get(name, math.nan) for name in ("loss_last", "loss_constant", "falling"))
    finite = math.isnan(measures.get("nonfinite_step", math.nan))
    return finite and constant > 0 and last / constant < LEARNS and falling > FALLS


def clips(measures: Mapping[str, float]) -> tuple[float | None, float | None]:
    """How the training clips, if it clips nearly every step: the largest norm, and the largest value.

    Example:
        >>> clips({"clipped": 1.0, "gradient_last": 0.1}), clips({"clipped": 0.1})
        ((0.1, None), (None, None))
    """
    norm = measures.get("gradient_last") if measures.get("clipped", math.nan) > NEARLY_EVERY else None
    value = measures.get("gradient_value") if measures.get("clipped_values", math.nan) > NEARLY_EVERY else None
    return norm, value


def validation_trends(validation: Mapping[str, NDArray[np.float64]], train_last: float) -> dict[str, float]:
    """Measure the validation losses, in the order of their steps.

    Args:
        validation: `loss` (V,).
        train_last: the latest training loss.
    """
    loss_V = np.asarray(validation.get("loss", ()), dtype=np.float64)
    loss_V = loss_V[np.isfinite(loss_V)]
    if not len(loss_V):
        return {}
    # Medians of three: the lowest of many noisy values is low by chance, and the last one would seem a rise.
    width = min(3, len(loss_V))
    smooth_V = np.median(np.lib.stride_tricks.sliding_window_view(loss_V, width), axis=1)
    last, best = float(smooth_V[-1]), float(smooth_V.min())
    return {
        "valid_last": last,
        "valid_rise": (last - best) / max(abs(best), 1e-12),
        "valid_gap": (last - train_last) / max(abs(last), 1e-12),
    }


def accuracy_trends(train: ArrayLike, valid: ArrayLike) -> dict[str, float]:
    """Compare the accuracies on training and on validation data, each the median of its last three.

    Args:
        train: accuracies in [0, 1], in the order of the steps.
        valid: likewise, on validation data.

    Example:
        >>> accuracy_trends([0.5, 0.99, 0.99, 0.99], [0.5, 0.73, 0.73, 0.74])
        {'train_accuracy': 0.99, 'accuracy_gap': 0.26}
    """
    parts = [np.asarray(part, dtype=np.float64) for part in (train, valid)]
    known = [part[np.isfinite(part)] for part in parts]
    if not all(map(len, known)):
        return {}
    last, valid_last = (float(np.median(part[-3:])) for part in known)
    return {"train_accuracy": last, "accuracy_gap": round(last - valid_last, 9)}


def _of_loss(loss_S: NDArray[np.float64]) -> dict[str, float]:
    bad_S = ~np.isfinite(loss_S)
    found = {"nonfinite_step": float(np.argmax(bad_S) + 1) if bad_S.any() else np.nan}
    loss_S = loss_S[: int(np.argmax(bad_S))] if bad_S.any() else loss_S
    count = len(loss_S)
    if not count:
        return found
    end = max(1, min(count, max(5, count // 10)))
    first, last = float(loss_S[0]), float(np.median(loss_S[-end:]))
    scale = max(abs(first), abs(last), 1e-12)
    found |= {
        "loss_first": first,
        "loss_last": last,
        "rise": last / first if first > 0 else np.nan,  # a reward's loss has both signs
        "peak": float(_smoothed(loss_S).max()) / max(abs(first), 1e-12),
    }
    if count < FEW:
        return found
    late_S = loss_S[int(count * (1 - LATE)) :]
    before_S, end_S = loss_S[count // 4 : count // 2], loss_S[-(count // 4) :]
    error = _error_between(before_S, end_S)
    fallen = float(before_S.mean() - end_S.mean())
    typical = float(np.median(late_S))
    sigmas = fallen / max(error, 1e-12)
    if float(np.mean(np.sign(late_S) == np.sign(typical))) > ONE_SIDED:
        found["left"] = last / max(abs(first), 1e-12)
    return found | {
        "falling": fallen / scale if abs(sigmas) > SIGMAS else 0.0,
        "late_noise": _noise(late_S) / max(abs(typical), 1e-12),
        "above_lowest": _above_lowest(loss_S) / scale,
    }


def _error_between(one_S: NDArray[np.float64], other_S: NDArray[np.float64]) -> float:
    """The standard error of the difference between the means of two parts of a loss."""
    return float(np.hypot(one_S.std() / np.sqrt(len(one_S)), other_S.std() / np.sqrt(len(other_S))))


def _noise(loss_S: NDArray[np.float64]) -> float:
    """The scatter of a loss about its trend, from the differences of neighbors."""
    return float(np.std(np.diff(loss_S)) / np.sqrt(2))


def _above_lowest(loss_S: NDArray[np.float64]) -> float:
    """How far the last tenth lies above the lowest tenth before it; 0 if that may be scatter."""
    tenths = np.array_split(loss_S, 10)
    means = np.array([part.mean() for part in tenths])
    # a tenth of a short training has two losses, which may be alike by chance: its scatter is that of many, at least
    noise = _noise(loss_S[int(len(loss_S) * (1 - LATE)) :])
    errors = np.array([max(part.std(), noise) / np.sqrt(len(part)) for part in tenths])
    lowest = int(np.argmin(means[:-1]))
    above = float(means[-1] - means[lowest])
    # the lowest of nine may be low by chance, so this takes more standard errors than a fall
    return above if above > (SIGMAS + 1.5) * float(np.hypot(errors[-1], errors[lowest])) else 0.0


def _smoothed(loss_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of five neighbors, so that one odd batch is not a peak."""
    if len(loss_S) < 5:
        return loss_S
    return np.median(np.lib.stride_tricks.sliding_window_view(loss_S, 5), axis=1)


def _of_numbers(steps: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Medians over the first steps and over the last half, for columns that mean the same in every training."""
    found = {}
    for name in ("update_ratio", "cosine", "dead_units", "saturated_units", "weight_norm"):
        if name in steps:
            values = steps[name][~np.isnan(steps[name])]
            found[name] = float(np.median(values[len(values) // 2 :])) if len(values) else np.nan
            if name != "cosine":
                found[f"{name}_first"] = float(np.median(values[:3])) if len(values) else np.nan
    if {"update_ratio", "lr"} <= set(steps):
        found |= _of_standstill(steps["update_ratio"], steps["lr"], steps.get("weight_norm"))
    for name in steps.keys() & {"uncleared", "cleared_early", "unused_passes", "driven_passes", "nonfinite_inputs"}:
        values = steps[name][~np.isnan(steps[name])]
        found[name] = float(values.mean()) if len(values) else np.nan
    if "inputs_mark" in steps:
        marks = steps["inputs_mark"][~np.isnan(steps["inputs_mark"])]
        if len(marks) >= FEWEST_MARKS:
            found |= {"batches_seen": float(len(np.unique(marks))), "inputs_mark": float(marks[-1])}
    if "stepped" in steps and len(steps["stepped"]):
        found["stepped"] = float(np.nanmean(steps["stepped"]))
        # a record for each pass, and a step after several, is the same as one record of several passes
        passes = steps.get("passes", np.array([np.nan]))
        a_record = float(np.nanmedian(passes)) if np.isfinite(passes).any() else 1.0
        found["passes"] = a_record / (found["stepped"] or np.nan)
    if "training" in steps and len(steps["training"]):
        found["evaluating"] = 1 - float(np.nanmean(steps["training"]))
    return found


def _of_standstill(
    update_S: NDArray[np.float64], lr_S: NDArray[np.float64], weight_S: NDArray[np.float64] | None
) -> dict[str, float]:
    """The share of the measured steps, at the end, that moved no weight at all, where earlier ones did.

    Weights that are infinite, or so large that they round away steps as long as the first ones, do not count: they do
    not tell whether anything steps.
    """
    measured_S = np.isfinite(update_S) & (lr_S > 0)
    moved_M = update_S[measured_S] > 0
    if not moved_M.any():
        return {}
    still = int(np.argmax(moved_M[::-1]))
    if still and weight_S is not None:
        weight_M = weight_S[measured_S]
        first = float(np.median((update_S[measured_S] * weight_M)[moved_M][:3]))
        if not float(weight_M[-still:].max()) * ROUNDED < first:
            return {"standstill": 0.0}
    return {"standstill": still / len(moved_M)}


def _of_gradients(steps: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    if "gradient_norm" not in steps:
        return {}
    norm_S = steps["gradient_norm"]
    stepped_S = norm_S[np.asarray(steps["stepped"], dtype=bool)] if "stepped" in steps else norm_S
    finite_S = stepped_S[np.isfinite(stepped_S)]
    if not len(finite_S):
        return {}
    late_S = finite_S[int(len(finite_S) * (1 - LATE)) :]
    found = {"gradient_last": float(np.median(late_S)), "clipped": _at_the_most(late_S)}
    found["gradient_first"] = float(finite_S[0])
    found |= _of_bursts(norm_S, np.asarray(steps["loss"], dtype=np.float64))
    if "gradient_largest" in steps:
        rms_S = steps["gradient_largest"]
        rms_S = rms_S[np.isfinite(rms_S)]
        late_S = rms_S[int(len(rms_S) * (1 - LATE)) :]
        # a gradient whose numbers are all clipped has their largest value as its root mean square
        found["clipped_values"] = _at_the_most(late_S)
        found["gradient_value"] = float(np.median(late_S)) if len(late_S) else np.nan
    return found


def _of_bursts(norm_S: NDArray[np.float64], loss_S: NDArray[np.float64]) -> dict[str, float]:
    """The longest gradient of a step whose loss had not risen yet, relative to the median.

    A rate that is too large raises the loss first, and gradients with it; a cliff shows in the gradient alone.

    Source: Pascanu, Mikolov and Bengio 2013, On the difficulty of training recurrent neural networks,
    https://arxiv.org/abs/1211.5063, section 2.3.
    """
    bad_S = ~np.isfinite(loss_S)
    count = int(np.argmax(bad_S)) if bad_S.any() else len(loss_S)
    norm_S, loss_S = norm_S[:count], loss_S[:count]
    if count < FEW:
        return {}
    calm_S = ~np.isnan(norm_S) & (loss_S <= RISES * np.median(loss_S))
    usual = float(np.nanmedian(norm_S))
    return {"gradient_burst": float(norm_S[calm_S].max() / usual)} if calm_S.any() and usual > 0 else {}


def _at_the_most(late_S: NDArray[np.float64]) -> float:
    """Share of values that equal the largest; NaN for too few."""
    most = float(late_S.max()) if len(late_S) else 0.0
    return float((late_S > (1 - CLIPPED) * most).mean()) if len(late_S) >= FEW // 2 and most > 0 else np.nan


def _of_rate(steps: Mapping[str, NDArray[np.float64]], loss_S: NDArray[np.float64]) -> dict[str, float]:
    """The latest rate, the largest so far, their ratio, and what a rate that fell says."""
    if "lr" not in steps:
        return {}
    lr_S = steps["lr"]
    known_S = np.isfinite(lr_S) & np.isfinite(loss_S)
    lr_S, loss_S = lr_S[known_S], loss_S[known_S]
    if not len(lr_S):
        return {}
    most = float(lr_S.max())
    found = {"lr_last": float(lr_S[-1]), "lr_most": most, "lr_left": float(lr_S[-1]) / most if most else np.nan}
    return found | (_of_decay(lr_S / most, loss_S) | {"lr_rising": _rising(lr_S / most)} if most else {})


def _rising(share_S: NDArray[np.float64]) -> float:
    """How much of the last rate the second half of the steps brought, where no step lowered it; else 0.

    Args:
        share_S: rates, relative to the largest.

    Example:
        >>> _rising(np.linspace(0.1, 1.0, 10)), _rising(np.array([0.5, 1.0, 1.0, 1.0])), _rising(np.array([1.0, 0.9]))
        (0.5, 0.0, 0.0)
    """
    rises = len(share_S) > 1 and bool((np.diff(share_S) >= 0).all())
    return float(1 - share_S[(len(share_S) - 1) // 2] / share_S[-1]) if rises else 0.0


def _of_decay(share_S: NDArray[np.float64], loss_S: NDArray[np.float64]) -> dict[str, float]:
    """How many of the steps had next to no rate, and how far the loss was falling when the rate was still large.

    Args:
        share_S: rates, relative to the largest.
        loss_S: finite losses.
    """
    after_S = np.arange(len(share_S)) > int(np.argmax(share_S))  # a warm-up begins with next to no rate, too
    found = {"lr_gone": float((after_S & (share_S < GONE)).mean())}
    large_S = np.flatnonzero(share_S >= FULL)
    before_S = loss_S[: int(large_S[-1]) + 1]
    if len(before_S) == len(loss_S) or len(before_S) < FEW_BEFORE:
        return found
    _, _, third_S, fourth_S = np.array_split(before_S, 4)
    fell = float(third_S.mean() - fourth_S.mean())
    beyond = fell > SIGMAS * _error_between(third_S, fourth_S)
    return found | {"fell_before": fell / max(abs(float(fourth_S.mean())), 1e-12) if beyond else 0.0}

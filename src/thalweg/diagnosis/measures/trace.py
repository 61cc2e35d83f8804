"""Measures of a trace of the lab: the Hessian is exact, and gains at other rates come from further traces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thalweg import paths
from thalweg.diagnosis.measures.trends import trends


if TYPE_CHECKING:
    from thalweg.paths import Trace

SHORT_STEPS = 100
_FACTORS = {"tenth": 0.1, "same": 1.0, "tenfold": 10.0, "hundredfold": 100.0, "thousandfold": 1000.0}


def of_trace(path: Trace) -> dict[str, float]:
    """Take all measures of a trace.

    Args:
        path: from `paths.trace`.
    """
    history = path.history()
    found = trends({name: history[name] for name in ("loss", "gradient_norm", "lr")})
    if path.diverged:
        return {**found, "nonfinite_step": float(path.last + 1)}
    scale = max(abs(float(path.loss[0])), 1e-300)
    return {**found, "scale": scale, **_motion(path), **_curvature(path, scale), **_gains(path, scale)}


def _motion(path: Trace) -> dict[str, float]:
    gradients_S2 = path.surface.gradient(path.positions_S2)
    late_S2 = gradients_S2[len(gradients_S2) // 2 :]
    lengths_S = np.linalg.norm(late_S2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine_S = (late_S2[1:] * late_S2[:-1]).sum(axis=1) / (lengths_S[1:] * lengths_S[:-1])
        ratio_S = path.step_length / np.linalg.norm(path.positions_S2[:-1], axis=1)
    return {
        "cosine": float(np.nanmedian(cosine_S)) if np.isfinite(cosine_S).any() else math.nan,
        "update_ratio": float(np.nanmedian(ratio_S[len(ratio_S) // 2 :])),
    }


def _curvature(path: Trace, scale: float) -> dict[str, float]:
    end_2 = path.positions_S2[path.last]
    hessian_22 = path.surface.hessian(end_2[None])[0]
    gradient_2 = path.surface.gradient(end_2[None])[0]
    least, most = np.linalg.eigvalsh(hessian_22)
    sigma_2 = path.scale_S2[-1]
    balanced_22 = hessian_22 / np.sqrt(np.outer(sigma_2, sigma_2))
    bears = 2 * (1 + getattr(path.optimizer, "momentum", 0.0))
    if betas := getattr(path.optimizer, "betas", None):  # Cohen et al. 2022, https://arxiv.org/abs/2207.14484
        bears = 2 * (1 + betas[0]) / (1 - betas[0])
    return {
        "largest_eigenvalue": float(most),
        "smallest_eigenvalue": float(least),
        "negative_curvature": float(least < -1e-12 * max(abs(most), abs(least))),
        "negative_share": float(-least / most) if most > 0 else math.inf,
        "decrease_possible": float(gradient_2 @ gradient_2 / (2 * most) / scale) if most > 0 else math.nan,
        "sharpness_ratio": float(path.lr_S[-1] * np.linalg.eigvalsh(balanced_22)[-1] / bears),
    }


def _gains(path: Trace, scale: float) -> dict[str, float]:
    """The gain of the same optimizer from the end of the trace, at several rates."""
    x, y = path.positions_S2[path.last]
    rate = float(path.lr_S[-1])
    found = {}
    for name, factor in _FACTORS.items():
        lr = max(rate * factor, 1e-300)
        run = paths.trace(path.surface, path.optimizer, lr=lr, steps=SHORT_STEPS, start=(x, y))
        after = float(run.loss[run.last]) if not run.diverged else math.inf
        found[f"gain_{name}"] = (float(path.loss[path.last]) - after) / scale
    return found

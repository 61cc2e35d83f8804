"""A path of the lab, diagnosed by the code that diagnoses networks: its Hessian is exact, its trials are traces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thalweg import paths
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.trends import trends


if TYPE_CHECKING:
    from thalweg.diagnosis.verdict import Verdict
    from thalweg.paths import Trace

TRIAL_STEPS = 100
_FACTORS = {"tenth": 0.1, "same": 1.0, "tenfold": 10.0, "hundredfold": 100.0, "thousandfold": 1000.0}


def diagnose_trace(path: Trace) -> Verdict:
    """Say why a path stands where it stands.

    Args:
        path: from `paths.trace`.

    Example:
        >>> from thalweg import surfaces
        >>> diagnose_trace(paths.trace(surfaces.get("bowl"), "sgd", lr=1e-5, steps=200)).code
        'lr_too_small'
    """
    history = path.history()
    found = trends({name: history[name] for name in ("loss", "gradient_norm", "lr")})
    if path.diverged:
        return judge({**found, "nonfinite_step": float(path.last + 1)})
    scale = max(abs(float(path.loss[0])), 1e-300)
    return judge({**found, "scale": scale, **_motion(path), **_curvature(path, scale), **_trials(path, scale)})


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
        "gradient_batch": float(np.linalg.norm(gradients_S2[-1])),
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
        "curvature_most": float(most),
        "curvature_least": float(least),
        "negative_curvature": float(least < -1e-12 * max(abs(most), abs(least))),
        "negative_share": float(-least / most) if most > 0 else math.inf,
        "decrease_possible": float(gradient_2 @ gradient_2 / (2 * most) / scale) if most > 0 else math.nan,
        "sharpness_ratio": float(path.lr_S[-1] * np.linalg.eigvalsh(balanced_22)[-1] / bears),
    }


def _trials(path: Trace, scale: float) -> dict[str, float]:
    """What the same optimizer gains from the end of the path, at other rates."""
    x, y = path.positions_S2[path.last]
    rate = float(path.lr_S[-1])
    found = {}
    for name, factor in _FACTORS.items():
        lr = max(rate * factor, 1e-300)
        trial = paths.trace(path.surface, path.optimizer, lr=lr, steps=TRIAL_STEPS, start=(x, y))
        after = float(trial.loss[trial.last]) if not trial.diverged else math.inf
        found[f"gain_{name}"] = (float(path.loss[path.last]) - after) / scale
    return found

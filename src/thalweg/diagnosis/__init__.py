"""Why a training is stuck: what is measured, what it is evidence of, and what to try.

`curvature` looks at the Hessian of any model's loss: its largest and smallest eigenvalue, certified, and whether the
optimizer's learning rate is stable there. `landscape` cuts a plane through the loss of a model or of a run.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.curvature import HessianOperator, extremes, sharpness, stability_threshold
    from thalweg.diagnosis.landscape import landscape_of

_homes = {
    "HessianOperator": ".curvature",
    "extremes": ".curvature",
    "landscape_of": ".landscape",
    "sharpness": ".curvature",
    "stability_threshold": ".curvature",
}

__all__ = ["HessianOperator", "extremes", "landscape_of", "sharpness", "stability_threshold"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

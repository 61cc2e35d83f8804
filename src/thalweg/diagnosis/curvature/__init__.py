"""The curvature of a model's loss: Hessian products, extreme eigenvalues with an error bound, stability.

`objective` computes the loss of any model without changing it, `operator` multiplies vectors by its Hessian,
`lanczos` finds the ends of the spectrum with an error bound, and `stability` compares the largest eigenvalue with the
stability threshold of the optimizer.

Shape suffix: P entries of all parameters in question, concatenated.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.curvature.lanczos import Eigenvalue, Extremes, extremes
    from thalweg.diagnosis.curvature.operator import HessianOperator
    from thalweg.diagnosis.curvature.stability import Sharpness, Threshold, sharpness, stability_threshold

_homes = {
    "Eigenvalue": ".lanczos",
    "Extremes": ".lanczos",
    "HessianOperator": ".operator",
    "Sharpness": ".stability",
    "Threshold": ".stability",
    "extremes": ".lanczos",
    "sharpness": ".stability",
    "stability_threshold": ".stability",
}

__all__ = [
    "Eigenvalue",
    "Extremes",
    "HessianOperator",
    "Sharpness",
    "Threshold",
    "extremes",
    "sharpness",
    "stability_threshold",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

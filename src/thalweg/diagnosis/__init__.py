"""Diagnose why a training is stuck: measure, name the cause, and try the fix.

`watch` follows any training loop; `inputs` opens runs, folders, logs and traces. `measures` turns a history, a batch
and a few short runs into named numbers; `judge` turns the numbers into a verdict by the table in `rules`; `fixes`
lists what to change, and `trials` tries it on a copy. `curvature` finds the ends of the Hessian's spectrum, with an
error bound, and compares them with the optimizer's stability threshold; `landscape` computes the loss over a plane.
`review` finds the labels that predictions doubt. `zoo` tests the verdicts on trainings with known faults.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.curvature import HessianOperator, extremes, sharpness, stability_threshold
    from thalweg.diagnosis.inputs import (
        diagnose_folder,
        diagnose_path,
        diagnose_run,
        diagnose_trace,
        try_fix_on_run,
    )
    from thalweg.diagnosis.judging import judge
    from thalweg.diagnosis.landscape import landscape_of
    from thalweg.diagnosis.logs import diagnose_csv
    from thalweg.diagnosis.review import Review, review_of
    from thalweg.diagnosis.trials import try_fix
    from thalweg.diagnosis.verdict import CODES, Evidence, Fix, Trial, Verdict
    from thalweg.diagnosis.watching import Watch, watch

_homes = {
    "CODES": ".verdict",
    "Evidence": ".verdict",
    "Fix": ".verdict",
    "HessianOperator": ".curvature",
    "Review": ".review",
    "Trial": ".verdict",
    "Verdict": ".verdict",
    "Watch": ".watching",
    "diagnose_csv": ".logs",
    "diagnose_folder": ".inputs",
    "diagnose_path": ".inputs",
    "diagnose_run": ".inputs",
    "diagnose_trace": ".inputs",
    "extremes": ".curvature",
    "judge": ".judging",
    "landscape_of": ".landscape",
    "review_of": ".review",
    "sharpness": ".curvature",
    "stability_threshold": ".curvature",
    "try_fix": ".trials",
    "try_fix_on_run": ".inputs",
    "watch": ".watching",
}

__all__ = [
    "CODES",
    "Evidence",
    "Fix",
    "HessianOperator",
    "Review",
    "Trial",
    "Verdict",
    "Watch",
    "diagnose_csv",
    "diagnose_folder",
    "diagnose_path",
    "diagnose_run",
    "diagnose_trace",
    "extremes",
    "judge",
    "landscape_of",
    "review_of",
    "sharpness",
    "stability_threshold",
    "try_fix",
    "try_fix_on_run",
    "watch",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

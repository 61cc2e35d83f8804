"""Why a training is stuck: measured, named, and the cure tried.

`watch` listens to anybody's loop. `measures` turns a history, a batch and a few trials into numbers with names;
`judge` turns numbers into a verdict by the table in `rules`; `remedies` says what to try, and `proof` tries it.
`curvature` finds the ends of the Hessian's spectrum, with a bound, and what the learning rate bears there.
`zoo` is where all of it is tested: trainings whose trouble is known.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.curvature import HessianOperator, extremes, sharpness, stability_threshold
    from thalweg.diagnosis.judging import judge
    from thalweg.diagnosis.proof import Proof, prove, prove_run
    from thalweg.diagnosis.sources import diagnose_csv, diagnose_folder, diagnose_path, diagnose_run
    from thalweg.diagnosis.surface import diagnose_trace
    from thalweg.diagnosis.verdict import CODES, Evidence, Remedy, Verdict
    from thalweg.diagnosis.watching import Watch, watch

_homes = {
    "CODES": ".verdict",
    "Evidence": ".verdict",
    "HessianOperator": ".curvature",
    "Proof": ".proof",
    "Remedy": ".verdict",
    "Verdict": ".verdict",
    "Watch": ".watching",
    "diagnose_csv": ".sources",
    "diagnose_folder": ".sources",
    "diagnose_path": ".sources",
    "diagnose_run": ".sources",
    "diagnose_trace": ".surface",
    "extremes": ".curvature",
    "judge": ".judging",
    "prove": ".proof",
    "prove_run": ".proof",
    "sharpness": ".curvature",
    "stability_threshold": ".curvature",
    "watch": ".watching",
}

__all__ = [
    "CODES",
    "Evidence",
    "HessianOperator",
    "Proof",
    "Remedy",
    "Verdict",
    "Watch",
    "diagnose_csv",
    "diagnose_folder",
    "diagnose_path",
    "diagnose_run",
    "diagnose_trace",
    "extremes",
    "judge",
    "prove",
    "prove_run",
    "sharpness",
    "stability_threshold",
    "watch",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

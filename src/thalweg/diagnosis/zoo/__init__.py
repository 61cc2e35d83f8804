"""The zoo: trainings with a known fault, and healthy trainings.

The `failing_*` modules and `healthy` hold small functions, each of which makes one training from `networks` and
`data`; `running` trains, watches, diagnoses and counts. `thalweg zoo` prints the confusion matrix.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.zoo.running import Outcome, confusion, run_case, run_families, run_program, run_zoo, shares
    from thalweg.diagnosis.zoo.table import Case, load_all

_homes = {
    "load_all": ".table",
    "Case": ".table",
    "Outcome": ".running",
    "confusion": ".running",
    "run_case": ".running",
    "run_families": ".running",
    "run_program": ".running",
    "run_zoo": ".running",
    "shares": ".running",
}

__all__ = ["Case", "Outcome", "confusion", "load_all", "run_case", "run_families", "run_program", "run_zoo", "shares"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

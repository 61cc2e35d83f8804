"""A network in the plane that trains before one's eyes, and presets of every cause for which a training stalls.

`Settings` decide everything, `Loop` trains, and a `Session` answers with frames of any of its steps. `diagnose` runs a
loop under `thalweg.watch`; `presets` has a loop with a known fault for each code of a verdict, and its repaired twin.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.playground.asking import compare, diagnose, diagnose_case
    from thalweg.playground.case import Case
    from thalweg.playground.loop import Fault, Loop
    from thalweg.playground.points import Points, photo_points
    from thalweg.playground.presets.catalogue import case_of
    from thalweg.playground.session import Session
    from thalweg.playground.settings import Settings

_homes = {
    "Case": ".case",
    "Fault": ".loop",
    "Loop": ".loop",
    "Points": ".points",
    "Session": ".session",
    "Settings": ".settings",
    "case_of": ".presets.catalogue",
    "compare": ".asking",
    "diagnose": ".asking",
    "diagnose_case": ".asking",
    "photo_points": ".points",
}

__all__ = [
    "Case",
    "Fault",
    "Loop",
    "Points",
    "Session",
    "Settings",
    "case_of",
    "compare",
    "diagnose",
    "diagnose_case",
    "photo_points",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

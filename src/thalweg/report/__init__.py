"""The report of a run: its pictures, and one HTML file with all of them.

`draw_run` makes the pictures and the page, `write_report` the page alone from what is in the folder, `write_review` the
page of a review of labels. A page is one file without network access or scripts, in the current language, for light and
dark screens of any width and for paper. The report lists what a run lacks.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.report.drawing import draw_run, write_review
    from thalweg.report.page import write_report

_homes = {
    "draw_run": ".drawing",
    "write_report": ".page",
    "write_review": ".drawing",
}

__all__ = ["draw_run", "write_report", "write_review"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

"""What a run leaves for people to read: its pictures, and one HTML file with all of them.

`draw_run` makes the pictures and the page, `write_report` the page alone from what is in the folder. The page is one
file that needs no network and no script, in the language in force, for screens light and dark, wide and narrow, and
for paper. Whatever a run lacks is left out, and the page says so.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.report.drawing import draw_run
    from thalweg.report.page import write_report

_homes = {
    "draw_run": ".drawing",
    "write_report": ".page",
}

__all__ = ["draw_run", "write_report"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

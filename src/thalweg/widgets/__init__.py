"""Tabs of the page without the page: in one file that plays by itself, or in the cell of a notebook.

Both are the page's own HTML, style and scripts in one document (`document`). A `Film` has its frames inside. A widget
(`lab`, `network`) asks Python through the notebook, and Python answers as the page's server does (`answering`).
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.widgets.films import Film, film
    from thalweg.widgets.making import lab, network

_homes = {"Film": ".films", "film": ".films", "lab": ".making", "network": ".making"}

__all__ = ["Film", "film", "lab", "network"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

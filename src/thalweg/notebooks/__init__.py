"""Notebooks: the HTML of objects, the live display of a training, and figures that show inline.

`objects` has a function for each kind of object, made of the parts of the report; `cell` puts them into one element
whose style stays inside; `chart` draws lines as SVG; `live` shows a training while it runs, in the `places` that can.
Objects find their HTML by `thalweg._notebook`.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.notebooks.objects import html_of

_homes = {"html_of": ".objects"}

__all__ = ["html_of"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

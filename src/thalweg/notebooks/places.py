"""Where a live display is: an output of a cell whose content is replaced."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol


if TYPE_CHECKING:
    from thalweg._notebook import Place


class Output(Protocol):
    """An output that can be shown again with another content."""

    def show(self, html: str, text: str) -> None:
        """Replace what is shown.

        Args:
            html: one element.
            text: the same in a line, for a front end without HTML.
        """
        ...


class JupyterOutput:
    """An output in Jupyter, JupyterLab, Colab, Kaggle or VS Code, which a saved notebook keeps."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Replace what is shown."""
        content = {"text/html": html, "text/plain": text}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class MarimoOutput:
    """The output of a cell in marimo."""

    def show(self, html: str, text: str) -> None:  # noqa: ARG002 - as `Output`
        """Replace what is shown."""
        marimo = sys.modules["marimo"]
        marimo.output.replace(marimo.Html(html))


def output_in(place: Place) -> Output:
    """Open an output in the cell that runs."""
    return MarimoOutput() if place == "marimo" else JupyterOutput()

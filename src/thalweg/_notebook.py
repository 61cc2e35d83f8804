"""What an object shows in a notebook, and where a notebook is: found on use, so that `import thalweg` stays light.

The HTML is made by `thalweg.notebooks`, far above the packages whose objects show it. So it is loaded by its name, as
the public names of thalweg are.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal


if TYPE_CHECKING:
    from collections.abc import Callable

Place = Literal["jupyter", "marimo"]


def shown_as(kind: str) -> Callable[[Any], str | None]:
    """Make the method `_repr_html_` of a class.

    Args:
        kind: name of the function of `thalweg.notebooks.objects` that makes its HTML.

    Returns:
        The method. It returns None, so that the notebook shows the text, where the object's own files are gone.
    """

    def _repr_html_(self: Any) -> str | None:
        return import_module("thalweg.notebooks.objects").html_of(kind, self)

    return _repr_html_


def drawn_as(kind: str) -> Callable[..., Any]:
    """The function of `thalweg.notebooks.drawings` that draws an object, loaded on first use.

    Args:
        kind: its name.
    """
    return getattr(import_module("thalweg.notebooks.drawings"), kind)


def live(place: Place) -> Any:
    """Start the live display of a training in the output of the cell that runs: a `Listener` with `close`."""
    return import_module("thalweg.notebooks.live").live_in(place)


def place() -> Place | None:
    """The kind of notebook that runs this code; None outside a notebook. Loads nothing.

    Jupyter, JupyterLab, Colab, Kaggle and VS Code all run an IPython shell with a kernel.

    Example:
        >>> place() is None
        True
    """
    shell = _asked("IPython", "get_ipython")
    if getattr(shell, "kernel", None) is not None:
        return "jupyter"
    if _asked("marimo", "running_in_notebook"):
        return "marimo"
    return None


def _asked(module: str, function: str) -> Any:
    """What a function of a module says, if somebody has loaded the module."""
    ask = getattr(sys.modules.get(module), function, None)
    return None if ask is None else ask()


def interactive() -> bool:
    """Whether a person types the lines that run: at Python's prompt or IPython's."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)

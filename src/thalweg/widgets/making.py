"""The lab and the living network for a notebook, where anywidget is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.errors import MissingExtraError
from thalweg.widgets.fields import LAB, rows_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.widgets.cells import LabCell, NetworkCell


def lab(
    surface: str = LAB["surface"],
    optimizers: Sequence[str | dict[str, Any]] | str = LAB["optimizers"],
    *,
    parameters: Mapping[str, float] | None = None,
    steps: int = LAB["steps"],
    noise: float = LAB["noise"],
    seed: int = LAB["seed"],
    start: tuple[float, float] | None = None,
) -> LabCell:
    """The lab in the cell of a notebook: a surface, and paths of optimizers over it.

    Args:
        surface: a name, or a formula in x and y.
        optimizers: one to eight names, or dictionaries of `optimizer`, `lr` and `schedule`.
        parameters: of the surface.
        steps: of each path.
        noise: standard deviation of what is added to the gradient.
        seed: of the noise.
        start: x and y.

    Returns:
        A widget. Its `settings` follow the visitor and can be set; `traces` are the paths of these settings.

    Raises:
        MissingExtraError: anywidget is not installed.
        UsageError: a setting is invalid.

    Example:
        >>> import thalweg
        >>> widget = thalweg.lab("bowl", ["adam"], steps=50)
        >>> widget.settings = {**widget.settings, "steps": 20}
        >>> [trace.steps for trace in widget.traces]
        [20]
    """
    return _cells().LabCell(
        {
            "surface": surface,
            "parameters": dict(parameters or {}),
            "optimizers": rows_of(optimizers),
            "steps": steps,
            "noise": noise,
            "seed": seed,
            "start": None if start is None else [*map(float, start)],
        }
    )


def network(**settings: Any) -> NetworkCell:
    """A network that trains in the cell of a notebook.

    Args:
        **settings: the fields of `thalweg.playground.Settings`.

    Returns:
        A widget. Its `settings` follow the visitor and can be set; `frames` returns what is drawn, as arrays.

    Raises:
        MissingExtraError: anywidget is not installed.
        UsageError: a setting is invalid.

    Example:
        >>> import thalweg
        >>> widget = thalweg.network(points="blobs", widths=(3,), count=40)
        >>> facts, arrays = widget.frames(start=0, count=3, stride=5)
        >>> arrays["step"].tolist()
        [0.0, 5.0, 10.0]
    """
    return _cells().NetworkCell(settings)


def _cells() -> Any:
    try:
        from thalweg.widgets import cells
    except ModuleNotFoundError as error:
        if error.name != "anywidget":
            raise
        raise MissingExtraError("anywidget", "notebook") from None
    return cells

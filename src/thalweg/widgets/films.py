"""A training of a network in the plane, packed into one HTML file that plays it.

The maps of each frame are written as their difference from the frame before, in bytes: neighbors in time are alike, so
that the block deflates well, and every byte comes back exactly.

Shape suffixes: F frames.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg._files import write_text
from thalweg.errors import UsageError
from thalweg.figures.player.packing import pack
from thalweg.i18n import t
from thalweg.playground.loop import Loop
from thalweg.playground.session import MOST_AHEAD, MOST_FRAMES, Session, check_work
from thalweg.playground.settings import PHOTOS, Settings
from thalweg.server.routes.network import choices_with
from thalweg.widgets.document import document_of


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LARGEST: Final = 3_000_000  # bytes of the packed frames
MOST_STEPS: Final = 4_000
_FRAMES: Final = 300  # that are kept by default, at most
_MOVING: Final = ("winner", "sure", "units", "unit_state")
_STILL: Final = ("points", "labels", "held")
_LEFT_OUT: Final = ("unit_scale", "batch_loss")  # what no picture shows
_HEIGHT: Final = 980  # pixels, in a notebook


class Film:
    """A training whose frames have been computed; in a notebook, it plays where it is shown.

    Args:
        settings: of the training.
        steps: how many to train.

    Attributes:
        settings: of the training.
        steps: the steps of the frames (F,).
        loss: over the training points, in each frame (F,).
        accuracy: the same.

    Raises:
        UsageError: the steps are beyond their limits, or the settings want photos.

    Example:
        >>> film = Film(Settings(points="blobs", widths=(3,), count=40), steps=20)
        >>> len(film.steps), film.size < 100_000
        (21, True)
    """

    def __init__(self, settings: Settings | None = None, *, steps: int = 600) -> None:
        self.settings = settings or Settings()
        _check_steps(steps)
        if self.settings.points == PHOTOS:
            raise UsageError("playground.film_photos")
        loop = Loop(self.settings)
        check_work(loop, steps)
        stride = -(-steps // _FRAMES)
        self._facts, arrays = _frames(Session(loop, steps), steps, stride)
        self._packed = _packed(arrays)
        while self.size > LARGEST and len(arrays["step"]) > 2:
            arrays = _every_second(arrays)
            self._packed = _packed(arrays)
        self.steps: NDArray[np.int64] = arrays["step"].astype(np.int64)
        self.loss, self.accuracy = arrays["loss"], arrays["accuracy"]

    @property
    def size(self) -> int:
        """Bytes of the packed frames."""
        return len(self._packed[0])

    @property
    def document(self) -> str:
        """The HTML page, in the language in force."""
        block, slots = self._packed
        choices = choices_with([])
        limits = {**choices["limits"], "steps": (0, int(self.steps[-1]))}
        catalogue = {**choices, "limits": limits, "cases": 0, "fixed": True}
        *hidden, last_layer = self._facts["layers"]
        header = {**self._facts, "layers": [*hidden, {**last_layer, "label": t("playground.output")}]}
        packed = {"catalogue": catalogue, "header": header, "moving": _MOVING, "block": block, "slots": slots}
        return document_of("network", self.title, packed)

    @property
    def title(self) -> str:
        """What is trained, in a line."""
        settings = self.settings
        return t(
            "playground.film_title",
            points=t(f"playground.choice_points_{settings.points}"),
            layers="-".join(map(str, settings.widths)) or "0",
            optimizer=settings.optimizer,
            lr=settings.lr,
        )

    def write(self, file: Path | str) -> None:
        """Write the page.

        Args:
            file: replaced whole or not at all.

        Raises:
            StorageError: the file cannot be written.
        """
        write_text(file, self.document)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, which can reach neither the notebook nor another host."""
        return (
            f'<iframe title="{html.escape(self.title)}" sandbox="allow-scripts" width="100%" height="{_HEIGHT}" '
            f'style="border: 0" srcdoc="{html.escape(self.document)}"></iframe>'
        )


def film(*, steps: int = 600, **settings: Any) -> Film:
    """Train a network in the plane, and keep what is drawn of it.

    Args:
        steps: how many to train, 1 to 4,000.
        **settings: the fields of `thalweg.playground.Settings`.

    Raises:
        UsageError: a setting is beyond its limits.

    Example:
        >>> film(points="moons", widths=(2,), count=40, steps=5).steps.tolist()
        [0, 1, 2, 3, 4, 5]
    """
    _check_steps(steps)  # before the settings, whose limit of `total` is another
    return Film(Settings(**settings), steps=steps)


def _check_steps(steps: int) -> None:
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError("playground.bad_number", name="steps", value=steps, least=1, most=MOST_STEPS)


def _frames(session: Session, steps: int, stride: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of the frames at every so many steps, and at the last."""
    wanted = [*range(0, steps, stride), steps]
    at_once = min(MOST_FRAMES, MOST_AHEAD // stride)
    facts: dict[str, Any] = {}
    parts: list[dict[str, NDArray[Any]]] = []
    for first in range(0, len(wanted) - 1, at_once):
        chosen = wanted[:-1][first : first + at_once]
        facts, arrays = session.frames(chosen[0], len(chosen), stride)
        parts.append(arrays)
    facts, arrays = session.frames(steps, 1, 1)
    parts.append(arrays)
    names = [name for name in arrays if name not in (*_STILL, *_LEFT_OUT)]
    moving = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return facts, moving | {name: arrays[name] for name in _STILL}


def _every_second(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Half the frames, with the first and the last."""
    count = len(arrays["step"])
    kept = [*range(0, count - 1, 2), count - 1]
    return {name: array if name in _STILL else array[kept] for name, array in arrays.items()}


def _packed(arrays: dict[str, NDArray[Any]]) -> tuple[str, dict[str, Any]]:
    block, slots = pack({name: _short(name, array) for name, array in arrays.items()})
    return block, dict(slots)


def _short(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if name in _MOVING and array.ndim > 1:
        before = np.concatenate([np.zeros_like(array[:1]), array[:-1]])
        return array - before  # bytes wrap around, there and back
    return array.astype(np.float32) if name.startswith("layer_") else array

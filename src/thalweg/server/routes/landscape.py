"""The landscape of a run in a player: computed by a process, which reports its progress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UnknownNameError
from thalweg.server.request import Entry
from thalweg.server.routes.diagnosis import told


if TYPE_CHECKING:
    from thalweg.runs import Run
    from thalweg.server.request import Visit

PREFIX: Final = "landscape-"
"""Of the ids of the page's elements."""

_PLANES: Final = ("trajectory", "random")
_FEWEST: Final = 3  # saved epochs that span a plane


def plane_of(run: Run, wanted: str) -> str:
    """The plane that is shown: the one that is wanted, else that of the trajectory where its epochs were saved.

    Raises:
        UnknownNameError: there is no such plane.
    """
    if wanted and wanted not in _PLANES:
        raise UnknownNameError("plane", wanted, _PLANES)
    return wanted or ("trajectory" if len(run.saved_epochs()) >= _FEWEST else "random")


def shown(values: dict[str, Any], name: str, *, squared_error: bool) -> dict[str, Any]:
    """A landscape as the page's player takes it, in the visitor's language.

    Args:
        values: from `Landscape.to_dict`.
        name: of the run.
        squared_error: whether its loss is a squared error.
    """
    from thalweg.diagnosis.landscape import Landscape
    from thalweg.figures.player.landscape import payload_of, stage_of

    found = Landscape.from_dict(values)
    scene = payload_of(found, name=name, squared_error=squared_error)
    return {"scene": scene, "stage_html": stage_of(found, name=name, prefix=PREFIX)}


async def _landscape(visit: Visit) -> dict[str, Any]:
    run = await asyncio.to_thread(lambda: visit.run)
    plane = plane_of(run, visit.query.get("plane", ""))
    answer = visit.service.diagnoses.landscape(visit.run_name, run.path, plane, waiting="waiting" in visit.query)
    found = {**told(answer), "plane": plane}
    if "landscape" in found:
        values = found.pop("landscape")
        squared_error = run.config.loss == "mse"
        found |= await asyncio.to_thread(lambda: shown(values, visit.run_name, squared_error=squared_error))
    return found


ROUTES: Final = (Entry("GET", "landscape", _landscape),)

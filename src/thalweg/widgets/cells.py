"""The widgets of a notebook: a document in a frame, whose requests the page's own handlers answer."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from thalweg.errors import UsageError
from thalweg.i18n import t
from thalweg.server.request import Form
from thalweg.server.routes import lab, network
from thalweg.widgets import fields
from thalweg.widgets.answering import answer, threads_kept, visit_of
from thalweg.widgets.document import cell, document_of


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.paths import Trace
    from thalweg.widgets.document import Tab


class Cell(anywidget.AnyWidget):
    """A tab of the page in a cell; it hears its visitor, and Python.

    Attributes:
        settings: what is drawn now, as the page sends it; set it to draw something else.
    """

    _esm = cell()
    _document = traitlets.Unicode().tag(sync=True)
    _title = traitlets.Unicode().tag(sync=True)
    _fields = traitlets.Dict().tag(sync=True)  # of the page's address, for a view that is to come
    settings = traitlets.Dict()

    def __init__(self, tab: Tab, settings: dict[str, Any]) -> None:
        title = t(f"playground.{tab}_widget")
        self._is_heard = False
        super().__init__(_document=document_of(tab, title), _title=title, settings=settings)
        self.on_msg(self._hear)

    @abstractmethod
    def _check(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings, whole; refused with a sentence if they cannot be drawn."""

    @abstractmethod
    def _address(self, settings: dict[str, Any]) -> dict[str, str | None]:
        """Settings as the fields of the page's address."""

    @abstractmethod
    def _drawn(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The settings that a request of the page has; None if it has none."""

    def _hear(self, _widget: Any, asked: Any, _buffers: Any) -> None:
        if not isinstance(asked, dict) or "path" not in asked:
            return
        status, content = answer(asked)
        self.send({"number": asked.get("number"), "view": asked.get("view"), "status": status}, buffers=[content])
        drawn = self._drawn(str(asked["path"]), json.loads(asked.get("body") or "{}")) if status == 200 else None
        if drawn is not None:
            self._is_heard = True
            try:
                self.settings = drawn
            finally:
                self._is_heard = False

    @traitlets.validate("settings")
    def _whole(self, proposal: Any) -> dict[str, Any]:
        return proposal["value"] if self._is_heard else self._check(dict(proposal["value"]))

    @traitlets.observe("settings")
    def _follow(self, change: Any) -> None:
        self._fields = self._address(change["new"])
        if not self._is_heard:
            self.send({"fields": self._fields})


class LabCell(Cell):
    """The lab in a cell.

    Attributes:
        settings: `surface`, `parameters`, `optimizers`, `steps`, `noise`, `seed`, `start`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__("lab", settings)

    @property
    def traces(self) -> list[Trace]:
        """The traces of the settings, one for each optimizer."""
        form = Form(self.settings)
        return lab.trace_all(form, lab.surface_of(form))[0]

    def _check(self, settings: dict[str, Any]) -> dict[str, Any]:
        fields.refuse_unknown(settings, fields.LAB)
        whole = {**fields.LAB, **settings}
        whole["optimizers"] = fields.rows_of(whole["optimizers"])
        if not 1 <= len(whole["optimizers"]) <= lab.MOST_OPTIMIZERS:
            raise UsageError("playground.bad_optimizers", count=len(whole["optimizers"]), most=lab.MOST_OPTIMIZERS)
        form = Form(whole)
        lab.trace_all(form, lab.surface_of(form))
        return whole

    def _address(self, settings: dict[str, Any]) -> dict[str, str | None]:
        return fields.lab_fields(settings)

    def _drawn(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if path != "lab/traces":
            return None
        given = {name: value for name, value in body.items() if name in fields.LAB and value is not None}
        return {**fields.LAB, **given, "optimizers": fields.rows_of(given.get("optimizers", []))}


class NetworkCell(Cell):
    """A network that trains, in a cell.

    Attributes:
        settings: the fields of `thalweg.playground.Settings`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__("network", settings)

    def frames(self, start: int = 0, count: int = 1, stride: int = 1) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What is drawn of the network after `start`, `start + stride`, ... steps.

        Args:
            start: the step of the first frame.
            count: number of frames.
            stride: steps between two frames.

        Returns:
            Facts, and arrays by name; each of a frame's arrays begins with the frames.

        Raises:
            UsageError: a number is beyond its limit.
        """
        asked = {"settings": self.settings, "from": start, "count": count, "stride": stride}
        with threads_kept():
            return network.frames(Form(asked), visit_of({}))

    def _check(self, settings: dict[str, Any]) -> dict[str, Any]:
        known = network.settings_of(Form({}))
        extra = {name: settings[name] for name in ("run", "of") if name in settings}
        fields.refuse_unknown(settings, {**known.values(), "run": "", "of": ""})
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
        whole = {**network.settings_of(Form(given)).values(), **extra}
        with threads_kept():  # the page's first request is ready, too
            network.frames(Form({"settings": whole, "count": 2}), visit_of({}))
        return whole

    def _address(self, settings: dict[str, Any]) -> dict[str, str | None]:
        return fields.network_fields(settings)

    def _drawn(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if path != "network/frames" or not isinstance(body.get("settings"), dict):
            return None
        found = network.settings_of(Form(body["settings"])).values()
        return found | {name: body["settings"][name] for name in ("run", "of") if name in body["settings"]}

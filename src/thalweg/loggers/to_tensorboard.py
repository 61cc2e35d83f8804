"""TensorBoard: one event file for each run, which goes on where it was cut.

A row is one record, or two if layers were measured at its step; theirs come first. What a kill left at the end is cut
off: a torn record, and those of layers without the rest of their row. So the file itself says what it has.

Source: tensorboard's own messages and writer of records, https://github.com/tensorflow/tensorboard.
"""

from __future__ import annotations

import shutil
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from thalweg.loggers.rows import LAYERS


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.loggers.account import Account
    from thalweg.loggers.logger import Facts, Outcome
    from thalweg.loggers.rows import Row

Event: Any = import_module("tensorboard.compat.proto.event_pb2").Event
Summary: Any = import_module("tensorboard.compat.proto.summary_pb2").Summary
_metadata: Any = import_module("tensorboard.plugins.text.metadata").create_summary_metadata
_Writer: Any = import_module("tensorboard.summary.writer.record_writer").RecordWriter
_tensor: Any = import_module("tensorboard.util.tensor_util").make_tensor_proto

_HEADER, _FRAME = 8, 16  # bytes: the length of a record, and what is around its content
_VERSION = "brain.Event:2"


def open_logger(place: str, account: Account, facts: Facts) -> TensorBoard:
    """Open the run's event file, below the folder, in one with the run's name; if that is taken, with its number."""
    if not account.place:
        free = not (Path(place) / facts.name).exists()
        account.place = str(Path(place) / (facts.name if free else f"{facts.name}-{account.id}"))
        account.keep()  # first, so that after a kill nobody looks for another folder
    return TensorBoard(Path(account.place), account.id, facts)


class TensorBoard:
    """An event file.

    Args:
        folder: of the run.
        number: of the run, part of the file's name.
        facts: what is told of the run.
    """

    def __init__(self, folder: Path, number: str, facts: Facts) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        known = sorted(folder.glob(f"*.tfevents.*.thalweg.{number}"))
        path = known[0] if known else folder / f"events.out.tfevents.{int(time.time()):010}.thalweg.{number}"
        self._file = path.open("r+b" if known else "x+b")
        try:
            self._step, self._texts = _whole(self._file)
        except BaseException:
            self._file.close()
            raise
        self._records = _Writer(self._file)
        if not self._file.tell():
            self._add(Event(file_version=_VERSION))
            self._add_text("run", _table({"run": facts.path, **facts.config}), 0)
            self._file.flush()

    def position(self) -> int:
        """The step of the last whole row in the file."""
        return self._step

    def send(self, rows: Sequence[Row]) -> None:
        """Write one or two records for each row."""
        for row in rows:
            layers = {name: value for name, value in row.values.items() if name.startswith(LAYERS)}
            for values in (layers, {name: value for name, value in row.values.items() if name not in layers}):
                if values:
                    scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
                    self._add(Event(step=row.step, summary=Summary(value=scalars)))
        self._file.flush()

    def attach(self, path: Path, step: int) -> None:
        """Write a picture; the report is copied beside the event file, since TensorBoard shows no pages."""
        if path.suffix != ".png":
            shutil.copyfile(path, self._folder / path.name)
            return
        with Image.open(path) as opened:
            width, height = opened.size
        image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=path.read_bytes())
        self._add(Event(step=step, summary=Summary(value=[Summary.Value(tag=f"figures/{path.stem}", image=image)])))
        self._file.flush()

    def finish(self, outcome: Outcome) -> None:
        """Write the results as a table, if there are new ones."""
        text = _table({"state": outcome.state, **outcome.results})
        if outcome.results and self._texts.get("results") != text:
            self._add_text("results", text, outcome.step)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def _add_text(self, name: str, text: str, step: int) -> None:
        tensor = _tensor(text.encode())
        value = Summary.Value(tag=name, tensor=tensor, metadata=_metadata(name, ""))
        self._texts[name] = text
        self._add(Event(step=step, summary=Summary(value=[value])))


def _whole(file: Any) -> tuple[int, dict[str, str]]:
    """Cut off what is not whole; return the step of the last row, and the texts."""
    size = file.seek(0, 2)
    at = whole = step = 0
    texts: dict[str, str] = {}
    while at + _FRAME <= size:
        file.seek(at)
        length = int.from_bytes(file.read(_HEADER), "little")
        if at + _FRAME + length > size:
            break
        file.seek(at + _FRAME - 4)
        event = Event.FromString(file.read(length))
        at += _FRAME + length
        kinds = {value.WhichOneof("value") for value in event.summary.value}
        if kinds == {"simple_value"}:
            if event.summary.value[0].tag.startswith(LAYERS):
                continue  # the rest of its row must follow
            step = max(step, event.step)
        for value in event.summary.value:
            if value.WhichOneof("value") == "tensor":
                texts[value.tag] = value.tensor.string_val[0].decode("utf-8", "replace")
        whole = at
    file.seek(whole)
    file.truncate()
    return step, texts


def _table(values: Mapping[str, Any]) -> str:
    """A table in Markdown, which TensorBoard shows."""
    rows = [f"| {name} | {f'{value:.6g}' if isinstance(value, float) else value} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])

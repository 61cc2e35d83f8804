"""Increments of histories: over a socket ten times a second, or by asking, in the same bytes.

The page says how many rows of each history it has, and gets those that came since. Where a file was cut, as a resumed
training does, it gets all of them again.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from starlette.websockets import WebSocketDisconnect

from thalweg.errors import RunError, ThalwegError, UsageError
from thalweg.history.tail import HistoryTail
from thalweg.server.asking import Form, parse_form
from thalweg.server.folder import changed, stamp
from thalweg.server.frames import frame
from thalweg.training.run import Run


if TYPE_CHECKING:
    from numpy.typing import NDArray
    from starlette.websockets import WebSocket

    from thalweg.server.folder import Folder
    from thalweg.server.trainings import Trainings

BEAT: Final = 0.1  # seconds
STREAMS: Final = ("steps", "epochs")

_LISTING: Final = 10  # beats between two looks at the folder
_MOST: Final = 16  # runs that one page follows
_LONGEST: Final = 4_096  # bytes of a message


class Feed:
    """One history for one visitor.

    Args:
        run: its name.
        stream: one of `STREAMS`.
        tail: its file.
        known: rows that the visitor has.
        batch: photos a row, where rows are steps.
    """

    def __init__(self, run: str, stream: str, tail: HistoryTail, known: int = 0, *, batch: int = 0) -> None:
        self.run, self.stream, self._tail, self._known, self._batch = run, stream, tail, known, batch
        self._latest: NDArray[np.float64] | None = None
        self._written = 0.0
        self._seen: tuple[int, int] | None = None

    def news(self) -> bytes | None:
        """A frame with the rows that came since, or None."""
        seen = stamp(self._tail.path)
        if seen is not None and seen == self._seen:
            return None  # as ten times a second nearly always: nothing is opened
        self._seen = seen
        count = len(self._tail)
        reset = count < self._known or self._was_rewritten()
        if reset:
            self._known = 0
        rows_NC = self._tail.rows(self._known)
        if not len(rows_NC) and not reset:
            return None
        header = {"run": self.run, "stream": self.stream, "first": self._known, "columns": self._tail.columns}
        header["photos_per_second"] = self._rate(len(rows_NC))
        self._known += len(rows_NC)
        self._latest = rows_NC[-1] if len(rows_NC) else None
        return frame(header, {name: rows_NC[:, place] for place, name in enumerate(self._tail.columns)})

    def _rate(self, rows: int) -> float | None:
        """Photos a second between the last two writings; None before there were two."""
        written, before = changed(self._tail.path), self._written
        self._written = written
        return self._batch * rows / (written - before) if before and written > before else None

    def _was_rewritten(self) -> bool:
        """Whether the last row that was sent is another one now."""
        if self._latest is None or not self._known:
            return False
        now_1C = self._tail.rows(self._known - 1, 1)
        return len(now_1C) == 1 and not np.array_equal(now_1C[0], self._latest, equal_nan=True)


async def follow(socket: WebSocket, folder: Folder, trainings: Trainings) -> None:
    """Serve one socket until it closes.

    The page sends `{"follow": {"run": {"steps": 120, "epochs": 2}}}`, the rows that it has; it gets frames, and the
    listing of the folder as JSON whenever that changes.
    """
    await socket.accept()
    feeds: list[Feed] = []
    listening = asyncio.create_task(_listen(socket, folder, feeds))
    listed = ""
    beat = 0
    try:
        while not listening.done():
            if beat % _LISTING == 0:
                text = await asyncio.to_thread(lambda: json.dumps(listing_of(folder, trainings)))
                if text != listed:
                    await socket.send_text(text)
                    listed = text
            for feed in feeds:
                news = feed.news()
                if news is not None:
                    await socket.send_bytes(news)
            beat += 1
            await asyncio.wait({listening}, timeout=BEAT)
        listening.result()
    except (WebSocketDisconnect, RuntimeError):  # closed, also in the middle of a sending
        return
    finally:
        listening.cancel()


def listing_of(folder: Folder, trainings: Trainings) -> dict[str, Any]:
    """The runs of the folder, and the trainings that this server has started: those that prepare photos train, too."""
    started = trainings.listing()
    going = {one["run"] for one in started if one["goes_on"]}
    runs = [{**row, "state": "training"} if row["run"] in going else row for row in folder.listing()]
    return {"runs": runs, "trainings": started}


async def _listen(socket: WebSocket, folder: Folder, feeds: list[Feed]) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        content = message.get("text") or message.get("bytes") or ""
        try:
            if len(content) > _LONGEST:
                raise UsageError("page.too_long", most=f"{_LONGEST:,}")
            feeds[:] = feeds_of(parse_form(content), folder)
        except ThalwegError as error:
            await socket.send_text(json.dumps({"error": {"code": error.key, "message": str(error)}}))


def feeds_of(form: Form, folder: Folder) -> list[Feed]:
    """What a message asks to follow.

    Raises:
        UsageError: no such message.
    """
    wanted = form.values.get("follow")
    if not isinstance(wanted, dict) or len(wanted) > _MOST:
        form.refuse("follow")
    feeds = []
    for name, known in wanted.items():
        try:
            path = folder.path(str(name))
            batch = Run.open(path).config.batch_size
        except RunError:  # one that is gone, or not there yet, is no reason to leave the others out
            continue
        rows = Form(known if isinstance(known, dict) else {})
        for stream in STREAMS:
            count = rows.whole(stream, least=0, most=2**53, default=0)
            feeds.append(Feed(name, stream, HistoryTail(path / "history" / stream), count, batch=batch))
    return feeds

"""New rows of histories: over a socket ten times per second, or on request, in the same format.

The page sends its number of rows of each history and gets the later ones. After a resumed run has cut a file, the page
gets all rows again. Of a long history it gets pairs of rows, the extremes of a block, and more of a part on request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import numpy as np
from starlette.websockets import WebSocketDisconnect

from thalweg.errors import RunError, ThalwegError, UsageError
from thalweg.history.overview import Cut, Overview
from thalweg.history.tail import HistoryTail
from thalweg.runs import RunFolder, files
from thalweg.runs.folder import number
from thalweg.server.answers import error_of, frame, json_text
from thalweg.server.request import Form, parse_form
from thalweg.server.run_index import changed, stamp


if TYPE_CHECKING:
    from numpy.typing import NDArray
    from starlette.websockets import WebSocket

    from thalweg.server.request import Service
    from thalweg.server.run_index import RunIndex

BEAT: Final = 0.1  # seconds
STREAMS: Final = {"steps": files.STEPS, "epochs": files.EPOCHS, "processes": files.PROCESSES}

_LISTING: Final = 10  # beats between two listings of the folder
_MOST: Final = 16  # runs that one page may follow
_LONGEST: Final = 4_096  # bytes of a message


class Feed:
    """A history that one visitor follows.

    Args:
        run: the run's name.
        stream: one of `STREAMS`.
        tail: the history's file.
        known: number of rows that the visitor has.
        per: rows of the history that each pair of them stands for; 1: they are its own rows.
        batch: photos per row, if rows are steps.
    """

    def __init__(
        self, run: str, stream: str, tail: HistoryTail, known: int = 0, *, per: int = 1, batch: int = 0
    ) -> None:
        self.run, self.stream, self._tail, self._batch = run, stream, tail, batch
        blocks = max(0, known // 2 - 1)  # that are full for sure: the last pair's may have been growing
        self._known, self._per = known if per == 1 else 2 * blocks, per
        self._rows = known if per == 1 else blocks * per  # of the history, at least
        self._latest: NDArray[np.float64] | None = None
        self._written = 0.0
        self._seen: tuple[int, int] | None = None

    def news(self) -> bytes | None:
        """A frame with the new rows, or None if there are none."""
        seen = stamp(self._tail.path)
        if seen is not None and seen == self._seen:
            return None  # the common case, ten times per second: no file is opened
        self._seen = seen
        count = len(self._tail)  # it may grow while it is read: what comes later is for the next frame
        reset = count < self._rows or self._was_rewritten()
        known = 0 if reset else self._known
        mixed = self.stream == "processes"  # rows of several, of which no extremes are one line's
        if mixed:
            cut = Cut(1, known, self._tail.rows(known, count - known), count)
        else:
            cut = Overview(self._tail).whole(known, self._per, count)
        if count == self._rows and not reset and cut.per == self._per:
            return None
        header = {"run": self.run, "stream": self.stream, "first": cut.first, "per": cut.per}
        header |= {"columns": self._tail.columns, "photos_per_second": self._rate(count - self._rows)}
        self._rows, self._known, self._per = count, cut.settled, cut.per
        last_NC = self._tail.rows(max(0, count - 1), 1)
        self._latest = last_NC[0] if len(last_NC) else None  # none if a resumed run has cut the file meanwhile
        return frame(header, columns_of(self._tail, cut.rows_NC))

    def _rate(self, rows: int) -> float | None:
        """Photos per second between the last two writes; None before the second write."""
        written, before = changed(self._tail.path), self._written
        self._written = written
        return self._batch * rows / (written - before) if before and written > before else None

    def _was_rewritten(self) -> bool:
        """Whether the last row sent has changed."""
        if self._latest is None or not self._rows:
            return False
        now_1C = self._tail.rows(self._rows - 1, 1)
        return len(now_1C) == 1 and not np.array_equal(now_1C[0], self._latest, equal_nan=True)


async def follow(socket: WebSocket, service: Service) -> None:
    """Serve one socket until it closes.

    The page sends its numbers of rows, `{"follow": {"run": {"steps": 120, "epochs": 2, "processes": 0}}}`. It gets
    frames, and the listing of the folder as JSON whenever the listing changes.
    """
    await socket.accept()
    feeds: list[Feed] = []
    listening = asyncio.create_task(_listen(socket, service.index, feeds))
    listed = ""
    beat = 0
    try:
        while not listening.done():
            if beat % _LISTING == 0:
                text = await asyncio.to_thread(lambda: json_text(service.listing()))
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
    except (WebSocketDisconnect, RuntimeError):  # the socket closed, perhaps while sending
        return
    finally:
        listening.cancel()


async def _listen(socket: WebSocket, index: RunIndex, feeds: list[Feed]) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        content = message.get("text") or message.get("bytes") or ""
        try:
            if len(content) > _LONGEST:
                raise UsageError("page.too_long", most=f"{_LONGEST:,}")
            feeds[:] = feeds_of(parse_form(content), index)
        except ThalwegError as error:
            await socket.send_text(json_text(error_of(error)))


def feeds_of(form: Form, index: RunIndex) -> list[Feed]:
    """The histories that a message requests.

    Raises:
        UsageError: the message is invalid.
    """
    wanted = form.values.get("follow")
    if not isinstance(wanted, dict) or len(wanted) > _MOST:
        form.refuse("follow")
    feeds = []
    for name, known in wanted.items():
        try:
            path = index.path(str(name))
        except RunError:  # a run that is gone or does not exist yet must not block the others
            continue
        batch = number(RunFolder(path).training.get("batch_size")) or 0  # the charts of a damaged run are drawn, too
        rows = Form(known if isinstance(known, dict) else {})
        for stream, file in STREAMS.items():
            count = rows.whole(stream, least=0, most=2**53, default=0)
            per = rows.whole(f"{stream}_per", least=1, most=2**53, default=1)
            feeds.append(Feed(name, stream, HistoryTail(path / file), count, per=per, batch=int(batch)))
    return feeds


def columns_of(tail: HistoryTail, rows_NC: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Rows of a history as a frame has them."""
    return {name: rows_NC[:, place] for place, name in enumerate(tail.columns)}

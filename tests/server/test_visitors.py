"""Twenty visitors at once on a run that trains: each gets every row, once and exact."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import uvicorn
from websockets.asyncio.client import connect

from thalweg.history import HistoryLog
from thalweg.runs.files import STEP_UNITS
from thalweg.server import build_app
from thalweg.server.answers import read_frame


VISITORS = 20


def test_twenty_visitors_get_every_row(folder, step_rows):
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build_app(folder), log_level="warning", ws="websockets-sansio"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    writing = threading.Thread(target=_train, args=(folder / "first" / "history" / "steps", step_rows))
    serving.start()
    writing.start()
    try:
        # a thread of its own: a browser test before this one may have left its event loop running in this one
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(lambda: asyncio.run(_all(port))).result()
    finally:
        writing.join()
        server.should_exit = True
        serving.join()
        bound.close()
    wanted = step_rows(1_100)
    assert len(found) == VISITORS
    for rows in found:
        np.testing.assert_array_equal(rows, wanted)


def _train(path, step_rows):
    """A thousand steps in twenty writings, after the hundred that are there."""
    with HistoryLog(path, STEP_UNITS) as log:
        for first in range(100, 1_100, 50):
            log.extend(step_rows(50, first))
            time.sleep(0.05)


async def _all(port):
    return await asyncio.gather(*(_visit(port) for _ in range(VISITORS)))


async def _visit(port):
    rows = np.empty((0, len(STEP_UNITS)))
    async with connect(f"ws://127.0.0.1:{port}/api/live", origin=f"http://127.0.0.1:{port}", proxy=None) as live:
        await live.send(json.dumps({"follow": {"first": {}}}))
        while len(rows) < 1_100:
            message = await asyncio.wait_for(live.recv(), 60)
            if isinstance(message, str):
                continue
            header, arrays = read_frame(message)
            if header["stream"] == "steps":
                assert header["first"] == len(rows)
                rows = np.concatenate([rows, np.stack([arrays[name] for name in header["columns"]], axis=1)])
    return rows

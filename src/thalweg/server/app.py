"""The routes, put together.

A handler is a function of a `Visit` that gives a dictionary (JSON), a pair of facts and arrays (a frame), or the bytes
of a PNG. What it raises on purpose becomes its sentence, with a status that says whose fault it is.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from thalweg.errors import DataError, RunError, ThalwegError, UsageError
from thalweg.server import tabs
from thalweg.server.folder import Folder
from thalweg.server.front import PLAYER, STATIC, index
from thalweg.server.live import follow
from thalweg.server.safety import Guard
from thalweg.server.trainings import Trainings
from thalweg.server.verdicts import Proofs


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.websockets import WebSocket

_STATUS: Final = ((UsageError, 400), (RunError, 404), (DataError, 422))


@dataclass(frozen=True, slots=True)
class Service:
    """What all handlers share.

    Attributes:
        folder: that is served.
        trainings: that were started here.
        proofs: that were started here.
        networks: the thread in which networks work, one visitor's after the other's.
    """

    folder: Folder
    trainings: Trainings
    proofs: Proofs
    networks: ThreadPoolExecutor


def build_app(
    root: Path, *, token: str | None = None, host: str = "", photos: Sequence[Path] = (), warm: bool = False
) -> Starlette:
    """The page as an ASGI application.

    Args:
        root: the folder with the runs.
        token: what visitors must know; None: only those on this machine are answered.
        host: a name of this machine that visitors are told, if it is no address.
        photos: folders that a training may be started on, besides `builtin` and those of the runs that are there.
        warm: load what the first tab needs before it is asked.
    """
    folder = Folder(root)
    service = Service(folder, Trainings(folder, photos), Proofs(), ThreadPoolExecutor(1, "networks"))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(asyncio.to_thread(tabs.warm_up)) if warm else None
        yield
        if warming is not None:
            await warming
        await service.proofs.end()
        await service.trainings.end()
        service.networks.shutdown(wait=False, cancel_futures=True)

    async def live(socket: WebSocket) -> None:
        await follow(socket, service.folder, service.trainings)

    routes = [
        Route("/", index),
        *(
            Route(f"/api/{path}", _endpoint(handler, service), methods=[method])
            for (method, path), handler in tabs.HANDLERS.items()
        ),
        WebSocketRoute("/api/live", live),
        Mount("/static", StaticFiles(directory=STATIC)),
        Mount("/player", StaticFiles(directory=PLAYER)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token, host=host)], lifespan=lifespan)


def _endpoint(handler: Callable[..., Any], service: Service) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            visit = await tabs.Visit.of(request, service, handler)
            if inspect.iscoroutinefunction(handler):
                return answer_of(await handler(visit))
            line = service.networks if handler in tabs.ONE_BY_ONE else None
            work = partial(copy_context().run, handler, visit)  # the language goes with it
            return answer_of(await asyncio.get_running_loop().run_in_executor(line, work))
        except ThalwegError as error:
            return refusal_of(error)

    return endpoint


def answer_of(found: Any) -> Response:
    """JSON, a frame or a picture."""
    from thalweg.server.frames import frame

    if isinstance(found, tuple):
        return Response(frame(*found), media_type="application/octet-stream")
    if isinstance(found, bytes):
        return Response(found, media_type="image/png", headers={"cache-control": "private, max-age=600"})
    return JSONResponse(found)


def refusal_of(error: ThalwegError) -> JSONResponse:
    """An error as its sentence, and a status."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 409)
    return JSONResponse({"error": {"code": error.key, "message": str(error)}}, status)

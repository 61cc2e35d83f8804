"""The page as an application: the routes of all tabs behind the middleware that decides which requests to answer."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from thalweg.errors import ThalwegError
from thalweg.server.answers import answer_of, refusal_of
from thalweg.server.diagnoses import Diagnoses
from thalweg.server.index import index
from thalweg.server.middleware import Guard
from thalweg.server.processes import Trainings
from thalweg.server.request import Service, Visit, read_body
from thalweg.server.routes import (
    classify,
    diagnosis,
    embeddings,
    lab,
    landscape,
    lessons,
    losses,
    network,
    review,
    runs,
    scores,
    trainings,
)
from thalweg.server.run_index import RunIndex
from thalweg.server.scripts import PLAYER, STATIC, script
from thalweg.server.websocket import follow


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from thalweg.server.request import Entry

_TABS: Final = (
    *(lab, network, losses, lessons, runs, scores),
    *(embeddings, classify, diagnosis, landscape, review, trainings),
)

ROUTES: Final[tuple[Entry, ...]] = tuple(entry for tab in _TABS for entry in tab.ROUTES)


def build_app(
    root: Path,
    *,
    token: str | None = None,
    host: str = "",
    photos: Sequence[Path] = (),
    trainings: int = 1,
    warm: bool = False,
) -> Starlette:
    """Make the page's ASGI application.

    Args:
        root: the folder with the runs.
        token: the token that visitors need; None: only visitors on this machine get answers.
        host: the machine's name in the visitors' address, if it is not an IP address.
        photos: folders that a training run may be started on, besides the built-in set and those of existing runs.
        trainings: number of training runs that the page may run at the same time.
        warm: load the data of the first tab in advance.
    """
    service = Service(
        index=RunIndex(root),
        trainings=Trainings(trainings),
        diagnoses=Diagnoses(),
        network_thread=ThreadPoolExecutor(1, "networks"),
        photos=photos,
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(asyncio.to_thread(lab.warm_up)) if warm else None
        yield
        if warming is not None:
            await warming
        await service.diagnoses.end()
        await service.trainings.end()
        service.network_thread.shutdown(wait=False, cancel_futures=True)

    async def live(socket: WebSocket) -> None:
        await follow(socket, service)

    routes = [
        Route("/", index),
        *(Route(f"/api/{entry.path}", _endpoint(entry, service), methods=[entry.method]) for entry in ROUTES),
        WebSocketRoute("/api/live", live),
        *(Route(f"/{home}/{{name}}.{ending}", script) for home in ("static", "player") for ending in ("js", "css")),
        Mount("/static", StaticFiles(directory=STATIC)),
        Mount("/player", StaticFiles(directory=PLAYER)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token, host=host)], lifespan=lifespan)


def _endpoint(entry: Entry, service: Service) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            visit = Visit(service, dict(request.query_params), await read_body(request, entry.longest))
            if inspect.iscoroutinefunction(entry.handler):
                return answer_of(await entry.handler(visit))
            thread = service.network_thread if entry.needs_network else None
            context, loop = copy_context(), asyncio.get_running_loop()  # the context has the visitor's language
            return answer_of(await loop.run_in_executor(thread, lambda: context.run(entry.handler, visit)))
        except ThalwegError as error:
            return refusal_of(error)

    return endpoint

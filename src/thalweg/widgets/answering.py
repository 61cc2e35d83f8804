"""What a cell of a notebook asks, answered by the handlers of the page's own routes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import ThalwegError, UsageError
from thalweg.i18n import LANGUAGES, speaking
from thalweg.server.answers import answer_of, refusal_of
from thalweg.server.diagnoses import Diagnoses
from thalweg.server.processes import Trainings
from thalweg.server.request import Service, Visit
from thalweg.server.routes import lab, network
from thalweg.server.run_index import RunIndex


if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTRIES: Final = {(entry.method, entry.path): entry for entry in (*lab.ROUTES, *network.ROUTES)}
_RUNS: Final = Path("runs")  # whose photos a network may take


def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
    """The status and the content that the page's server would answer with.

    Args:
        asked: `method`, `path` below `/api/`, `query` and `body`.

    Example:
        >>> status, content = answer({"method": "GET", "path": "lab", "query": {"lang": "en"}})
        >>> status, content[:14]
        (200, b'{"surfaces": [')
    """
    with threads_kept() if str(asked.get("path")).startswith("network") else nullcontext():
        response = _response(asked)
    return response.status_code, bytes(response.body)


def visit_of(query: dict[str, str], body: bytes = b"") -> Visit:
    """A visit as the page's handlers get it."""
    return Visit(_service(), query, body)


def _response(asked: dict[str, Any]) -> Any:
    query = {str(name): str(value) for name, value in dict(asked.get("query") or {}).items()}
    body = str(asked.get("body") or "").encode(errors="replace")
    language = query.get("lang")
    with speaking(language if language in LANGUAGES else None):
        try:
            entry = _ENTRIES.get((str(asked.get("method")), str(asked.get("path"))))
            if entry is None:
                raise UsageError("page.bad_field", name="path", value=str(asked.get("path"))[:80])
            if len(body) > entry.longest:
                raise UsageError("page.too_long", most=f"{entry.longest:,}")
            return answer_of(entry.handler(visit_of(query, body)))
        except ThalwegError as error:
            return refusal_of(error)


@cache
def _service() -> Service:
    return Service(
        index=RunIndex(_RUNS),
        trainings=Trainings(1),
        diagnoses=Diagnoses(),
        network_thread=ThreadPoolExecutor(1, "networks"),
    )


@contextmanager
def threads_kept() -> Iterator[None]:
    """The page's handlers of networks spare the processor; a notebook's own training keeps the threads it has."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)

"""What each tab of the page asks, and who answers. Heavy modules are loaded when they are first asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UsageError
from thalweg.server import trainings
from thalweg.server.asking import LARGEST_PHOTO, LONGEST_FORM, Form, parse_form, read_body
from thalweg.server.live import STREAMS, Feed, listing_of
from thalweg.server.verdicts import verdict


if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from thalweg.server.app import Service
    from thalweg.training import Run


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, read.

    Attributes:
        service: what all handlers share.
        query: of the address.
        body: of a request that sends something.
    """

    service: Service
    query: dict[str, str]
    body: bytes

    @classmethod
    async def of(cls, request: Request, service: Service, handler: Callable[..., Any]) -> Visit:
        """Read a request, no longer than its handler takes.

        Raises:
            UsageError: it is longer.
        """
        most = LARGEST_PHOTO if handler is _classify else LONGEST_FORM
        return cls(service, dict(request.query_params), await read_body(request, most))

    @property
    def form(self) -> Form:
        """The JSON object that was sent."""
        return parse_form(self.body)

    @property
    def run(self) -> Run:
        """The run that the address names."""
        return self.service.folder.run(self.query.get("run", ""))

    def whole(self, name: str, *, most: int = 2**31) -> int:
        """A whole number of the address."""
        text = self.query.get(name, "0")
        if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) > most:
            raise UsageError("page.bad_field", name=name, value=text[:80])
        return int(text)


def warm_up() -> None:
    """Load what the lab needs, and compile its first surface: seconds that the first visitor need not wait."""
    from thalweg.server import lab

    form = Form({"surface": "valley", "rules": [{"rule": "sgd"}, {"rule": "adam"}], "steps": 100})
    lab.ground(form)
    lab.paths(form)


def _lab(_visit: Visit) -> Any:
    from thalweg.server import lab

    return lab.catalogue()


def _ground(visit: Visit) -> Any:
    from thalweg.server import lab

    return lab.ground(visit.form)


def _paths(visit: Visit) -> Any:
    from thalweg.server import lab

    return lab.paths(visit.form)


def _losses(visit: Visit) -> Any:
    from thalweg.server import losses

    return losses.both(visit.form)


def _schedule(visit: Visit) -> Any:
    """The factors of a schedule, by the function that trains, at no more than 400 steps."""
    import numpy as np

    from thalweg import schedules

    steps = max(1, visit.whole("steps", most=2_000_000))
    factor_S = schedules.factors(schedules.parse(visit.query.get("spec", "constant")[:2000]), steps)
    places_K = np.unique(np.linspace(0, steps - 1, min(steps, 400)).astype(np.int64))
    return {}, {"steps": places_K.astype(np.float64), "factor": factor_S[places_K]}


def _lessons(_visit: Visit) -> Any:
    from thalweg.server import tour

    return {"lessons": tour.listing()}


def _lesson(visit: Visit) -> Any:
    from thalweg.server import tour

    return tour.lesson(visit.query.get("name", ""))


def _lesson_picture(visit: Visit) -> Any:
    from thalweg.server import tour

    return tour.picture(visit.query.get("name", ""))


def _runs(visit: Visit) -> Any:
    return listing_of(visit.service.folder, visit.service.trainings)


def _rows(visit: Visit) -> Any:
    """What the socket sends, for whoever has none."""
    from thalweg.history.tail import HistoryTail
    from thalweg.server.frames import read_frame

    stream = visit.query.get("stream", "steps")
    if stream not in STREAMS:
        raise UsageError("page.bad_field", name="stream", value=stream[:80])
    tail = HistoryTail(visit.run.path / "history" / stream)
    news = Feed(visit.query["run"], stream, tail, visit.whole("since")).news()
    return read_frame(news) if news else ({"run": visit.query["run"], "stream": stream, "columns": []}, {})


def _scores(visit: Visit) -> Any:
    from thalweg.server import scores

    return scores.scores(visit.run)


def _layers(visit: Visit) -> Any:
    from thalweg.server import layers

    return layers.update_ratios(visit.run)


def _embedding(visit: Visit) -> Any:
    from thalweg.server import embeddings

    return embeddings.embedding(visit.run, visit.query.get("at", "best"))


def _photo(visit: Visit) -> Any:
    from thalweg.server import classify

    return classify.png(classify.photo(visit.run, visit.whole("row"))[0], side=visit.whole("side", most=512) or 112)


def _classify(visit: Visit) -> Any:
    from thalweg.server import classify

    return classify.classify(visit.run, visit.body)


def _classify_own(visit: Visit) -> Any:
    from thalweg.server import classify

    return classify.classify_own(visit.run, visit.whole("row"))


def _verdict(visit: Visit) -> Any:
    return verdict(visit.run.path)


async def _prove(visit: Visit) -> Any:
    name = visit.query.get("run", "")
    return visit.service.proofs.start(name, visit.service.folder.path(name), visit.form.text("remedy", longest=40))


def _proof(visit: Visit) -> Any:
    return visit.service.proofs.standing(visit.query.get("run", ""))


def _form(visit: Visit) -> Any:
    return trainings.form_facts(visit.service.trainings.sources())


def _command(visit: Visit) -> Any:
    return {"command": visit.service.trainings.command(visit.form)}


async def _start(visit: Visit) -> Any:
    started = await visit.service.trainings.start(visit.form)
    return {"run": started.run, "command": started.command}


async def _resume(visit: Visit) -> Any:
    started = await visit.service.trainings.resume(visit.form.text("run"))
    return {"run": started.run, "command": started.command}


def _stop(visit: Visit) -> Any:
    name = visit.form.text("run")
    visit.service.trainings.stop(name)
    return {"run": name}


# What asks a network, or waits for one: in a line of their own, so that a slow one holds up none of the others.
ONE_BY_ONE: Final = frozenset({_scores, _embedding, _photo, _classify, _classify_own, _verdict})

HANDLERS: Final[dict[tuple[str, str], Callable[[Visit], Any]]] = {
    ("GET", "lab"): _lab,
    ("POST", "lab/ground"): _ground,
    ("POST", "lab/paths"): _paths,
    ("POST", "losses"): _losses,
    ("GET", "schedule"): _schedule,
    ("GET", "lessons"): _lessons,
    ("GET", "lesson"): _lesson,
    ("GET", "lesson/picture"): _lesson_picture,
    ("GET", "runs"): _runs,
    ("GET", "rows"): _rows,
    ("GET", "scores"): _scores,
    ("GET", "layers"): _layers,
    ("GET", "embedding"): _embedding,
    ("GET", "photo"): _photo,
    ("POST", "classify"): _classify,
    ("POST", "classify/own"): _classify_own,
    ("GET", "verdict"): _verdict,
    ("POST", "proof"): _prove,
    ("GET", "proof"): _proof,
    ("GET", "trainings/form"): _form,
    ("POST", "trainings/command"): _command,
    ("POST", "trainings"): _start,
    ("POST", "trainings/resume"): _resume,
    ("POST", "trainings/stop"): _stop,
}

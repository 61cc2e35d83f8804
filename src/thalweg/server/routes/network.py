"""A network in the plane that trains before one's eyes, and *guess the cause*."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.errors import RunError, ThalwegError
from thalweg.i18n import t
from thalweg.server.model_cache import Recent, at_a_time, key_of, outputs_of, photos_of, spare_the_processor
from thalweg.server.request import Entry, Form
from thalweg.server.routes.diagnosis import shown


if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from thalweg.data import Cache
    from thalweg.playground.case import Case
    from thalweg.playground.loop import Loop
    from thalweg.playground.points import Points
    from thalweg.playground.session import Session, Sessions
    from thalweg.playground.settings import Settings
    from thalweg.server.request import Visit
    from thalweg.server.routes.lab import Frame

COMPONENTS: Final = ("pixels", "features")  # of photos
MOST_WATCHED: Final = 1_000  # steps of one's own network under the diagnosis
_LONGEST: Final = 2**18  # bytes of a form: a thousand drawn points
_FAR: Final = 2**53  # where whole numbers end to be exact
_SMALLEST_SIDE: Final = 32  # pixels of photos, as components see them

_points = Recent(4)


@cache
def _sessions() -> Sessions:
    from thalweg.playground.session import Sessions

    return Sessions()


def choices(visit: Visit) -> dict[str, Any]:
    """The names, labels, defaults and limits of all settings, and what can be guessed."""
    return choices_with([row["run"] for row in visit.service.index.listing()])


def choices_with(photos: Sequence[str]) -> dict[str, Any]:
    """The same, with the runs whose photos can be points."""
    from thalweg import schedules
    from thalweg.diagnosis.verdict import CODES
    from thalweg.playground import session, settings
    from thalweg.playground.case import SEEDS
    from thalweg.playground.network import RATES
    from thalweg.playground.presets.catalogue import CASES

    fields = [*settings.Settings().values(), "run", "of"]
    presented = {case.code for case in CASES}
    causes = [(code, t(f"diagnosis.verdict_{code}_title")) for code in CODES if code in presented]
    return {
        "choices": {
            name: [
                [choice, choice if name == "optimizer" else t(f"playground.choice_{name}_{choice}")] for choice in known
            ]
            for name, known in {**settings.CHOICES, "of": COMPONENTS}.items()
        },
        "schedules": list(schedules.names()),
        "rates": RATES,
        "fields": {name: t(f"playground.field_{name}") for name in fields},
        "defaults": {**settings.Settings().values(), "run": "", "of": COMPONENTS[0]},
        "limits": {
            **settings.LIMITS,
            "layers": (0, settings.MOST_LAYERS),
            "width": (1, settings.WIDEST),
            "drawn": (settings.FEWEST_DRAWN, settings.MOST_DRAWN),
            "steps": (0, session.MOST_STEPS),
            "frames": (1, session.MOST_FRAMES),
            "stride": (1, session.LONGEST_STRIDE),
        },
        "photos": list(photos),
        "cases": len(CASES),
        "case_seeds": SEEDS,
        "causes": sorted(causes, key=lambda cause: cause[1]),
    }


def settings_of(form: Form) -> Settings:
    """The settings of a form; missing fields have their defaults.

    Raises:
        UsageError: a field is invalid.
    """
    from thalweg.playground import settings

    plain = settings.Settings()
    values: dict[str, Any] = {
        name: form.choice(name, name, known, default=getattr(plain, name)) for name, known in settings.CHOICES.items()
    }
    for name in settings.LIMITS:
        default = getattr(plain, name)
        # the settings themselves know the limits
        whole = isinstance(default, int)
        values[name] = (
            form.whole(name, least=-_FAR, most=_FAR, default=default) if whole else form.number(name, default=default)
        )
    values["schedule"] = form.text("schedule", longest=400, default=plain.schedule) or plain.schedule
    values["widths"] = tuple(
        map(int, _numbers(form, "widths", list(plain.widths), most=settings.MOST_LAYERS, whole=True))
    )
    if values["points"] == settings.DRAWN:
        points = form.values.get("drawn")
        if not isinstance(points, list) or len(points) > settings.MOST_DRAWN:
            form.refuse("drawn")
        rows = [_numbers(Form({"drawn": point}), "drawn", None, most=3) for point in points]
        values["drawn"] = tuple((*row[:2], _label(row)) for row in rows)
    return settings.Settings(**values)


def frames(form: Form, visit: Visit) -> Frame:
    """Frames of a network, or of a case.

    Raises:
        UsageError: a field is invalid.
        RunError: there is no such run.
    """
    spare_the_processor()
    start = form.whole("from", least=0, most=2**31, default=0)
    count = form.whole("count", least=1, most=2**31, default=1)
    stride = form.whole("stride", least=1, most=2**31, default=1)
    with_sharpness = form.values.get("sharpness", True) is not False
    if "case" not in form.values:
        return _own_session(form, visit).frames(start, count, stride, with_sharpness=with_sharpness)
    number, case, seed = _case_of(form)
    repaired = form.values.get("repaired") is True
    found = _sessions().get(
        (number, seed, repaired), lambda: _session(case.loop(seed, repaired=repaired), case, repaired)
    )
    header, arrays = found.frames(start, count, stride, with_sharpness=with_sharpness)
    total = case.steps_of(repaired=repaired)
    return {**header, "case": {"number": number, "seed": seed, "repaired": repaired, "total": total}}, arrays


def diagnose(form: Form, visit: Visit) -> dict[str, Any]:
    """The verdict on a case, with the truth; or on a network of one's own.

    Raises:
        UsageError: a field is invalid.
        RunError: there is no such run.
    """
    from thalweg.playground import asking
    from thalweg.playground.session import check_work

    spare_the_processor()
    if "case" not in form.values:
        steps = form.whole("steps", least=1, most=MOST_WATCHED, default=200)
        settings = settings_of(_settings_form(form))
        loop = _loop(settings, form, visit)
        check_work(loop, steps)
        verdict = asking.diagnose(loop, steps)
        truth: dict[str, Any] = {"right": None, "cause": None, "title": "", "about": "", "settings": settings.values()}
    else:
        from thalweg.diagnosis.verdict import CODES

        _, case, seed = _case_of(form)
        guess = form.choice("guess", "choice", ("", *CODES), default="")
        verdict = asking.diagnose_case(case, seed)
        truth = {
            "right": guess == case.code if guess else None,
            "cause": case.code,
            "title": t(f"diagnosis.verdict_{case.code}_title"),
            "about": case.about,
            "settings": {**case.settings.values(), "seed": seed},
        }
    return {**truth, "verdict": shown(verdict.to_dict()), "text": verdict.explain()}


def compare(form: Form) -> dict[str, Any]:
    """A case beside its repaired twin.

    Raises:
        UsageError: a field is invalid.
    """
    from thalweg.playground import asking

    spare_the_processor()
    _, case, seed = _case_of(form)
    found = asking.compare(case, seed)
    before, after = asdict(found.before), None if found.after is None else asdict(found.after)
    return {
        "about": case.changed if after else found.text,
        "before": before,
        "after": after,
        "helped": found.helped,
        "text": found.text,
    }


def hint(form: Form) -> dict[str, Any]:
    """Where to look.

    Raises:
        UsageError: there is no such case.
    """
    return {"hint": _case_of(form)[1].hint}


@at_a_time
def photo_points_of(visit: Visit, name: str, components: str) -> tuple[Hashable, Points]:
    """Photos of a run through two components, computed once, and a key of them.

    Raises:
        RunError: there is no such run, it has no weights whose features could be taken, or its photos have changed.
        DataError: the photos are gone.
    """
    from thalweg.playground.points import photo_points
    from thalweg.runs import files

    run = visit.service.index.run(name)
    if run.task.several:
        raise RunError("page.points_several", run=run.path.name)
    if components == "features":
        outputs, key = outputs_of(run, files.BEST), key_of(run, files.BEST)
        return key, _points.get(key, lambda: photo_points(outputs["top"], outputs["labels"], run.classes))
    photos = photos_of(run)
    pixels = photos.fingerprint, tuple(run.classes)
    return pixels, _points.get(pixels, lambda: _pixel_points(photos, run.classes))


def _pixel_points(photos: Cache, classes: tuple[str, ...]) -> Points:
    """At most 500 photos through the two principal components of their pixels."""
    from thalweg.playground.points import MOST_PHOTOS, photo_points

    labels_N = np.concatenate([photos.labels("train"), photos.labels("valid")])
    rows_N = np.concatenate([photos.rows("train"), photos.rows("valid")])[labels_N >= 0]
    labels_N = labels_N[labels_N >= 0]
    chosen_N = np.sort(np.random.default_rng(0).permutation(len(rows_N))[:MOST_PHOTOS])
    every = max(1, photos.size // _SMALLEST_SIDE)
    pixels_NF = photos.images_NHWC[rows_N[chosen_N], ::every, ::every].reshape(len(chosen_N), -1)
    return photo_points(pixels_NF / 255, labels_N[chosen_N], classes)


def _own_session(form: Form, visit: Visit) -> Session:
    settings = settings_of(_settings_form(form))
    if settings.points == "photos":
        source, photos = _photos(form, visit)
        return _sessions().get((settings, source), lambda: _session_of(settings, photos))
    return _sessions().get(settings, lambda: _session_of(settings, None))


def _session_of(settings: Settings, photos: Points | None) -> Session:
    from thalweg.playground.loop import Loop
    from thalweg.playground.session import Session

    return Session(Loop(settings, photos=photos))


def _session(loop: Loop, case: Case, repaired: bool) -> Session:  # noqa: FBT001 - as the form says
    from thalweg.playground.session import Session

    return Session(loop, case.steps_of(repaired=repaired))


def _loop(settings: Settings, form: Form, visit: Visit) -> Loop:
    from thalweg.playground.loop import Loop

    return Loop(settings, photos=_photos(form, visit)[1] if settings.points == "photos" else None)


def _photos(form: Form, visit: Visit) -> tuple[Hashable, Points]:
    given = _settings_form(form)
    components = given.choice("of", "choice", COMPONENTS, default=COMPONENTS[0])
    name = given.text("run", longest=400, default="")
    key, points = photo_points_of(visit, name, components)
    return (key, components), points


def _case_of(form: Form) -> tuple[int, Case, int]:
    from thalweg.playground.presets.catalogue import case_of

    number = form.whole("case", least=0, most=2**31)
    return number, case_of(number), form.whole("seed", least=0, most=2**31, default=0)


def _settings_form(form: Form) -> Form:
    given = form.values.get("settings", {})
    if not isinstance(given, dict):
        form.refuse("settings")
    return Form(given)


def _numbers(form: Form, name: str, default: list[int] | None, *, most: int, whole: bool = False) -> list[float]:
    value = form.values.get(name, default)
    if not isinstance(value, list) or len(value) > most:
        form.refuse(name)
    numbered = Form({str(place): number for place, number in enumerate(value)})
    try:
        return [
            numbered.whole(place, least=0, most=2**31) if whole else numbered.number(place) for place in numbered.values
        ]
    except ThalwegError:
        form.refuse(name)


def _label(row: list[float]) -> float | int:
    return int(row[2]) if len(row) > 2 and row[2].is_integer() else -1


ROUTES: Final = (
    Entry("GET", "network", choices),
    Entry("POST", "network/frames", lambda visit: frames(visit.form, visit), longest=_LONGEST),
    Entry("POST", "network/diagnose", lambda visit: diagnose(visit.form, visit), needs_network=True, longest=_LONGEST),
    Entry("POST", "network/try", lambda visit: compare(visit.form), needs_network=True),
    Entry("POST", "network/hint", lambda visit: hint(visit.form)),
)

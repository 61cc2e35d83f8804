"""The verdict on a run, in the words of the catalogue, and the trials of its fixes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from thalweg.i18n import t
from thalweg.server.request import Entry


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from thalweg.server.request import Visit


def told(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of `Diagnoses` in the visitor's language: the stage, the verdict, the trial."""
    found = dict(answer)
    if "stage" in found:
        found["stage"] = t(f"training.stage_{found['stage']}")
    if "verdict" in found:
        found |= shown(found.pop("verdict"))
    if "trial" in found:
        from thalweg.diagnosis.verdict import Trial

        found["text"] = str(Trial.from_dict(found["trial"]))
    return found


def shown(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What holds a run back, with evidence and fixes, in the current language.

    Args:
        verdict: from `Verdict.to_dict`.
    """
    from thalweg.diagnosis.attempts import can_be_tried
    from thalweg.diagnosis.verdict import Evidence, Fix, unchecked_text
    from thalweg.diagnosis.wording import text_of

    evidence = [Evidence(one["name"], one["value"], one["relation"], one["threshold"]) for one in verdict["evidence"]]
    fixes = [Fix(one["code"], one["values"]) for one in verdict["fixes"]]
    return {
        "code": verdict["code"],
        "title": t(f"diagnosis.verdict_{verdict['code']}_title"),
        "text": text_of(verdict["code"], [one.name for one in evidence if one.supports], verdict.get("measures", {})),
        "confidence": verdict["confidence"],
        "evidence": [
            {
                "name": t(f"diagnosis.evidence_{one.name}"),
                "value": float(one.value),
                "threshold": float(one.threshold),
                "relation": one.relation,
                "supports": one.supports,
                "text": one.numbers,
            }
            for one in evidence
        ],
        "fixes": [
            {"code": one.code, "text": f"{one} {one.line}".rstrip(), "can_be_tried": can_be_tried(one.code)}
            for one in fixes
        ],
        "alternatives": [
            {"title": t(f"diagnosis.verdict_{one['code']}_title"), "confidence": one["confidence"]}
            for one in verdict["alternatives"]
        ],
        "unchecked": [unchecked_text(name) for name in verdict["unchecked"]],
    }


def glance(path: Path) -> dict[str, str]:
    """The verdict on a run's history alone, as its report has it: title and text; empty for a run without steps.

    Args:
        path: the run's folder.
    """
    from thalweg.report.verdict import verdict_of
    from thalweg.runs import RunFolder

    verdict = verdict_of(RunFolder(path))
    told = {} if verdict is None else verdict.to_dict()
    return {name: told.get(name, "") for name in ("code", "title", "text")}


async def _verdict(visit: Visit) -> dict[str, Any]:
    run = await asyncio.to_thread(lambda: visit.run)  # a damaged run is refused at once, with its reason
    return told(visit.service.diagnoses.verdict(visit.run_name, run.path, waiting="waiting" in visit.query))


async def _trial(visit: Visit) -> dict[str, Any]:
    return told(visit.service.diagnoses.trial(visit.run_name))


async def _start_trial(visit: Visit) -> dict[str, Any]:
    path = visit.service.index.path(visit.run_name)
    return told(visit.service.diagnoses.start_trial(visit.run_name, path, visit.form.text("fix", longest=40)))


ROUTES: Final = (
    Entry("GET", "glance", lambda visit: glance(visit.run.path)),
    Entry("GET", "verdict", _verdict),
    Entry("GET", "trial", _trial),
    Entry("POST", "trials", _start_trial),
)

"""The verdict on a run, in the words of the catalogue, and the trials of its fixes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import RunError
from thalweg.i18n import t
from thalweg.server.model_cache import at_a_time
from thalweg.server.request import Entry


if TYPE_CHECKING:
    from pathlib import Path

    from thalweg.server.request import Visit


@at_a_time
def verdict(path: Path) -> dict[str, Any]:
    """What holds a run back, with evidence and fixes, in the current language.

    Raises:
        RunError: there is no such run, another version wrote it, its photos have changed, or a part of the package is
            missing.
    """
    try:
        from thalweg.diagnosis import diagnose_run
        from thalweg.diagnosis.fixes import can_be_tried

        found = diagnose_run(path, threads=1)  # a training run may need the other threads
    except ImportError as error:
        raise RunError("page.no_diagnosis", reason=error) from error
    return {
        "code": found.code,
        "title": t(f"diagnosis.verdict_{found.code}_title"),
        "text": t(f"diagnosis.verdict_{found.code}_text"),
        "confidence": found.confidence,
        "evidence": [
            {
                "name": t(f"diagnosis.evidence_{one.name}"),
                "value": float(one.value),
                "threshold": float(one.threshold),
                "relation": one.relation,
                "supports": one.supports,
                "text": one.numbers,
            }
            for one in found.evidence
        ],
        "fixes": [{"code": one.code, "text": str(one), "can_be_tried": can_be_tried(one.code)} for one in found.fixes],
        "alternatives": [
            {"title": t(f"diagnosis.verdict_{code}_title"), "confidence": confidence}
            for code, confidence in found.alternatives
        ],
        "unchecked": [t(f"diagnosis.unchecked_{name}") for name in found.unchecked],
    }


async def _start_trial(visit: Visit) -> dict[str, Any]:
    path = visit.service.index.path(visit.run_name)
    return visit.service.trials.start(visit.run_name, path, visit.form.text("fix", longest=40))


ROUTES: Final = (
    Entry("GET", "verdict", lambda visit: verdict(visit.run.path), needs_network=True),
    Entry("GET", "trial", lambda visit: visit.service.trials.state_of(visit.run_name)),
    Entry("POST", "trials", _start_trial),
)

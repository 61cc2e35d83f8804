"""The diagnosis of a run in the words of the catalogue, and the proof of its remedies."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import RunError, ThalwegError
from thalweg.i18n import t
from thalweg.server.networks import at_a_time
from thalweg.server.processes import launch


if TYPE_CHECKING:
    from pathlib import Path

_LONGEST: Final = 600.0  # seconds of a proof


@at_a_time
def verdict(path: Path) -> dict[str, Any]:
    """What keeps a run, with its evidence and remedies, in the language in force.

    Raises:
        RunError: not a run, of another version, its photos are no longer what they were, or a part of the package
            is missing.
    """
    try:
        from thalweg.diagnosis import diagnose_run
        from thalweg.diagnosis.fixes import can_be_tried

        found = diagnose_run(path, threads=1)  # the others are for a training that may run beside
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
                "value": _finite(one.value),
                "threshold": _finite(one.threshold),
                "relation": one.relation,
                "supports": one.supports,
            }
            for one in found.evidence
        ],
        "remedies": [
            {"code": one.code, "text": str(one), "can_be_tried": can_be_tried(one.code)} for one in found.fixes
        ],
        "alternatives": [
            {"title": t(f"diagnosis.verdict_{code}_title"), "confidence": confidence}
            for code, confidence in found.alternatives
        ],
        "unchecked": [t(f"diagnosis.unchecked_{name}") for name in found.unchecked],
    }


class Proofs:
    """Proofs of remedies: each a process of its own, one a run, so that a slow one holds nobody up."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, path: Path, remedy: str) -> dict[str, Any]:
        """Begin the proof of a run's remedy, unless one of the run's is under way; how it stands."""
        task = self._tasks.get(name)
        if task is None or task.done():
            self._found[name] = {"state": "running", "remedy": remedy}
            self._tasks[name] = asyncio.create_task(self._prove(name, path, remedy))
        return self._found[name]

    def standing(self, name: str) -> dict[str, Any]:
        """How the proof of a run stands."""
        return self._found.get(name, {"state": "none"})

    async def end(self) -> None:
        """Stop all."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _prove(self, name: str, path: Path, remedy: str) -> None:
        arguments = ("-m", "thalweg.server.proving", str(path), remedy)
        process = await launch(*arguments, stderr=asyncio.subprocess.DEVNULL)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _LONGEST)
            found = _read(output)
        except TimeoutError:
            found = {"state": "failed", "message": t("page.proof_too_long", seconds=_LONGEST)}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._found[name] = {"remedy": remedy, **found}


def _read(output: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(output.decode().splitlines()[-1])
        return answer if isinstance(answer, dict) and "state" in answer else {"state": "failed", "message": ""}
    except (ValueError, IndexError):
        return {"state": "failed", "message": t("page.proof_failed")}


def prove(path: Path, remedy: str) -> dict[str, Any]:
    """Try a remedy on a copy beside the unchanged training; what a process of its own prints."""
    from thalweg.diagnosis import try_fix_on_run

    try:
        proof = try_fix_on_run(path, fix=remedy)
    except ThalwegError as error:
        return {"state": "failed", "message": str(error)}
    return {"state": "done", "text": str(proof), "proof": proof.to_dict()}


def _finite(value: float) -> float | None:
    return float(value) if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - not NaN

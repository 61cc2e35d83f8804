"""What the diagnosis and its peers say on the same programs: failing ones, their repaired twins, and healthy ones.

    python benchmarks/peers_diagnosis.py PROGRAMS                          # creates an environment for each peer
    python benchmarks/peers_diagnosis.py PROGRAMS --only NAME --peers torchmortem --out FILE
    python benchmarks/peers_diagnosis.py PROGRAMS --out FILE --again       # the table of what is in FILE

PROGRAMS is a Python file as `peers_programs` describes. Results go to FILE as they come, so that a call goes on where
the last one stopped. runmedic and trainspotter read the log of the run; torchmortem hooks into the same training, in
its own process. `peers_words` has what their words count for. TrainCheck needs a run that is right, and has its own
script, `peers_traincheck.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _peer import Peer
from peers_programs import Hooked, Log, load, train
from peers_words import ADVICE, WORDS, counts, named


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

ROOT = Path(__file__).parents[1]
HOMES = ROOT / "build" / "peers-diagnosis"
PEERS = {
    "runmedic": ("runmedic==0.1.1",),
    "trainspotter": ("trainspotter==0.2.6",),
    "torchmortem": ("torch=={torch}", "torchmortem==0.1.1", "scikit-learn", "pillow"),
}
OURS = "thalweg"
QUIET = {"healthy", "converged", "unsure"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    arguments.add_argument("programs", nargs="?", help="a file of programs")
    arguments.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(WORDS))
    arguments.add_argument("--homes", type=Path, default=HOMES, help="where each peer has its environment")
    arguments.add_argument("--only", nargs="*", help="names of programs")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--out", type=Path, default=ROOT / "build" / "peers-diagnosis.jsonl")
    arguments.add_argument("--again", action="store_true", help="run nothing, show what was found before")
    arguments.add_argument("--answer", action="store_true", help="what a peer's process runs")
    chosen = arguments.parse_args()
    if chosen.answer:
        answer()
        return
    if not chosen.again:
        run(chosen)
    found = [json.loads(line) for line in chosen.out.read_text(encoding="utf-8").splitlines()]
    for side in (OURS, *chosen.peers):
        show(side, [one for one in found if one["side"] == side])


def run(chosen: argparse.Namespace) -> None:
    """Run what FILE does not have yet."""
    import torch

    programs = load(chosen.programs)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if chosen.out.exists():
        done = {tuple(json.loads(line)["key"]) for line in chosen.out.read_text(encoding="utf-8").splitlines()}
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, python {platform.python_version()}", end=", ")
    print(f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack, chosen.out.open("a", encoding="utf-8") as file:
        peers = {}
        for name in (one for one in chosen.peers if one in PEERS):
            python = chosen.homes / name / "bin" / "python"
            wanted = [one.format(torch=torch.__version__.split("+")[0]) for one in PEERS[name]]
            peers[name] = stack.enter_context(Peer(__file__, python, wanted))
        for case in programs.CASES:
            for fixed in (True,) if case.healthy else (False, True):
                if chosen.only and case.name not in chosen.only:
                    continue
                facts = {"name": case.name, "fixed": fixed, "seed": chosen.seed}
                left = [side for side in (OURS, *peers) if (side, *facts.values()) not in done]
                for side, said in asked(programs, chosen.programs, facts, peers, left):
                    line = {"side": side, "key": (side, *facts.values()), **facts, **said}
                    line |= {"truth": sorted(case.truth), "ill": not fixed and not case.healthy}
                    print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
                    words = [f"{word} ({grade})" for word, grade in said["words"]]
                    print(
                        f"{case.name} {'repaired' if fixed else ''} {side}: {', '.join(words) or said['error'] or '–'}"
                    )


def asked(
    programs: ModuleType, path: str, facts: Mapping[str, Any], peers: Mapping[str, Peer], sides: Sequence[str]
) -> Any:
    """Yield each side's words on one training."""
    if not sides:
        return
    made = train(programs, facts["name"], fixed=facts["fixed"], seed=facts["seed"])
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "metrics.csv"
        Log.of(made.watch).write(log)
        for side in sides:
            began = time.perf_counter()
            if side == OURS:
                said = {"words": ours(made), "error": ""}
            else:
                said = peers[side].ask(json.dumps({"peer": side, "log": str(log), "programs": path, **facts}))
            yield side, {**said, "seconds": round(time.perf_counter() - began, 2)}


def ours(made: Any) -> list[tuple[str, str]]:
    """The verdict on a run, and its second."""
    batches = made.batches
    verdict = made.watch.diagnose(batch=batches if len(batches) > 1 else batches[0], loss_fn=made.loss_fn)
    others = [code for code, _ in verdict.alternatives[:1]]
    return [(code, "info" if verdict.code in QUIET else "warning") for code in (verdict.code, *others)]


def answer() -> None:
    """In a peer's process: read a question a line, and write its words."""
    tellers = {"runmedic": by_runmedic, "trainspotter": by_trainspotter, "torchmortem": by_torchmortem}
    loaded: dict[str, ModuleType] = {}
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if question["peer"] == "torchmortem" and question["programs"] not in loaded:
                loaded[question["programs"]] = load(question["programs"])
            words, error = tellers[question["peer"]](question, loaded.get(question["programs"])), ""
        except Exception as failure:  # noqa: BLE001 - a peer's failure is a result
            words, error = [], f"{type(failure).__name__}: {failure}"
        sys.stdout.write(json.dumps({"words": words, "error": error}) + "\n")
        sys.stdout.flush()


def by_runmedic(question: Mapping[str, Any], _: Any) -> list[tuple[str, str]]:
    from runmedic import loaders, roles
    from runmedic.checks import run_checks

    (log,) = loaders.load(question["log"])
    return [(finding.check, finding.severity) for finding in run_checks(log, roles.detect(log, {}))]


def by_trainspotter(question: Mapping[str, Any], _: Any) -> list[tuple[str, str]]:
    from trainspotter.detectors import run_all
    from trainspotter.readers import load_run

    return [(finding.title, finding.severity) for finding in run_all(load_run(question["log"]))]


def by_torchmortem(question: Mapping[str, Any], programs: Any) -> list[tuple[str, str]]:
    from torchmortem import Autopsy

    made = []

    def watching(model: Any, optimizer: Any) -> Hooked:
        made.append(Autopsy(model, optimizer=optimizer))
        return Hooked(made[-1].attach, made[-1].detach, lambda loss: made[-1].step(loss=loss))

    programs.watching = watching
    train(programs, question["name"], fixed=question["fixed"], seed=question["seed"])
    report = made[-1].get_report()
    insights = [(insight.title, "warning") for insight in report.insights]
    return [*insights, *((finding.title, finding.severity.name.lower()) for finding in report.findings)]


def show(side: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Print one side's row: how often it names the cause, and how often it raises an alarm where none is due."""
    ill, well = [one for one in found if one["ill"]], [one for one in found if not one["ill"]]
    if not found:
        return

    def right(one: Mapping[str, Any], first: int | None) -> bool:
        words = [word for word, _ in one["words"]]
        return counts(words[:first], one["truth"]) if side == OURS else named(side, words, one["truth"], first)

    def alarmed(one: Mapping[str, Any]) -> bool:
        return any(grade != "info" and word not in ADVICE for word, grade in one["words"])

    errors = sum(bool(one["error"]) for one in found)
    print(f"\n{side}: {len(ill)} faults, {len(well)} healthy or repaired, {errors} errors")
    for text, first in (("the first word", 1), ("the first two", 2), ("any", None)):
        print(f"  named by {text}: {sum(right(one, first) for one in ill)} of {len(ill)}")
    print(f"  no alarm on a fault: {sum(not alarmed(one) for one in ill)} of {len(ill)}")
    print(f"  alarm on healthy or repaired: {sum(alarmed(one) for one in well)} of {len(well)}", end="")
    print(f", advice alone included: {sum(any(g != 'info' for _, g in one['words']) for one in well)}")
    print(f"  words a run: {sum(len(one['words']) for one in found) / len(found):.1f}", end="")
    print(f", seconds: {sum(one['seconds'] for one in found) / len(found):.2f}")


if __name__ == "__main__":
    main()

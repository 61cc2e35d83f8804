"""What TrainCheck says on programs with a known fault, with the repaired twin of each as its reference.

    python benchmarks/peers_traincheck.py PROGRAMS --count 12 --out FILE      # a random dozen of the failing ones
    python benchmarks/peers_diagnosis.py PROGRAMS --peers traincheck --out FILE --again

TrainCheck learns from a run that is right what always holds, and reports what does not in another one. It is given the
best reference there can be, the same program without its fault; the twin is checked once more with other weights and
another order, which should raise no alarm. A healthy program is checked against itself in the same way. Each run has
`--steps` steps. Every call instruments torch anew, so that a fault takes more than a minute of one core.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers_diagnosis import HOMES, ROOT
from peers_programs import load


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REQUIREMENTS = ("torch=={torch}", "traincheck==0.2.0", "scikit-learn", "pillow")
ORDER = ("FunctionLeadRelation", "FunctionCoverRelation")  # orders of calls, which its tutorial advises to ignore
STAND_IN = """
class _Done(Exception):
    pass

class _Steps:
    left = {steps}
    def __enter__(self):
        return self
    def __exit__(self, *_):
        return None
    def validate(self, *_, **__):
        return None
    def step(self, _loss):
        self.left -= 1
        if not self.left:
            raise _Done

torch.set_num_threads(1)
torch.manual_seed({seed})
np.random.seed({seed})
watching = lambda model, optimizer: _Steps()
try:
    next(case for case in CASES if case.name == {name!r}).fn({fixed})
except _Done:
    print("trained")
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    arguments.add_argument("programs", help="a file of programs")
    arguments.add_argument("--homes", type=Path, default=HOMES, help="where its environment is")
    arguments.add_argument("--only", nargs="*", help="names of programs")
    arguments.add_argument("--count", type=int, help="so many failing programs, drawn at random, and as many healthy")
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--out", type=Path, default=ROOT / "build" / "peers-diagnosis.jsonl")
    chosen = arguments.parse_args()
    home = chosen.homes / "traincheck"
    if not home.exists():
        import torch

        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        wanted = [one.format(torch=torch.__version__.split("+")[0]) for one in REQUIREMENTS]
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", *wanted], check=True)
    done = set()
    if chosen.out.exists():
        done = {tuple(json.loads(line)["key"]) for line in chosen.out.read_text(encoding="utf-8").splitlines()}
    setting = Setting(Path(chosen.programs), home / "bin", chosen.steps, chosen.seed)
    with chosen.out.open("a", encoding="utf-8") as file:
        for case in drawn(load(chosen.programs).CASES, chosen.only, chosen.count):
            if ("traincheck", case.name, True, chosen.seed) in done:
                continue
            for line in setting.compared(case):
                print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
                kind = "repaired or healthy" if line["fixed"] else "fault"
                print(f"{case.name}, {kind}: {len(line['words'])} violations {line['error']}", flush=True)


def drawn(cases: Sequence[Any], only: Sequence[str] | None, count: int | None) -> list[Any]:
    """The programs in an order that was drawn once, failing and healthy ones in turn."""
    order = random.Random(0)
    ill = [case for case in cases if not case.healthy and (not only or case.name in only)]
    well = [case for case in cases if case.healthy and (not only or case.name in only)]
    order.shuffle(ill)
    order.shuffle(well)
    return ill[:count] + well[:count]


@dataclass(frozen=True)
class Setting:
    """How every program is traced."""

    programs: Path
    tools: Path
    steps: int
    seed: int

    def compared(self, case: Any) -> Iterator[dict[str, Any]]:
        """Learn from the right program; check the failing one, and the right one with another seed."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            try:
                self.collect(folder / "reference", case.name, fixed=True, seed=self.seed)
                called(self.tools / "traincheck-infer", "-f", folder / "reference", "-o", folder / "invariants.json")
                failure = ""
            except RuntimeError as error:
                failure = str(error)
            for fixed in (True,) if case.healthy else (False, True):
                began = time.perf_counter()
                words, error = [], failure
                if not failure:
                    try:
                        words = self.checked(folder, case.name, fixed=fixed)
                    except RuntimeError as another:
                        error = str(another)
                key = ("traincheck", case.name, fixed, self.seed)
                said = {"words": words, "error": error, "seconds": round(time.perf_counter() - began, 2)}
                facts = {"side": key[0], "key": key, "name": case.name, "fixed": fixed, "seed": self.seed}
                yield {**facts, **said, "truth": sorted(case.truth), "ill": not fixed}

    def checked(self, folder: Path, name: str, *, fixed: bool) -> list[tuple[str, str]]:
        """The descriptions of the violated invariants."""
        trace, results, learned = folder / f"trace-{fixed}", folder / f"results-{fixed}", folder / "invariants.json"
        self.collect(trace, name, fixed=fixed, seed=self.seed + fixed)
        called(self.tools / "traincheck-check", "-f", trace, "-i", learned, "-o", results, "--no-html-report")
        (summary,) = results.rglob("violations_summary.json")
        found = json.loads(summary.read_text(encoding="utf-8"))["violations"]
        return [(one["display_name"], "info" if one["relation_type"] in ORDER else "warning") for one in found]

    def collect(self, folder: Path, name: str, *, fixed: bool, seed: int) -> None:
        """Trace one program in full; with `--invariants`, the twin of the reference violates fifteen of its own."""
        source = self.programs.read_text(encoding="utf-8")
        text, models = script(source, name, fixed=fixed, steps=self.steps, seed=seed)
        path = folder.with_suffix(".py")
        path.write_text(text, encoding="utf-8")
        tool = self.tools / "traincheck-collect"
        called(tool, "-p", path, "--models-to-track", *models, "--output-dir", folder)


def script(source: str, name: str, *, fixed: bool, steps: int, seed: int) -> tuple[str, list[str]]:
    """The file of programs as one script that trains one of them, and the names of variables that hold models."""
    tree = ast.parse(source)
    kept = []
    for node in tree.body:
        text = ast.unparse(node)
        docs = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docs and not text.startswith(("from __future__", "import thalweg", "if __name__", "def main(")):
            kept.append(node)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    first = [node.args[0] for node in calls if ast.unparse(node.func) in {"fit", "watching"}]
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    models = sorted({node.id for node in first if isinstance(node, ast.Name)} & assigned)
    package = ROOT / "src" / "thalweg" / "__init__.py"
    head = f"import os\nimport types\nthalweg = types.SimpleNamespace(__file__={str(package)!r})\n"
    body = ast.unparse(ast.Module(kept, []))
    return head + body + STAND_IN.format(steps=steps, seed=seed, name=name, fixed=fixed), models


def called(*command: Path | str) -> None:
    """Run a command.

    Raises:
        RuntimeError: it failed; with the last line that it printed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, check=False, cwd=ROOT
    )
    if done.returncode:
        lines = [line for line in f"{done.stdout}\n{done.stderr}".replace("\r", "\n").splitlines() if "Error" in line]
        raise RuntimeError(f"{Path(command[0]).name}: {lines[-1] if lines else done.returncode}")


if __name__ == "__main__":
    main()

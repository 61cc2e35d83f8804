"""Kills of workers at random moments, and starts of eight processes: are the final weights always those of one process?

    python benchmarks/distributed_kills.py [--kills 100] [--starts 200] [--log FILE] [--seed 0]

A kill: `thalweg train --processes 2`, SIGKILL of one worker at a random moment between the first step and the end, then
`--resume` on 1, 2 or 4 processes. A start: eight forks of this process with torchrun's variables train a tiny network.
SHA-256 of the final weights is compared with that of one process that nobody interrupted. Every result is a line in the
log; Ctrl-C stops, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from thalweg.cli import main as thalweg_main
from thalweg.errors import ThalwegError
from thalweg.history import HistoryLog
from thalweg.runs import Run, checkpoint


if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 300.0  # of one training; whoever takes longer hangs
PROCESSES = 8
KILLED = ["--model=resnet-small", "--size=32", "--epochs=3", "--batch-size=16", "--shards=4", "--checkpoint-every=0.05"]
STARTED = ["--model=cnn", "--size=32", "--epochs=1", "--batch-size=16", "--shards=8"]
COMMON = ["--optimizer=adamw", "--lr=0.005", "--mixup=0.2", "--precision=fp32", "--layout=channels-last", "--seed=3"]


def make_photos(folder: Path) -> None:
    """Write 96 photos of three classes to train on, and 24 to validate."""
    draw = np.random.default_rng(0)
    for split, count in (("training", 32), ("validation", 8)):
        (folder / split).mkdir(parents=True)
        for label in range(3):
            for number in range(count):
                pixels = draw.integers(60 * label, 60 * label + 130, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / f"{label}_{number}.png")


def digest(run: Path) -> str:
    """Return SHA-256 of the last weights of a run."""
    found = hashlib.sha256()
    for name, tensor in sorted(checkpoint.load(Run.open(run).last)[0].items()):
        found.update(name.encode())
        found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def command(*arguments: str) -> subprocess.Popen[bytes]:
    """Start `thalweg train` in its own process group."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "ignore", "-m", "thalweg", "train", *arguments]
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def workers_of(launcher: int) -> dict[int, int]:
    """Return the processes that a launcher started: rank to number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_text().split("\0")
        except (OSError, ValueError):
            continue
        ranks = [one.removeprefix("RANK=") for one in variables if one.startswith("RANK=")]
        if parent == launcher and ranks:
            found[int(ranks[0])] = int(folder.name)
    return found


def finished(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code of a process; None if it hangs, and then it is ended."""
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        for number in workers_of(process.pid).values():
            os.kill(number, signal.SIGKILL)
        process.kill()
        process.wait()
        return None


def rows_of(steps: Path) -> int:
    """Return how many steps a history has."""
    try:
        return len(HistoryLog.read(steps))
    except ThalwegError:  # it was killed before the first was written
        return 0


def kill_once(photos: Path, out: Path, expected: str, lasts: float, draw: random.Random) -> dict[str, Any]:
    """Kill a random worker at a random moment, resume, and compare."""
    rank, after, moment = draw.randrange(2), draw.choice((1, 2, 4)), draw.random()
    steps, code = out / "history" / "steps", 0
    while not code:  # a training that ended before its moment came is begun again, and killed sooner
        shutil.rmtree(out, ignore_errors=True)
        launcher = command(str(photos), *KILLED, *COMMON, f"--out={out}", "--processes=2", "--max-restarts=0")
        deadline = time.monotonic() + LIMIT_S
        while launcher.poll() is None and not steps.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moment * lasts)
        if worker := workers_of(launcher.pid).get(rank):
            os.kill(worker, signal.SIGKILL)
        if (code := finished(launcher)) is None:
            return {"rank": rank, "result": "hangs"}
        lasts /= 2
    fact = {"rank": rank, "steps": rows_of(steps), "after": after}
    code = finished(command(f"--resume={out}", f"--processes={after}"))
    if code is None or code:
        return {**fact, "result": "hangs" if code is None else f"exit code {code}"}
    return {**fact, "result": "equal" if digest(out) == expected else "different"}


def fork(arguments: list[str], variables: dict[str, str], said: Path) -> int:
    """Run `thalweg train` in a fork of this process; return its number."""
    if number := os.fork():
        return number
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ |= variables
    sys.argv = ["thalweg", "train", *arguments]
    try:
        thalweg_main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - a fork never comes back
        code = 70
    os._exit(code)


def start_once(photos: Path, out: Path, expected: str) -> dict[str, Any]:
    """Start eight processes, and compare."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(PROCESSES), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    arguments = [str(photos), *STARTED, *COMMON, f"--out={out}"]
    left = {
        fork(arguments, {**common, "RANK": str(rank)}, out.with_name(f"{out.name}-{rank}.txt"))
        for rank in range(PROCESSES)
    }
    deadline, codes = time.monotonic() + LIMIT_S, []
    while left and time.monotonic() < deadline:
        for number in list(left):
            ended, status = os.waitpid(number, os.WNOHANG)
            if ended:
                left.discard(number)
                codes.append(os.waitstatus_to_exitcode(status))
        time.sleep(0.02)
    for number in left:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
    if left or any(codes):
        return {"result": "hangs" if left else f"exit codes {codes}"}
    return {"result": "equal" if digest(out) == expected else "different"}


def alone(photos: Path, out: Path, flags: list[str]) -> tuple[str, float]:
    """Train in one process; return the digest, and the seconds from the first step to the end."""
    process = command(str(photos), *flags, *COMMON, f"--out={out}")
    while process.poll() is None and not (out / "history" / "steps").exists():
        time.sleep(0.01)
    began = time.monotonic()
    if process.wait():
        raise SystemExit(f"thalweg train {photos} {' '.join([*flags, *COMMON])} fails")
    return digest(out), time.monotonic() - began


def repeat(name: str, times: int, log: Path, once: Callable[[int, Path], dict[str, Any]], folder: Path) -> None:
    """Do what the log does not have yet, and print each result."""
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for number in range(sum(one["what"] == name for one in done), times):
        began, out = time.monotonic(), folder / f"{name}-{number}"
        fact = {"what": name, "number": number, **once(number, out), "seconds": round(time.monotonic() - began, 1)}
        with log.open("a") as file:
            file.write(json.dumps(fact) + "\n")
        print(
            f"{number + 1}/{times}", *(f"{key} {value}" for key, value in fact.items() if key != "number"), flush=True
        )
        if fact["result"] == "equal":
            shutil.rmtree(out)


def main() -> None:
    """Run kills and starts, and count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--log", type=Path, default=Path("distributed_kills.jsonl"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        make_photos(photos := folder / "photos")
        if options.kills:
            expected, lasts = alone(photos, folder / "killed", KILLED)

            def kill(number: int, out: Path) -> dict[str, Any]:
                return kill_once(photos, out, expected, lasts, random.Random(options.seed * 10_000 + number))

            repeat("kill", options.kills, options.log, kill, folder)
        if options.starts:
            for name in ("thalweg.training.session", "torch._dynamo"):  # torch's optimizers import it at the first step
                importlib.import_module(name)  # so that forks need not
            first, _ = alone(photos, folder / "started", STARTED)
            repeat("start", options.starts, options.log, lambda _, out: start_once(photos, out, first), folder)
    except KeyboardInterrupt:
        print()
    finally:
        lines = options.log.read_text().splitlines() if options.log.exists() else []
        counts = Counter((one["what"], one["result"]) for one in map(json.loads, lines))
        print(*(f"{what}: {count} {result}" for (what, result), count in sorted(counts.items())), sep="\n")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

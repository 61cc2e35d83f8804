"""Speed of traces, compared with a loop over torch.optim and optax's compiled scans: interleaved, best of n.

    python benchmarks/paths.py            # creates a virtual environment for optax in build/peers, then measures

Ours and torch run in this process, optax in one from its own venv that answers line by line, so that all sides take
turns within one run. Every side computes in float64 on the same machine at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _peer import Peer


ROOT = Path(__file__).parents[1]
PEERS = ROOT / "build" / "peers"
REQUIREMENTS = ("optax==0.2.8", "jax")

UPDATES = 100_000
TORCH_UPDATES = 1_000
PATHS, PATH_UPDATES = 10_000, 1_000
SWEEP_RATES, SWEEP_UPDATES = 64, 10_000
LR = 0.01
START = (-10.0, 2.0)

FIRST_PATH = """
import time
begun = time.perf_counter()
from thalweg import paths, surfaces
paths.trace(surfaces.parse({formula!r}, start=(1.0, 1.0)), "adam", lr=0.01, steps=1000)
print(time.perf_counter() - begun)
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=9, help="turns of each side; the best counts")
    arguments.add_argument("--answer", action="store_true", help="what the peers' process runs")
    chosen = arguments.parse_args()
    if chosen.answer:
        answer_for_optax()
        return
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {processor()}, load {os.getloadavg()[0]:.1f}")
    with Peer(__file__, PEERS / "bin" / "python", REQUIREMENTS) as optax:
        print(", ".join(f"{name} {version}" for name, version in {**versions(), **optax.ask("versions")}.items()))
        table(optax, chosen.rounds)


def table(optax: Peer, rounds: int) -> None:
    import numpy as np

    from thalweg import optimizers, paths, surfaces

    valley = surfaces.get("valley")
    names = [name for name in optimizers.names() if name != "sgd"]
    rates = [1e-4 * 1e4 ** (k / (SWEEP_RATES - 1)) for k in range(SWEEP_RATES)]
    starts = np.column_stack([np.linspace(-10.0, 10.0, PATHS), np.full(PATHS, 2.0)])
    one = {
        "thalweg": lambda: timed(lambda: paths.trace(valley, "adam", lr=LR, steps=UPDATES)),
        "optax scan": lambda: optax.ask("one"),
        "torch loop": lambda: torch_loop(valley) * UPDATES / TORCH_UPDATES,
    }
    many = {
        "thalweg": lambda: timed(lambda: paths.sweep(valley, ["adam"], [LR], starts, steps=PATH_UPDATES)),
        "optax vmap(scan)": lambda: optax.ask("many"),
    }
    sweep = {"thalweg": lambda: timed(lambda: paths.sweep(valley, names, rates, steps=SWEEP_UPDATES))}
    show(f"one path, {UPDATES:,} Adam updates, every step kept", best(one, rounds))
    show(f"{PATHS:,} paths x {PATH_UPDATES:,} Adam updates", best(many, rounds))
    show(f"{len(names)} optimizers x {SWEEP_RATES} learning rates x {SWEEP_UPDATES:,} updates", best(sweep, rounds))
    show("first path, whole process, imports included", first_paths(optax, max(rounds // 3, 1)))


def first_paths(optax: Peer, rounds: int) -> dict[str, float]:
    """Time new processes: without kernels on disk, with the optimizer's kernel, with all kernels."""
    seconds: dict[str, list[float]] = {}
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name, formula in (
                ("nothing on disk", f"x**2 + {turn + 2}*y**2"),
                ("new formula", f"x**2 + {turn + 2}*y**4"),
                ("second process", f"x**2 + {turn + 2}*y**4"),
            ):
                seconds.setdefault(name, []).append(fresh_process(FIRST_PATH.format(formula=formula), cache))
        seconds.setdefault("optax, compiling", []).append(optax.ask("first"))
    return {name: min(values) for name, values in seconds.items()}


def fresh_process(code: str, cache: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "THALWEG_CACHE": cache}, check=True, stdout=subprocess.PIPE
    )
    return time.perf_counter() - begun


def torch_loop(surface) -> float:  # noqa: ANN001 - a surface; typing it would import thalweg in the peers' process
    import numpy as np
    import torch

    curvature = torch.from_numpy(np.diag(surface.hessian(START)).copy())
    point = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([point], lr=LR)

    kept = []

    def walk() -> None:
        for _ in range(TORCH_UPDATES):
            optimizer.zero_grad()
            loss = (0.5 * curvature * point**2).sum()
            loss.backward()
            kept.append((point.detach().clone(), loss.item()))
            optimizer.step()

    return timed(walk)


def best(sides: dict, rounds: int) -> dict[str, float]:
    """Return the fewest seconds of each side, taking turns, after an uncounted first turn."""
    seconds = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, run in sides.items():
            seconds[name].append(run())
    return {name: min(values[1:]) for name, values in seconds.items()}


def timed(run) -> float:  # noqa: ANN001 - a function without arguments
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def show(work: str, seconds: dict[str, float]) -> None:
    print(f"\n{work}")
    ours = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"  {name:<18} {value * 1e3:>12,.2f} ms {value / ours:>12,.2f} x")


def versions() -> dict[str, str]:
    import numba
    import numpy as np
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def processor() -> str:
    for line in (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else ()
    ):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def answer_for_optax() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)  # noqa: FBT003 - jax's own way
    import jax.numpy as jnp
    import optax

    def walk(start, updates):  # noqa: ANN001, ANN202 - arrays and numbers of jax
        adam = optax.adam(LR)

        def value(point):  # noqa: ANN001, ANN202 - the same
            return 0.005 * point[0] ** 2 + 5.0 * point[1] ** 2

        def step(carry, _):  # noqa: ANN001, ANN202 - the same
            point, state = carry
            loss, gradient = jax.value_and_grad(value)(point)
            moves, state = adam.update(gradient, state)
            point = optax.apply_updates(point, moves)
            return (point, state), (point, loss)

        return jax.lax.scan(step, (start, adam.init(start)), length=updates)

    start, starts = jnp.array(START), jnp.stack([jnp.linspace(-10, 10, PATHS), jnp.full(PATHS, 2.0)], axis=1)
    one = jax.jit(lambda start: walk(start, UPDATES)[1])
    many = jax.jit(jax.vmap(lambda start: walk(start, PATH_UPDATES)[0][0]))
    questions = {
        "versions": lambda: {"jax": jax.__version__, "optax": optax.__version__},
        "one": lambda: timed(lambda: jax.block_until_ready(one(start))),
        "many": lambda: timed(lambda: jax.block_until_ready(many(starts))),
        "first": lambda: timed(lambda: jax.block_until_ready(jax.jit(lambda start: walk(start, 1_000)[1])(start))),
    }
    for line in sys.stdin:
        print(json.dumps(questions[line.strip()]()), flush=True)


if __name__ == "__main__":
    main()

"""A history of ten million steps: what writing its coarser files costs, and what a chart of it waits for.

    python benchmarks/long_history.py [--rows 10000000]

It is written in parts of 100 rows, as a training writes once a second or so; the best of three counts for what is read.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.history import HistoryLog
from thalweg.history.overview import MOST, Cut, Overview
from thalweg.history.tail import HistoryTail
from thalweg.runs.files import STEP_UNITS


if TYPE_CHECKING:
    from collections.abc import Callable

PART, ROUNDS = 100, 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=10_000_000)
    rows = arguments.parse_args().rows
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps"
        long, short = (write(path.with_name(name), count, random) for name, count in [("steps", rows), ("few", MOST)])
        print(f"writing, processor time for {PART} rows: {long * 1e6:.0f} µs, of a short history {short * 1e6:.0f} µs")
        sizes = {file.suffix or "whole": file.stat().st_size for file in sorted(Path(folder).glob("steps*"))}
        print("  bytes: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
        overview = Overview(HistoryTail(path))
        middle = rows // 2
        report("whole", overview.whole)
        report("a hundredth", lambda: overview.between(middle, middle + rows // 100))
        report("a thousand steps", lambda: overview.between(middle, middle + 1000))
        for file in Path(folder).glob("steps.*"):
            file.unlink()
        report("whole, without the coarser files", overview.whole)


def write(path: Path, rows: int, random: np.random.Generator) -> float:
    """Seconds of processor time for `PART` rows."""
    values = random.random((PART, len(STEP_UNITS)))
    began = time.process_time()
    with HistoryLog(path, STEP_UNITS) as log:
        for first in range(0, rows, PART):
            values[:, 0] = np.arange(first + 1, first + PART + 1)
            log.extend(values)
    return (time.process_time() - began) / (rows / PART)


def report(name: str, read: Callable[[], Cut]) -> None:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        cut = read()
        best = min(best, time.perf_counter() - began)
    print(f"{name}: {1000 * best:.1f} ms, {len(cut.rows_NC):,} rows, each pair of {cut.per:,} steps")


if __name__ == "__main__":
    main()

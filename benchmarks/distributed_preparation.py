"""Decoding into an empty cache at the start of a training: by one process, and by several that decode a share each.

    python benchmarks/distributed_preparation.py PHOTOS [--processes 1 2] [--repeat 3]

`thalweg train PHOTOS` is ended when the cache is whole. What comes before the decoding, the imports, the search for the
photos and their check, is work of the first process and told beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


FLAGS = ["--model=cnn", "--size=128", "--epochs=1", "--batch-size=64", "--shards=4", "--precision=fp32"]
LAYOUT = "--layout=channels-last"
LIMIT_S = 600.0


def seconds_to_cache(photos: str, processes: int) -> tuple[float, float]:
    """Return the seconds until the first photos are being decoded, and until all of them are in the cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = [sys.executable, "-W", "ignore", "-m", "thalweg", "train", photos, *FLAGS, LAYOUT]
        line += [f"--out={folder / 'run'}", *([f"--processes={processes}"] if processes > 1 else [])]
        environment = {**os.environ, "THALWEG_CACHE": str(folder / "cache")}
        began = time.monotonic()
        quiet = subprocess.DEVNULL
        training = subprocess.Popen(line, env=environment, stdout=quiet, stderr=quiet)
        try:
            decoding = wait_for(folder / "cache" / "pixels", ".*.part", training) - began
            return decoding, wait_for(folder / "cache" / "pixels", "[!.]*", training) - began
        finally:
            training.terminate()
            training.wait(LIMIT_S)


def wait_for(folder: Path, pattern: str, training: subprocess.Popen[bytes]) -> float:
    """Return the moment at which a folder has such an entry."""
    deadline = time.monotonic() + LIMIT_S
    while not any(folder.glob(pattern)):
        if training.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the training has ended before its photos were decoded")
        time.sleep(0.02)
    return time.monotonic()


def main() -> None:
    """Measure in turn, and print the best."""
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, list[tuple[float, float]]] = {number: [] for number in options.processes}
    for _ in range(options.repeat):
        for number in options.processes:
            found[number].append(seconds_to_cache(options.photos, number))
            decoding, whole = found[number][-1]
            print(f"{number} processes: decoding from {decoding:.1f} s to {whole:.1f} s", flush=True)
    for number, times in found.items():
        print(
            f"{number} processes, best of {len(times)}: decoding {min(whole - from_s for from_s, whole in times):.1f} s"
        )


if __name__ == "__main__":
    main()

"""`thalweg data check` of 10,000 and of 100,000 photos: time and memory; and its search for near duplicates by itself.

    python benchmarks/data_check.py sets --out DIR --rounds 3       # makes 165 MB of photos in DIR; minutes
    python benchmarks/data_check.py search PHOTOS                   # any folder of photos: the search, and all pairs

`sets` makes photos of 64 × 64 pixels by code, 100 in each of 100 and of 1,000 classes: 80 for training, 10 for
validation, 10 for testing; every tenth class has photos in several splits. Each check is a process of its own.

`search` takes every second photo of a folder for one split and the others for the other split, and compares the index
with the comparison of each hash with each: time, and whether both find the same pairs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image

from thalweg.data import open_images
from thalweg.data.check import inspect
from thalweg.data.duplicates import MAX_DISTANCE, difference_hash
from thalweg.data.hamming import close_pairs
from thalweg.data.parallel import in_order


PHOTOS = {"train": 80, "valid": 10, "test": 10}
CLASSES = (100, 1000)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = arguments.add_subparsers(dest="part", required=True)
    sets = parts.add_parser("sets")
    sets.add_argument("--out", type=Path, required=True)
    sets.add_argument("--rounds", type=int, default=3)
    search = parts.add_parser("search")
    search.add_argument("photos", type=Path)
    chosen = arguments.parse_args()
    if chosen.part == "sets":
        check_sets(chosen.out, chosen.rounds)
    else:
        compare(chosen.photos)


def check_sets(out: Path, rounds: int) -> None:
    best: dict[int, list[tuple[float, float, int]]] = {classes: [] for classes in CLASSES}
    for classes in CLASSES:
        folder = out / str(classes)
        if not folder.exists():
            with Pool() as pool:
                pool.starmap(make_class, [(folder, number) for number in range(classes)], chunksize=10)
    for _ in range(rounds):
        for classes in CLASSES:
            best[classes].append(checked(out / str(classes)))
    for classes, times in best.items():
        wall_s, processor_s, peak_mb = (min(column) for column in zip(*times, strict=True))
        print(f"{100 * classes:,} photos: {wall_s:.1f} s, {processor_s:.1f} s of the processor, {peak_mb} MB")


def checked(folder: Path) -> tuple[float, float, int]:
    """Seconds, seconds of the processor, and MB at most."""
    command = [sys.executable, "-m", "thalweg", "data", "check", str(folder), "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command}: exit code {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def make_class(folder: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    first: Image.Image | None = None
    for split, count in PHOTOS.items():
        home = folder / split / f"class_{number:04}"
        home.mkdir(parents=True)
        for place in range(count):
            layers = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (3, 6, 12, 24)]
            sized = [np.asarray(Image.fromarray(layer).resize((64, 64)), dtype=np.uint16) for layer in layers]
            photo = Image.fromarray((sum(sized) // 4).astype(np.uint8))
            if place == 0 and number % 10 == 0:
                first = first or photo
                photo = photo if split == "train" else first.resize((72, 72)).resize((64, 64))
            photo.save(home / f"{split}_{place:03}.jpg", quality=80)


def compare(folder: Path) -> None:
    images = open_images(folder)
    facts = in_order(lambda photo: inspect(images.read(photo), photo.path), images.photos)
    hashes_N = difference_hash(np.stack([one.thumbnail_HWC for one in facts]))
    left, right = hashes_N[::2], hashes_N[1::2]
    began = time.process_time()
    found = [pair for parts in close_pairs(left, right, MAX_DISTANCE) for pair in zip(*map(list, parts), strict=True)]
    between = time.process_time()
    expected = set()
    for start in range(0, len(left), 256):
        near = np.bitwise_count(left[start : start + 256, None] ^ right) <= MAX_DISTANCE
        expected |= {(row + start, column) for row, column in np.argwhere(near).tolist()}
    ended = time.process_time()
    print(f"{len(left):,} × {len(right):,} photos, {len(found):,} pairs; the same: {set(found) == expected}")
    print(f"index {between - began:.2f} s, all pairs {ended - between:.2f} s of the processor")


if __name__ == "__main__":
    main()

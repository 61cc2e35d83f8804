"""One epoch over 300,000 photos and over 30,000: photos/s, which should not depend on how many there are.

    python benchmarks/epoch_scale.py --out DIR --rounds 3

The photos, of 32 × 32 pixels, are made by code and written as a cache has them, as pixels and as JPEG (DIR, 1.5 GB).
Each epoch is a process of its own: a tiny network and batches of 256, the photos in memory, mapped from the files, or
kept as JPEG and decoded ahead. The set-up is not counted. Seconds of the processor hardly change beside other work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import Batches
from thalweg.data.jpeg import JpegPhotos, to_jpeg
from thalweg.data.parallel import in_order
from thalweg.data.segmented import Pixels, open_segments
from thalweg.data.segments import segments_of


SIDE, BATCH = 32, 256
COUNTS = (30_000, 300_000)
WAYS = ("memory", "files", "jpeg")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--one", nargs=2, metavar=("WAY", "COUNT"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.one:
        print(json.dumps(epoch(chosen.out, chosen.one[0], int(chosen.one[1]))))
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    make_photos(chosen.out)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(chosen.rounds):
        for way in WAYS:
            for count in COUNTS:
                command = [sys.executable, __file__, "--out", str(chosen.out), "--one", way, str(count)]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found.setdefault((way, count), []).append(tuple(json.loads(answer)))
    print(f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}, best of {chosen.rounds}")
    for (way, count), both in found.items():
        wall, processor = (max(column) for column in zip(*both, strict=True))
        print(f"{way:7} {count:8,} photos: {wall:8,.0f} photos/s, {processor:8,.0f} for a second of the processor")


def epoch(folder: Path, way: str, count: int) -> tuple[float, float]:
    """Photos per second of the clock, and of the processor."""
    photos = opened(folder, way, count)
    normal = [0.5] * 3, [0.25] * 3
    labels = np.arange(count) % 10
    policy = augmentation("standard")
    batches = Batches(
        HostAugmenter(photos, *normal), np.arange(count), labels, size=SIDE, batch_size=BATCH, policy=policy, seed=0
    )
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    network(batches(1, 0)[0])  # compiles the crop, and starts threads
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    began, before = time.perf_counter(), time.process_time()
    for index in range(len(batches)):
        images_NCHW, labels_N = batches(0, index)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images_NCHW), labels_N).backward()
        optimizer.step()
    return count / (time.perf_counter() - began), count / (time.process_time() - before)


def opened(folder: Path, way: str, count: int) -> Pixels:
    segments = segments_of(count, 3 * SIDE**2)
    rows = [len(one.positions) for one in segments]
    if way == "jpeg":
        lengths = np.split(np.load(folder / f"{count}.npy"), np.cumsum(rows)[:-1])
        return JpegPhotos([folder / f"{count}-{one.number}.jpegs" for one in segments], lengths, SIDE)
    pixels = open_segments([folder / f"{count}-{one.number}.u8" for one in segments], rows, SIDE)
    return np.array(pixels) if way == "memory" else pixels


def make_photos(folder: Path) -> None:
    """Smooth colors, each photo of its own; the JPEGs repeat those of the first 2,000."""
    for count in COUNTS:
        if (folder / f"{count}.npy").exists():
            continue
        rng = np.random.default_rng(0)
        lengths: list[int] = []
        first_NHWC = photos_of(rng, 2000)
        jpegs = list(in_order(to_jpeg, first_NHWC))
        for segment in segments_of(count, 3 * SIDE**2):
            rows = len(segment.positions)
            photos_of(rng, rows).tofile(folder / f"{count}-{segment.number}.u8")
            chosen = [jpegs[position % len(jpegs)] for position in segment.positions]
            (folder / f"{count}-{segment.number}.jpegs").write_bytes(b"".join(chosen))
            lengths.extend(map(len, chosen))
        np.save(folder / f"{count}.npy", np.array(lengths))


def photos_of(rng: np.random.Generator, count: int) -> np.ndarray:
    coarse_NHWC = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse_NHWC.repeat(4, axis=1).repeat(4, axis=2)


if __name__ == "__main__":
    main()

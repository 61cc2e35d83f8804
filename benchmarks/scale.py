"""What 10,000, 100,000 and 1,000,000 photos cost in time, memory and disk: listing, digests, decoding, one epoch.

    python benchmarks/scale.py make DIR --photos 100000     # JPEGs of 60 px made by code; 4 KB of disk each
    python benchmarks/scale.py list DIR                     # the first listing, which reads every file, and the next
    python benchmarks/scale.py walk DIR                     # only the names, for a folder of any files
    python benchmarks/scale.py cache DIR                    # decoding into the cache, at 32 px
    python benchmarks/scale.py epoch DIR                    # one epoch of a small network, with all that comes before
    python benchmarks/scale.py remove DIR

Each part is a process of its own, so the memory is its own; each prints one line of JSON. Photos differ in a comment
only, of one length, so files of equal size are many and the first listing reads all of them: the most that it can cost.
At 60 px they are too small for the search for near duplicates, of which such photos would have millions of pairs;
`data_check.py` measures that search.
Everything is kept in DIR: photos in DIR/photos, caches and digests in DIR/cache, runs in DIR/runs.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image


if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE, STORED = 60, 32
DIFFERENT = 256  # photos encoded; the others are these with another comment
A_CLASS = 1000  # photos, in a set of more than 10,000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("part", choices=["make", "walk", "list", "cache", "epoch", "remove"])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--photos", type=int, default=10_000)
    chosen = arguments.parse_args()
    os.environ["THALWEG_CACHE"] = str(chosen.folder / "cache")
    photos = chosen.folder / "photos"
    match chosen.part:
        case "make":
            make(photos, chosen.photos)
        case "walk":
            walk(photos if photos.is_dir() else chosen.folder)
        case "list":
            list_photos(photos, chosen.folder / "cache")
        case "cache":
            decode(photos, chosen.folder / "cache")
        case "epoch":
            train(photos, chosen.folder / "runs")
        case "remove":
            shutil.rmtree(chosen.folder)


def make(folder: Path, count: int) -> None:
    """Write photos of colored shapes and noise, as many as asked, in classes of equal size."""
    rng = np.random.default_rng(0)
    classes = max(10, count // A_CLASS)
    encoded = [encode(rng) for _ in range(DIFFERENT)]
    with measured("make", count):
        for number in range(count):
            home = folder / f"class_{number % classes:04d}"
            if number < classes:
                home.mkdir(parents=True)
            comment = b"\xff\xfe\x00\x0a%08d" % number
            one = encoded[number % DIFFERENT]
            (home / f"{number // classes:06d}.jpg").write_bytes(one[:2] + comment + one[2:])


def encode(rng: np.random.Generator) -> bytes:
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def walk(folder: Path) -> None:
    from thalweg.data.sources import FolderSource

    with measured("walk") as facts:
        facts["photos"] = len(FolderSource(folder).names())


def list_photos(folder: Path, cache: Path) -> None:
    from thalweg.data import open_images

    is_first = not any(cache.glob("digests/*"))
    with measured("list, every file read" if is_first else "list again") as facts:
        facts["photos"] = len(open_images(folder).photos)
    if not is_first:
        return
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - again, with memory of its own


def decode(folder: Path, cache: Path) -> None:
    from thalweg.data import build_cache, open_images

    images = open_images(folder)
    before = taken(cache)
    with measured("cache", len(images.photos)) as facts:
        build_cache(images, size=STORED)
        facts["disk_mb"] = taken(cache) - before


def train(folder: Path, runs: Path) -> None:
    import thalweg

    with measured("epoch") as facts:
        run = thalweg.train(
            folder, out=runs / str(time.time_ns()), recipe="quick", epochs=1, size=STORED, threads=1, verbose=False
        )
        facts |= {"photos": len(run.find_photos().photos), "seconds": run.summary()["seconds"]}


def taken(folder: Path) -> float:
    """MB of the files in a folder."""
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1)


@contextmanager
def measured(part: str, photos: int = 0) -> Iterator[dict[str, Any]]:
    """Print wall seconds, seconds of the processor, and the peak of memory."""
    facts: dict[str, Any] = {"part": part, "photos": photos}
    wall, before = time.perf_counter(), used()
    yield facts
    facts |= {"wall_s": round(time.perf_counter() - wall, 2), "processor_s": round(used() - before, 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(facts | {"peak_mb": peak >> 10, "load": round(os.getloadavg()[0], 1)}))


def used() -> float:
    """Seconds of the processor, of this process and of those that it started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()

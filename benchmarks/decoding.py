"""Decoding of 600 JPEGs of 683 × 512 pixels to 192 × 192: threads, processes, and other libraries.

    python benchmarks/decoding.py --out DIR --rounds 3
    python benchmarks/decoding.py --out DIR --rounds 3 --peers PYTHON    # one that has torchvision

The photos are made by code in DIR (57 MB). All ways take turns; the files are in memory. Each peer decodes with what it
offers for smaller results and ends with 192 × 192 pixels:

    opencv        imdecode at half size, INTER_AREA
    simplejpeg    at half size, without the reduction to 192 (it has none)
    torchvision   decode_jpeg at full size, resize with antialiasing

Seconds of the processor hardly change beside other work. `cores busy` is how many worked on it at a time: below 1 for
one thread, the machine has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module, metadata
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image


if TYPE_CHECKING:
    from collections.abc import Callable

PHOTOS, SIDE, CHUNK = 600, 192, 50
PEERS = Path("build/peers-decoding/bin/python")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--peers", type=Path, default=PEERS)
    chosen = arguments.parse_args()
    make_photos(chosen.out)

    from _peer import Peer

    best: dict[str, list[dict[str, float]]] = {}
    installs = ["simplejpeg", "opencv-python-headless", "pillow", "numpy"]
    with Peer(__file__, chosen.peers, installs) as peer:
        versions = f"Pillow {Image.__version__}, {peer.ask(json.dumps(['versions', str(chosen.out)]))}"
        for _ in range(chosen.rounds):
            for name, measured in ours(read(chosen.out)).items():
                best.setdefault(name, []).append(measured)
            for name, measured in peer.ask(json.dumps(["times", str(chosen.out)])).items():
                best.setdefault(name, []).append(measured)
    print(f"{versions}, load {os.getloadavg()[0]:.1f}, best of {chosen.rounds}")
    for name, found in best.items():
        fastest = max(found, key=lambda one: one["photos_per_s"])
        processor_ms = min(one["processor_ms"] for one in found)
        print(f"{name:24} {fastest['photos_per_s']:7.0f} photos/s  {processor_ms:6.2f} ms of the processor a photo"
              f"  {fastest['busy']:.2f} cores busy")  # fmt: skip


def make_photos(folder: Path) -> None:
    """Smooth colors with a finer pattern on top, which take about 95 KB each at quality 85."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(PHOTOS):
        path = folder / f"{number:03d}.jpg"
        if not path.exists():
            rng = np.random.default_rng(number)
            layers = [
                Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).resize((683, 512), kind)
                for shape, kind in (((32, 43), Image.Resampling.BICUBIC), ((256, 342), Image.Resampling.BILINEAR))
            ]
            Image.blend(layers[0], layers[1], 0.25).save(path, quality=85)


def read(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]


def ours(files: list[bytes]) -> dict[str, dict[str, float]]:
    from thalweg.data import resampling, sums
    from thalweg.data.parallel import TOGETHER, in_order

    resampling.load()  # as a build of many photos does, while it decodes
    sums.load()

    def with_threads(workers: int) -> None:
        for _ in in_order(decode_and_sum, files, workers=workers, together=TOGETHER):
            pass

    found = {f"thalweg, {workers} threads": timed(partial(with_threads, workers), len(files)) for workers in (1, 2)}
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    for workers in (1, 2):
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            list(pool.map(decode_chunk, [files[:1]] * workers))  # started before the clock
            began = time.perf_counter()
            spent_s = sum(pool.map(decode_chunk, chunks))
            found[f"thalweg, {workers} processes"] = speeds(time.perf_counter() - began, spent_s, len(files))
    return found


def decode_and_sum(content: bytes) -> object:
    """What the cache does with a photo."""
    from thalweg.data.decoding import decode
    from thalweg.data.sums import channel_sums

    image_HWC = decode(content, SIDE)
    return image_HWC.reshape(-1).data, channel_sums(image_HWC)


def decode_chunk(files: list[bytes]) -> float:
    began = time.process_time()
    for content in files:
        decode_and_sum(content)
    return time.process_time() - began


def timed(work: Callable[[], object], count: int) -> dict[str, float]:
    began, before = time.perf_counter(), time.process_time()
    work()
    return speeds(time.perf_counter() - began, time.process_time() - before, count)


def speeds(wall_s: float, processor_s: float, count: int) -> dict[str, float]:
    return {
        "photos_per_s": count / wall_s,
        "processor_ms": 1e3 * processor_s / count,
        "busy": processor_s / wall_s,
    }


def peer_decoders() -> dict[str, Any]:
    """Those that are installed."""
    found: dict[str, Any] = {}
    try:
        cv2 = import_module("cv2")
        cv2.setNumThreads(1)
        found["opencv-python-headless"] = lambda content: cv2.resize(
            cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_COLOR_2),
            (SIDE, SIDE),
            interpolation=cv2.INTER_AREA,
        )
    except ImportError:
        pass
    try:
        simplejpeg = import_module("simplejpeg")
        found["simplejpeg"] = lambda content: simplejpeg.decode_jpeg(content, min_height=256, min_width=256)
    except ImportError:
        pass
    try:
        torch, io = import_module("torch"), import_module("torchvision.io")
        resize = import_module("torchvision.transforms.v2.functional").resize
        torch.set_num_threads(1)
        found["torchvision"] = lambda content: resize(
            io.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8)), [SIDE, SIDE], antialias=True
        )
    except ImportError:
        pass
    return found


def decode_all(decoder: Callable[[bytes], object], files: list[bytes]) -> None:
    for content in files:
        decoder(content)


def answer() -> None:
    decoders = peer_decoders()
    for line in sys.stdin:
        question, folder = json.loads(line)
        if question == "versions":
            print(json.dumps(", ".join(f"{name} {metadata.version(name)}" for name in decoders)), flush=True)
            continue
        files = read(Path(folder))
        found = {}
        for name, decoder in decoders.items():
            found[name] = timed(partial(decode_all, decoder, files), len(files))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    answer() if "--answer" in sys.argv else main()

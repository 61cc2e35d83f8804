"""Pictures and report of a run with many classes: seconds, memory, pixels and bytes.

    python benchmarks/many_classes.py                     # 1,000 classes of 40 photos, 5,005 of 8
    python benchmarks/many_classes.py --classes 200 --photos 20 --keep DIR
    python benchmarks/many_classes.py --train             # one epoch of 5,005 classes of 4 photos, half to validate

A fifth of the photos are the validation split. The photos have 20 px and are made by code; so are the outputs of the
network, half of them wrong, within groups of twelve classes. So no network is trained, and what is measured is what
follows the forward passes: `thalweg.report.draw_run`, in a process of its own. With `--train`, a small network trains
for an epoch, without pictures.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from thalweg.data import build_cache, open_images
from thalweg.history import HistoryLog
from thalweg.report import draw_run
from thalweg.runs import Run, TrainingConfig, files
from thalweg.training import recipe, train


_SIDE = 20
_GROUP = 12
_FEATURES = 512
_SETS = ((1000, 40), (5005, 8))
_ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int)
    parser.add_argument("--photos", type=int, default=10, help="of each class, with --classes")
    parser.add_argument("--keep", type=Path, help="a folder for photos and runs; without it they are removed")
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)  # the process that is measured
    parser.add_argument("--train", action="store_true", help="an epoch of training instead of pictures")
    options = parser.parse_args()
    if options.train:
        print(json.dumps(train_once(), indent=2))
        return
    if options.draw:
        print(json.dumps(measure(options.draw)))
        return
    sets = ((options.classes, options.photos),) if options.classes else _SETS
    with tempfile.TemporaryDirectory() as temporary:
        home = options.keep or Path(temporary)
        for classes, photos in sets:
            run = make_run(home / f"{classes}", classes, photos)
            command = [sys.executable, __file__, "--draw", str(run.path)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"{classes:,} classes, {photos} photos of each:")
            for name, value in found.items():
                print(f"  {name}: {value}")


def measure(path: Path) -> dict[str, str]:
    """Draw everything; the time is that of the clock and of the processor, the memory is the process's largest."""
    began, worked = time.monotonic(), time.process_time()
    report = draw_run(path)
    found = {"seconds": f"{time.monotonic() - began:.1f} ({time.process_time() - worked:.1f} of a processor)"}
    found["memory"] = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    for picture in sorted(path.glob("*.png")):
        with Image.open(picture) as image:
            found[picture.name] = f"{image.width} × {image.height} px, {picture.stat().st_size / 1000:.0f} kB"
    found["report.html"] = f"{report.stat().st_size / 1000:.0f} kB"
    return found


def train_once() -> dict[str, object]:
    """Train for an epoch; the memory is the process's largest."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        make_photos(home / "photos", [f"species {index:04d}" for index in range(5005)], 4, np.random.default_rng(0), 2)
        fixed = {"size": 16, "epochs": 1, "threads": 1, "precision": "fp32", "layout": "channels-last"}
        worked = time.process_time()
        run = train(home / "photos", recipe("quick", **fixed), home / "run")
        return {
            "seconds of a processor": round(time.process_time() - worked, 1),
            "memory": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB",
            "evaluation.safetensors": f"{run.evaluation.stat().st_size / 1e6:.0f} MB",
            **{name: run.summary()[name] for name in ("valid", "temperature")},
        }


def make_run(home: Path, classes: int, photos: int) -> Run:
    """Photos, and a run on them that no training made."""
    rng = np.random.default_rng(0)
    names = [f"{'鲸鱼' if index % 7 == 0 else 'species'} {index:04d}" for index in range(classes)]
    make_photos(home / "photos", names, photos, rng)
    cache = build_cache(open_images(home / "photos"), size=_SIDE)
    data = {
        "path": str(home / "photos"),
        "layout": "split_folders",
        "classes": sorted(names),
        "stored": _SIDE,
        "fingerprint": cache.fingerprint,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "class_shares": [1 / classes] * classes,
        "test": 0,
        **{split: len(cache.rows(split)) for split in ("train", "valid")},
    }
    run = Run(home / "run", TrainingConfig().settle(_SIDE), data, _ENVIRONMENT)
    run.save()
    run.write_split(cache.photos)
    run.write_json(files.SUMMARY, {"stopped": "done", "epochs": 1, "steps": 100, "seconds": {"total": 1.0}})
    write_history(run)
    save_file(make_outputs(cache.labels("valid"), classes, rng), run.evaluation)
    return run


def make_photos(
    home: Path, names: list[str], count: int, rng: np.random.Generator, validated: int | None = None
) -> None:
    for name in names:
        color = rng.integers(0, 256, (4, 4, 3))
        for index in range(count):
            split = "validation" if index < (validated or max(1, count // 5)) else "training"
            path = home / split / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.clip(color + rng.normal(0, 30, (4, 4, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(path)


def write_history(run: Run) -> None:
    steps = np.arange(1, 101)
    with HistoryLog(run.path / files.STEPS, files.STEP_UNITS) as log:
        log.extend(np.c_[steps, steps / 100, 7 / steps, 1 / steps, np.full(100, 1e-3), np.full(100, 16), np.zeros(100)])
    with HistoryLog(run.path / files.EPOCHS, files.EPOCH_UNITS) as log:
        log.extend([[100, 1, 2.0, 0.5, 2.0, 0.5, 3]])
    with HistoryLog(run.path / files.LAYERS, {"step": "", "head.update_ratio": ""}) as log:
        log.extend(np.c_[steps, np.full(100, 1e-3)])


def make_outputs(labels_N: np.ndarray, classes: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Half of the photos are taken for a class of their group; the features of a group are alike."""
    count = len(labels_N)
    neighbor_N = labels_N // _GROUP * _GROUP + rng.integers(0, _GROUP, count)
    predicted_N = np.where(rng.random(count) < 0.5, labels_N, np.minimum(neighbor_N, classes - 1))
    logits_NC = rng.standard_normal((count, classes), dtype=np.float32)
    logits_NC[np.arange(count), predicted_N] += 8
    groups = rng.standard_normal((classes // _GROUP + 1, _FEATURES), dtype=np.float32)
    own = rng.standard_normal((classes, _FEATURES), dtype=np.float32)
    top_ND = 2 * groups[labels_N // _GROUP] + own[labels_N] + rng.standard_normal((count, _FEATURES), dtype=np.float32)
    mid_ND = top_ND + 2 * rng.standard_normal((count, _FEATURES), dtype=np.float32)
    return {"logits": logits_NC, "labels": labels_N, "mid": mid_ND, "top": top_ND}


if __name__ == "__main__":
    main()

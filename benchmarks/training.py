"""A whole epoch of ResNet-18 at 128 px, batch size 64: thalweg, timm, torchvision's reference, fastai and Keras.

    python benchmarks/training.py PHOTOS --sources FOLDER
    python benchmarks/training.py PHOTOS --sources FOLDER --peers PYTHON    # a Python with all sides' packages

PHOTOS has train/CLASS and val/CLASS, like Imagenette's 160-px archive; the first photos of each class are used.
FOLDER has programs from the peers' repositories: timm/train.py (of pytorch-image-models) and torchvision/ (the files of
vision's references/classification). Sides take turns, each in its own process; the best of the last epochs counts, in
wall-clock time without evaluation.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from _peer import Peer


ROOT = Path(__file__).parents[1]
PEERS = ROOT / "build" / "peers-training" / "bin" / "python"
REQUIREMENTS = ["torch", "torchvision", "timm==1.0.31", "fastai==2.8.12", "keras==3.15.1"]
EPOCHS, EVALUATED = 2, 64


class Side(NamedTuple):
    """A row of the table: the function of `training_sides` that trains, its options, and its packages."""

    function: str
    options: dict[str, Any]
    packages: list[str]


BFLOAT16 = ["--amp", "--amp-dtype", "bfloat16", "--channels-last"]
# All run in one environment, so on one torch. The first two train exactly the network of timm and torchvision; our own
# ResNet-18, the variant of 2018, has 13 % more FLOPs.
SIDES = {
    "thalweg": Side("thalweg", {"model": "timm:resnet18", "optimizer": "sgd", "lr": 0.05}, ["thalweg"]),
    "thalweg, muon": Side("thalweg", {"model": "timm:resnet18", "optimizer": "muon", "lr": 5e-3}, ["thalweg"]),
    "thalweg, its own ResNet-18-D": Side("thalweg", {"model": "resnet18", "optimizer": "sgd", "lr": 0.05}, ["thalweg"]),
    "timm": Side("timm", {"flags": []}, ["timm"]),
    "timm, bf16 channels-last": Side("timm", {"flags": BFLOAT16}, ["timm"]),
    "torchvision reference": Side("torchvision", {}, ["torchvision"]),
    "fastai": Side("fastai", {}, ["fastai"]),
    "Keras, torch backend": Side("keras", {}, ["keras"]),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("photos", type=Path)
    arguments.add_argument("--sources", type=Path, required=True, help="peers' programs: timm/ and torchvision/")
    arguments.add_argument("--peers", type=Path, default=PEERS, help="a Python that has all of them")
    arguments.add_argument("--rounds", type=int, default=3, help="turns of each side; the best counts")
    arguments.add_argument("--count", type=int, default=2560, help="photos an epoch")
    arguments.add_argument("--only", action="append", choices=SIDES, help="this side, and others named so")
    chosen = arguments.parse_args()
    names = chosen.only or list(SIDES)
    answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder)
        link(chosen.photos / "train", photos / "train", chosen.count)
        link(chosen.photos / "val", photos / "val", EVALUATED)
        for _ in range(chosen.rounds):
            for name in names:
                answers[name].append(ask(SIDES[name], photos, chosen))
                show_turn(name, answers[name][-1], chosen.count)
    show(answers, chosen.count)


def link(source: Path, target: Path, count: int) -> None:
    """Link a number of photos of a split, taking one class after another in turn."""
    classes = [sorted(folder.iterdir()) for folder in sorted(source.iterdir())]
    in_turn = [photo for photos in zip_longest(*classes) for photo in photos if photo]
    for photo in in_turn[:count]:
        home = target / photo.parent.name
        home.mkdir(parents=True, exist_ok=True)
        (home / photo.name).symlink_to(photo.resolve())


def ask(side: Side, photos: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Have a side train in its own process."""
    options = side.options
    if side.function in ("timm", "torchvision"):
        options = options | {"sources": str(chosen.sources)}
    question = {"side": side.function, "photos": str(photos), "epochs": EPOCHS, "options": options}
    with Peer(
        str(Path(__file__).with_name("training_sides.py")), chosen.peers, REQUIREMENTS, ["-e", str(ROOT)]
    ) as peer:
        return peer.ask(json.dumps(question | {"packages": side.packages}))


def show_turn(name: str, answer: dict[str, Any], count: int) -> None:
    rates = ", ".join(f"{count / seconds:.1f}" for seconds in answer["seconds"])
    speeds = ", ".join(f"{kind} {speed:.0f}" for kind, speed in answer["matmul"].items())
    more = {key: answer[key] for key in ("format", "data_share", "decoding", "preparing") if key in answer}
    print(f"  {name}: {rates} images/s; matrix product {speeds} GFLOP/s", more or "", flush=True)


def show(answers: dict[str, list[dict[str, Any]]], count: int) -> None:
    """Print the table, each row relative to our first."""
    best = {name: max(count / turn["seconds"][-1] for turn in turns) for name, turns in answers.items()}
    ours = best.get("thalweg", float("nan"))
    columns = ("side", "images/s", "all turns", "thalweg is", "matrix product, GFLOP/s fp32 / bf16", "versions")
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, turns in answers.items():
        rates = ", ".join(f"{count / turn['seconds'][-1]:.1f}" for turn in turns)
        speeds = " / ".join(f"{max(turn['matmul'][kind] for turn in turns):.0f}" for kind in ("fp32", "bf16"))
        versions = ", ".join(f"{package} {version}" for package, version in turns[0]["versions"].items())
        print(f"| {name} | {best[name]:.1f} | {rates} | {ours / best[name]:.2f}× | {speeds} | {versions} |")


if __name__ == "__main__":
    main()

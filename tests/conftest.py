"""What most tests need: small photos with something to learn, a cache of their own, one language."""

import os
import random
import shutil
import sys

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from thalweg._spinning import bound_spinning
from thalweg.i18n import set_language


bound_spinning()  # before any test loads torch
# Workers share the cores out. Two processes with two threads each on two cores wait for each other, ten times as long.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


# Examples in docstrings that open the built-in set or measure the machine: seconds each.
SLOW_EXAMPLES = (".bench", ".build_cache", ".check_images", ".draw_map", ".train")


def pytest_collection_modifyitems(items):
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name.endswith(SLOW_EXAMPLES):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THALWEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("THALWEG_LANG", "en")
        yield


@pytest.fixture(autouse=True)
def _english():
    set_language(None)
    yield
    set_language(None)


@pytest.fixture(autouse=True)
def _same_draws():
    """A layer or batch that a test draws without a seed is the same in every run: no test fails one time in thirty."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - programs of others draw from it
    if torch := sys.modules.get("torch"):  # tests that run without torch stay without it
        torch.manual_seed(0)


@pytest.fixture
def command_runner():
    """Give the module of a command and its name, get a function that runs it and raises what it raises."""

    def runner(module, name):
        app = typer.Typer()
        app.callback()(lambda: None)
        module.register(app)

        def call(*arguments):
            result = CliRunner().invoke(app, [name, *arguments])
            if result.exception and not isinstance(result.exception, SystemExit):
                raise result.exception
            return result

        return call

    return runner


def striped_photo(label, draw, size):
    """A photo whose class is the direction of its stripes, under noise."""
    rows, columns = np.mgrid[:size, :size]
    wave = (np.sin(rows / 2), np.sin(columns / 2), np.sin((rows + columns) / 3))[label]
    noise = draw.normal(0, 40, (size, size, 3))
    return np.clip(128 + 80 * wave[:, :, None] + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def striped(tmp_path_factory):
    """A folder in the homework's layout: 3 classes, 96 photos to train on, 24 to validate, 12 to test (unlabeled)."""
    root = tmp_path_factory.mktemp("striped")
    draw = np.random.default_rng(0)
    for split, count in (("training", 32), ("validation", 8)):
        (root / split).mkdir()
        for label in range(3):
            for number in range(count):
                Image.fromarray(striped_photo(label, draw, 32)).save(root / split / f"{label}_{number}.png")
    (root / "testing").mkdir()
    for number in range(12):
        Image.fromarray(striped_photo(number % 3, draw, 32)).save(root / "testing" / f"{number + 1:04}.png")
    return root


@pytest.fixture(scope="session")
def uneven(striped, tmp_path_factory):
    """The photos of `striped` with 32, 12 and 3 of the classes to train on."""
    root = tmp_path_factory.mktemp("uneven") / "photos"
    shutil.copytree(striped, root)
    for label, kept in ((1, 12), (2, 3)):
        for number in range(kept, 32):
            (root / "training" / f"{label}_{number}.png").unlink()
    return root


@pytest.fixture(scope="session")
def tiled(tmp_path_factory):
    """96 photos with any of three labels, of which each colors a corner of its own; `labels.csv` lists them."""
    root, draw = tmp_path_factory.mktemp("tiled"), np.random.default_rng(0)
    rows = ["file,split,labels"]
    for number in range(96):
        names = [name for name in ("blue", "green", "red") if draw.random() < {"blue": 0.3}.get(name, 0.5)]
        image_HWC = draw.integers(60, 120, (24, 24, 3), dtype=np.uint8)
        for at, name in enumerate(("red", "green", "blue")):
            if name in names:
                image_HWC[12 * (at % 2) :, 12 * (at // 2) :, at][:12, :12] = 250
        Image.fromarray(image_HWC).save(root / f"{number:02}.png")
        rows.append(f"{number:02}.png,{'train' if number < 64 else 'val' if number < 84 else 'test'},{';'.join(names)}")
    (root / "labels.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="session")
def several_run(tiled, tmp_path_factory):
    """A finished run on `tiled`; tests that change it work on a copy."""
    from thalweg.runs import TrainingConfig
    from thalweg.training import train

    config = TrainingConfig(
        model="resnet-small", size=24, epochs=6, batch_size=16, augment="none", precision="fp32", keep="best",
        layout="channels-last", threads=1, mixup=0.2, cutmix=0.2, lr=5e-3,
    )  # fmt: skip
    return train(tiled, config, tmp_path_factory.mktemp("several") / "run")


@pytest.fixture(scope="session")
def unlearnable(tmp_path_factory):
    """Pictures of noise in two classes that differ in nothing: 24 to train on, 8 to validate."""
    root = tmp_path_factory.mktemp("unlearnable")
    draw = np.random.default_rng(0)
    for split, count in (("training", 12), ("validation", 4)):
        (root / split).mkdir()
        for label in range(2):
            for number in range(count):
                pixels = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / f"{label}_{number}.png")
    return root


@pytest.fixture(scope="session")
def slow_run(striped, tmp_path_factory):
    """The folder of a run that was trained at a rate that is far too small; nothing else is beside it."""
    from thalweg.runs import TrainingConfig
    from thalweg.training import train

    config = TrainingConfig(
        model="resnet-small",
        size=32,
        epochs=12,
        batch_size=16,
        precision="fp32",
        layout="channels-last",
        augment="none",
        optimizer="sgd",
        lr=1e-5,
        schedule="constant",
    )
    return train(striped, config, tmp_path_factory.mktemp("runs") / "slow").path


@pytest.fixture(scope="session")
def kept_run(striped, tmp_path_factory):
    """A short training that kept the weights of its epochs."""
    from thalweg.runs import TrainingConfig
    from thalweg.training import train

    config = TrainingConfig(
        model="cnn",
        size=32,
        epochs=3,
        batch_size=16,
        precision="fp32",
        layout="channels-first",
        threads=1,
        augment="none",
        save_every_epoch=True,
    )
    return train(striped, config, tmp_path_factory.mktemp("kept") / "run")

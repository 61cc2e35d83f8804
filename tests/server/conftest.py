"""A folder of runs, some of them trained, and the page on it."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from thalweg.history import HistoryLog
from thalweg.runs import Run, TrainingConfig
from thalweg.runs.files import EPOCH_UNITS, STEP_UNITS
from thalweg.server import build_app
from thalweg.training import recipe, train


ORIGIN = "http://127.0.0.1"
ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}


def run_async(visit):
    """Run a coroutine in a thread of its own: where browser tests ran before, this one has a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, visit).result()


@pytest.fixture(name="run_async")
def _run_async():
    return run_async


@pytest.fixture
def step_rows():
    """Rows of a history of steps, after the first `first`."""

    def rows(count, first=0):
        steps = np.arange(first + 1, first + count + 1, dtype=float)
        level = np.full(count, 0.01)
        return np.stack([steps, steps / 50, 2.3 / steps, 1 / (1 + steps), level, level, level], axis=1)

    return rows


@pytest.fixture
def folder(tmp_path, step_rows):
    """A folder with two runs that were never trained: `first` with 100 steps, `deep/second` with none."""
    root = tmp_path / "runs"
    for name in ("first", "deep/second"):
        path = root / name
        path.mkdir(parents=True)
        data = {"path": "/photos", "layout": "folders", "classes": ["cat", "dog"], "class_shares": [0.5, 0.5],
                "train": 96, "valid": 24, "test": 0, "stored": 32, "fingerprint": "0", "mean": [0.5] * 3,
                "std": [0.2] * 3}  # fmt: skip
        Run(path, TrainingConfig(size=32), data, ENVIRONMENT).save()
    with HistoryLog(root / "first" / "history" / "steps", STEP_UNITS) as steps:
        steps.extend(step_rows(100))
    with HistoryLog(root / "first" / "history" / "epochs", EPOCH_UNITS) as epochs:
        epochs.extend([[50, 1, 2.0, 0.4, 2.1, 0.5, 10.0], [100, 2, 1.5, 0.6, 1.8, 0.75, 20.0]])
    return root


@pytest.fixture
def client(folder):
    """The page on that folder, with requests as its own page sends them."""
    with TestClient(build_app(folder), base_url=ORIGIN, headers={"origin": ORIGIN}) as found:
        yield found


@pytest.fixture(scope="session")
def runs(striped, tmp_path_factory):
    """A folder with one run, trained on striped photos; it has the weights of an epoch, which are its best."""
    root = tmp_path_factory.mktemp("served") / "runs"
    config = replace(
        recipe("quick"),
        epochs=4,
        evaluate_every=1,
        batch_size=16,
        threads=1,
        precision="fp32",
        layout="channels-last",
        augment="none",
    )
    run = train(striped, config, root / "striped")
    shutil.copy(run.best, run.best.with_name("epoch-0001.safetensors"))
    return root

"""Every Python snippet of the documentation runs, page by page, with the names that its reader has."""

import functools
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg


ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = {
    path.relative_to(ROOT).as_posix(): snippets
    for path in [*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")]
    if (snippets := FENCE.findall(path.read_text(encoding="utf-8")))
}
# Pages whose snippets go on from other cells, or need libraries that need not be there: they are compiled only.
COMPILED = ("docs/loggers", "docs/notebooks", "docs/review")
# Snippets that have one of these stand for a loop of the reader's own, which an example runs as a whole.
QUOTED = {"docs/watch.md": ("STEPS", "pictures[chosen]", "batches(60)", "pytorch_lightning")}


@pytest.fixture
def reader(tmp_path, monkeypatch, striped, kept_run, several_run):
    """The names of somebody who has a model, a loader, photos and a run, in a folder of their own."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5))
    data = TensorDataset(torch.randn(640, 20), torch.randint(0, 5, (640,)))
    monkeypatch.chdir(tmp_path)
    picture = Image.new("RGB", (32, 32), "tan")
    for name in ("photo.jpg", "lunch.jpg"):
        picture.save(tmp_path / name)
    (tmp_path / "runs").mkdir()
    for name in ("food", "x"):
        (tmp_path / "runs" / name).symlink_to(kept_run.path)
    (tmp_path / "runs" / "photos").symlink_to(several_run.path)
    (tmp_path / "food").symlink_to(striped)
    loader = DataLoader(data, batch_size=64)
    return {
        "thalweg": quick(),
        "torch": torch,
        "functools": functools,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loader": loader,
        "loss_fn": nn.functional.cross_entropy,
        "picture": picture,
        "array": np.asarray(picture),
        "__name__": "snippet",
    }


def quick():
    """Thalweg as it is, but a training gives the run that is there: trainings have tests of their own."""
    names = {name: getattr(thalweg, name) for name in thalweg.__all__}
    return SimpleNamespace(**names | {"train": lambda *_, out="runs/x", **__: thalweg.Run.open(out)})


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_is_python(page):
    for snippet in PAGES[page]:
        compile(snippet, page, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith(COMPILED)])
def test_the_snippets_of_a_page_run_one_after_the_other(page, reader, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # a snippet opens no window
    for snippet in PAGES[page]:
        if not any(sign in snippet for sign in QUOTED.get(page, ())):
            exec(compile(snippet, page, "exec"), reader)  # noqa: S102 - the project's own pages

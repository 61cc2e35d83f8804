"""thalweg: train an image classifier from a folder of photos, see why training stalls, try the fix before trusting it.

The public names are loaded on first use: `import thalweg` loads no torch.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.data import open_images
    from thalweg.diagnosis import Verdict, watch
    from thalweg.history import History
    from thalweg.paths import trace
    from thalweg.prediction import load, predict
    from thalweg.rate import find_lr
    from thalweg.runs import Run, TrainingConfig
    from thalweg.training import recipe, resume, train
    from thalweg.widgets import film, lab, network

__version__ = "0.2.0"

_homes = {
    "History": ".history",
    "Run": ".runs",
    "TrainingConfig": ".runs",
    "Verdict": ".diagnosis",
    "film": ".widgets",
    "find_lr": ".rate",
    "lab": ".widgets",
    "load": ".prediction",
    "network": ".widgets",
    "open_images": ".data",
    "predict": ".prediction",
    "recipe": ".training",
    "resume": ".training",
    "trace": ".paths",
    "train": ".training",
    "watch": ".diagnosis",
}

__all__ = [
    "History",
    "Run",
    "TrainingConfig",
    "Verdict",
    "film",
    "find_lr",
    "lab",
    "load",
    "network",
    "open_images",
    "predict",
    "recipe",
    "resume",
    "trace",
    "train",
    "watch",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

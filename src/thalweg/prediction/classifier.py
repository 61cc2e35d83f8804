"""A trained network for a program of one's own: loaded once, asked often, from any thread.

Shape suffixes: N pictures, C classes, D features.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg._notebook import shown_as
from thalweg.data import Photo
from thalweg.prediction.pixels import squares_of
from thalweg.prediction.predictions import Predictions
from thalweg.prediction.views import BATCH, mean_over_views
from thalweg.runs import Run
from thalweg.runs.photos import evaluation_batches


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn


def load(run: Run | Path | str, *, threads: int | None = None) -> Classifier:
    """Load the kept weights of a run, to classify pictures in your own program.

    Args:
        run: a run, or its folder.
        threads: CPU threads of torch, for the whole process; None: as they are.

    Returns:
        The classifier, on the CPU.

    Raises:
        RunError: the folder is not a run, or no epoch has ended yet.

    Example:
        ```python
        import thalweg

        food = thalweg.load("runs/food")
        found = food.predict("lunch.jpg")
        print(found.names[0], found.probability_NC.max())
        ```
    """
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return Classifier(run if isinstance(run, Run) else Run.open(run))


class Classifier:
    """The network of a run, with everything that its pictures need.

    It may be shared by threads: pictures are decoded side by side, and the network takes one batch at a time.

    Attributes:
        run: where it comes from.
        classes: names of the classes, in the order of the columns.
        module: the network, in evaluation mode; takes normalized images (N, 3, S, S), gives logits (N, C).
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.classes: tuple[str, ...] = tuple(run.classes)
        self.module: nn.Module = run.load_network()
        self._thresholds_C = run.thresholds
        self._one_at_a_time = Lock()

    def predict(self, images: Any, *, tta: int = 1) -> Predictions:
        """Classify pictures.

        Args:
            images: one picture or many: paths, bytes of files, `PIL.Image`s, arrays (H, W) or (H, W, C), tensors
                (C, H, W), batches of arrays or tensors, or sequences of these; see `pixels.squares_of`.
            tta: number of crops of each picture, 1 to 12; the whole picture has half the weight.

        Returns:
            One row for each picture, in the order given. A file has the probabilities that `thalweg predict` gives it.

        Raises:
            BadImageError: a picture cannot be read.
            UsageError: it is not a picture, or `tta` is out of range.
        """
        names, pixels_NSS3 = squares_of(images, self.run)
        with self._one_at_a_time:
            probability_NC = mean_over_views(self.module, self.run, pixels_NSS3, tta)
        photos = tuple(Photo(name, "test", None) for name in names)
        homework = self.run.data["layout"] == "flat"
        return Predictions(photos, self.classes, probability_NC, (), homework=homework, thresholds_C=self._thresholds_C)

    def features(self, images: Any) -> NDArray[np.float32]:
        """Compute the inputs of the last layer, (N, D): pictures that look alike to the network have similar ones.

        Args:
            images: as for `predict`.
        """
        from thalweg.models import features_of

        _, pixels_NSS3 = squares_of(images, self.run)
        rows_N = np.arange(len(pixels_NSS3))
        batches = evaluation_batches(pixels_NSS3, self.run.data, rows_N, size=self.run.config.size, batch_size=BATCH)
        with self._one_at_a_time:
            return features_of(self.module, batches)["top"].numpy()

    def onnx(self, path: Path | str) -> float:
        """Export the network to ONNX, as `thalweg export` does.

        Args:
            path: the file to write.

        Returns:
            The largest difference between a probability of the file and of the run.

        Raises:
            MissingExtraError: the extra `export` is not installed.
            RunError: the file disagrees with the run.
            StorageError: the file cannot be written.
        """
        from thalweg.prediction.export import export_onnx

        return export_onnx(self.run, path)

    _repr_html_ = shown_as("classifier")

    def __repr__(self) -> str:
        return f"Classifier({str(self.run.path)!r}, {len(self.classes)} classes)"

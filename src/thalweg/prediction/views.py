"""The probabilities of decoded photos, averaged over the crops of each: the network's part of every prediction.

Shape suffixes: N photos, C classes, S stored side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.models import logits_in_blocks
from thalweg.prediction.crops import crop_weights, crops
from thalweg.runs.photos import evaluation_batches


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data.segmented import Pixels
    from thalweg.runs import Run

BATCH = 64


def mean_over_views(
    model: nn.Module,
    run: Run,
    pixels_NSS3: Pixels,
    tta: int,
    counted: Callable[[Iterator[Tensor]], Iterator[Tensor]] = lambda batches: batches,
) -> NDArray[np.float64]:
    """Return the weighted mean over the crops, (N, C).

    Args:
        model: from `run.load_network()`.
        run: says size, normalization and temperature.
        pixels_NSS3: RGB, as the run keeps its photos.
        tta: number of crops of each photo, 1 to 12.
        counted: passes the batches on, and may count them.

    Raises:
        UsageError: `tta` is out of range.
    """
    rows_N, temperature = np.arange(len(pixels_NSS3)), run.temperature
    total_NC = np.zeros((len(rows_N), len(run.classes)))
    for crop, weight in zip(crops(tta, pixels_NSS3.shape[1]), crop_weights(tta), strict=True):
        batches = evaluation_batches(
            pixels_NSS3, run.data, rows_N, size=run.config.size, batch_size=BATCH, flip=crop.flip, box=crop.box
        )
        done = 0
        for logits_RC in logits_in_blocks(model, counted(batches)):  # of many classes, all logits are hundreds of MB
            some = slice(done, done := done + len(logits_RC))
            total_NC[some] += weight * run.task.probabilities(logits_RC.numpy(), temperature)
    return total_NC

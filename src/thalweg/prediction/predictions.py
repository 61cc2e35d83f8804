"""What is said of photos, whoever says it; nothing here needs torch.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.data import BadImage, Cache, Photo


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network says of each photo.

    Attributes:
        photos: all photos, in natural order of their paths.
        classes: names, in the order of the columns.
        probability_NC: of each class; rows add up to 1.
        bad: photos that could not be read. Their rows are the shares of the classes in the training split, so that a
            submission has as many rows as there are pictures.
    """

    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    probability_NC: NDArray[np.float64]
    bad: tuple[BadImage, ...]

    @property
    def label_N(self) -> NDArray[np.int64]:  # noqa: N802 - shape suffix
        """The most probable class of each photo."""
        return self.probability_NC.argmax(axis=1)


def in_order(
    cached_NC: NDArray[np.float64], cache: Cache, photos: Sequence[Photo], class_shares: Sequence[float]
) -> NDArray[np.float64]:
    """One row a photo, also for those that the cache left out: they get the shares of the classes."""
    row_of = {photo.path: row for row, photo in enumerate(cache.photos)}
    prior_C = np.asarray(class_shares)
    return np.stack([cached_NC[row_of[photo.path]] if photo.path in row_of else prior_C for photo in photos])

"""Parts of a training split that judge what was trained without them, so that the validation split takes no part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = 4  # of the training split; each trial leaves one out
MOST_LEFT_OUT = 512  # photos
_SALT = 77  # keeps the parts apart from the run's other draws


def parts_of(labels_N: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Deal the photos of each class out to parts, at least `PARTS` and none much above `MOST_LEFT_OUT` photos.

    The only photo of a class is in no part, or nothing could learn the class.

    Args:
        labels_N: the classes.
        seed: of the order in which photos are dealt.

    Returns:
        The positions of each part, in rising order.

    Example:
        >>> [len(part) for part in parts_of(np.array([0, 0, 0, 0, 1, 1, 1, 1, 2]), seed=0)]
        [2, 2, 2, 2]
    """
    count = max(PARTS, math.ceil(len(labels_N) / MOST_LEFT_OUT))
    random = np.random.default_rng([seed, _SALT])
    order = random.permutation(len(labels_N))
    order = order[np.argsort(labels_N[order], kind="stable")]
    counts = np.bincount(labels_N)
    dealt = order[counts[labels_N[order]] > 1]
    return [np.sort(dealt[first::count]) for first in range(count)]

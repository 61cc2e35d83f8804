"""What is minimized: cross-entropy, or mean squared error to see why it is not used.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy, one_hot


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor


def loss_of(name: str, logits_NC: Tensor, labels_N: Tensor, smoothing: float) -> Tensor:
    """The mean loss of a batch.

    With `p = softmax(logits)`, `C` classes, and the target `t = (1 - smoothing)·one_hot(label) + smoothing/C`:
    cross-entropy is `-Σ t·ln p`, and mse is `Σ (t - p)²`, both averaged over the photos.

    Args:
        name: `cross-entropy` or `mse`.
        logits_NC: the network's output.
        labels_N: the true classes, int64.
        smoothing: in [0, 1).

    Returns:
        A scalar, in nats for cross-entropy.

    Example:
        >>> round(loss_of("cross-entropy", torch.zeros(1, 11), torch.tensor([3]), 0.0).item(), 3)  # ln 11
        2.398

    Source: Szegedy et al. 2016 for smoothing, https://arxiv.org/abs/1512.00567.
    """
    return losses_of(name, logits_NC, labels_N, smoothing).mean()


def losses_of(name: str, logits_NC: Tensor, labels_N: Tensor, smoothing: float) -> Tensor:
    """The loss of each photo, of shape (N,); see `loss_of`."""
    logits_NC = logits_NC.float()  # a sum of exponentials is not for bf16
    if name == "cross-entropy":
        return cross_entropy(logits_NC, labels_N, label_smoothing=smoothing, reduction="none")
    classes = logits_NC.shape[1]
    targets_NC = one_hot(labels_N, classes) * (1 - smoothing) + smoothing / classes
    return (targets_NC - logits_NC.softmax(dim=1)).square().sum(dim=1)


class Targets(NamedTuple):
    """What a batch should become.

    Attributes:
        labels_N: the true classes, int64.
        others_N: the classes of the photos that were mixed in; None: no photo is mixed.
        lambda_N: the share of a photo's own label in its target.
    """

    labels_N: Tensor
    others_N: Tensor | None = None
    lambda_N: Tensor | None = None

    @property
    def are_mixed(self) -> bool:
        """Whether there are others."""
        return self.others_N is not None

    def to(self, device: torch.device) -> Targets:
        """The same on a device."""
        return self._each(lambda part: part.to(device))

    def part(self, rows: slice) -> Targets:
        """Those of some of the photos."""
        return self._each(lambda part: part[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Targets:
        if self.others_N is None or self.lambda_N is None:
            return Targets(change(self.labels_N))
        return Targets(change(self.labels_N), change(self.others_N), change(self.lambda_N))


class Objective:
    """The loss of a training batch: two labels with their shares where photos are mixed, weights of classes.

    `mean of w[a]·s·loss(a) + w[b]·(1 - s)·loss(b)` over the photos, with their own label a, its share s, the other
    label b, and the weight w of a class.

    Args:
        name: `cross-entropy` or `mse`.
        smoothing: of the labels, in [0, 1).
        weights_C: of the classes, on the device of the logits; None: all 1.
    """

    def __init__(self, name: str, smoothing: float, weights_C: Tensor | None = None) -> None:
        self.name, self.smoothing, self.weights_C = name, smoothing, weights_C

    def __call__(self, logits_NC: Tensor, targets: Targets) -> Tensor:
        """The mean loss, a scalar."""
        losses_N = self._weighted(logits_NC, targets.labels_N)
        if targets.others_N is not None and targets.lambda_N is not None:
            losses_N = torch.lerp(self._weighted(logits_NC, targets.others_N), losses_N, targets.lambda_N)
        return losses_N.mean()

    def _weighted(self, logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        losses_N = losses_of(self.name, logits_NC, labels_N, self.smoothing)
        return losses_N if self.weights_C is None else losses_N * self.weights_C[labels_N]


def balanced_weights(labels_N: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Photos / (classes · photos of the class), so that every class has the same weight in all; their mean is 1.

    Only classes that have photos are counted; the others get 0.

    Example:
        >>> balanced_weights(np.array([0, 0, 0, 1]), 2).tolist()
        [0.6666666865348816, 2.0]
    """
    counts_C = np.bincount(labels_N, minlength=classes)
    present = np.count_nonzero(counts_C)
    return np.where(counts_C > 0, len(labels_N) / (present * np.maximum(counts_C, 1)), 0).astype(np.float32)

"""The loss: cross-entropy; binary cross-entropy for several labels a photo; or mean squared error, to show its fault.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from thalweg.runs.tasks import BINARY


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor


def loss_of(name: str, logits_NC: Tensor, labels_N: Tensor, smoothing: float) -> Tensor:
    """Return the mean loss of a batch.

    Of one photo with the logits y, the one-hot label o and the smoothing s, over C classes, cross-entropy is
    L = −∑_{c=1}^C t_c ln(p_c); p_c = e^y_c / (∑_{k=1}^C e^y_k); t_c = (1 − s) o_c + s / C, and mse is
    L = ∑_{c=1}^C (t_c − p_c)². With several labels, o_c is 1 for each of them, and binary-cross-entropy is
    L = −∑_{c=1}^C (t_c ln(p_c) + (1 − t_c) ln(1 − p_c)); p_c = 1 / (1 + e^(−y_c)); t_c = (1 − s) o_c + s / 2. The loss
    of a batch is the mean over its photos.

    Args:
        name: `cross-entropy`, `mse` or `binary-cross-entropy`.
        logits_NC: the network's output.
        labels_N: the true classes, int64: (N,), or (N, C) of 0 and 1 for binary-cross-entropy.
        smoothing: in [0, 1).

    Returns:
        A scalar, in nats except for mse.

    Example:
        >>> round(loss_of("cross-entropy", torch.zeros(1, 11), torch.tensor([3]), 0.0).item(), 3)  # ln 11
        2.398

    Source: Szegedy et al. 2016 for smoothing, https://arxiv.org/abs/1512.00567.
    """
    return losses_of(name, logits_NC, labels_N, smoothing).mean()


def losses_of(name: str, logits_NC: Tensor, labels_N: Tensor, smoothing: float) -> Tensor:
    """Return the loss of each photo, of shape (N,); see `loss_of`."""
    logits_NC = logits_NC.float()  # bf16 is too coarse for a sum of exponentials
    if name == "cross-entropy":
        return cross_entropy(logits_NC, labels_N, label_smoothing=smoothing, reduction="none")
    if name == BINARY:
        targets_NC = labels_N.to(logits_NC.dtype) * (1 - smoothing) + smoothing / 2
        return binary_cross_entropy_with_logits(logits_NC, targets_NC, reduction="none").sum(dim=1)
    classes = logits_NC.shape[1]
    targets_NC = one_hot(labels_N, classes) * (1 - smoothing) + smoothing / classes
    return (targets_NC - logits_NC.softmax(dim=1)).square().sum(dim=1)


class Targets(NamedTuple):
    """The targets of a batch.

    Attributes:
        labels_N: the true classes, int64; with several labels (N, C), 1 for each of them.
        others_N: the classes of the mixed-in photos; None: no photo is mixed.
        lambda_N: the weight λ of a photo's own label in its target, in [0, 1].
    """

    labels_N: Tensor
    others_N: Tensor | None = None
    lambda_N: Tensor | None = None

    @property
    def are_mixed(self) -> bool:
        """Whether any photos are mixed."""
        return self.others_N is not None

    def to(self, device: torch.device) -> Targets:
        """Move the targets to a device."""
        return self._each(lambda part: part.to(device))

    def rows(self, rows: slice) -> Targets:
        """Select the targets of some of the photos."""
        return self._each(lambda part: part[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Targets:
        if self.others_N is None or self.lambda_N is None:
            return Targets(change(self.labels_N))
        return Targets(change(self.labels_N), change(self.others_N), change(self.lambda_N))


class Objective:
    """The loss of a training batch, with mixed labels and class weights.

    `mean of λ·w[a]·loss(a) + (1 - λ)·w[b]·loss(b)` over the photos, with the photo's own label a, the mixed-in label b,
    the weight λ of the own label, and the weight w of a class.

    Args:
        name: `cross-entropy`, `mse` or `binary-cross-entropy`.
        smoothing: label smoothing, in [0, 1).
        weights_C: weights of the classes, on the device of the logits; None: all 1.
    """

    def __init__(self, name: str, smoothing: float, weights_C: Tensor | None = None) -> None:
        self.name, self.smoothing, self.weights_C = name, smoothing, weights_C

    def __call__(self, logits_NC: Tensor, targets: Targets) -> Tensor:
        """Return the mean loss, a scalar."""
        losses_N = self._weighted(logits_NC, targets.labels_N)
        if targets.others_N is not None and targets.lambda_N is not None:
            losses_N = torch.lerp(self._weighted(logits_NC, targets.others_N), losses_N, targets.lambda_N)
        return losses_N.mean()

    def right(self, logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        """Return the number of photos with the right class, or with exactly the right ones at a probability of 0.5."""
        if self.name == BINARY:
            return ((logits_NC > 0) == (labels_N > 0)).all(dim=1).sum()
        return (logits_NC.argmax(dim=1) == labels_N).sum()

    def _weighted(self, logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        losses_N = losses_of(self.name, logits_NC, labels_N, self.smoothing)
        return losses_N if self.weights_C is None else losses_N * self.weights_C[labels_N]


def weights_of_classes(kind: str, labels_N: NDArray[np.int64], classes: int) -> NDArray[np.float32] | None:
    """Return the weights of the classes, (C,), that `--class-weights` asks for; None for `none`."""
    return balanced_weights(labels_N, classes) if kind == "balanced" else None


def balanced_weights(labels_N: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return photos / (classes · photos of the class): all classes get the same total weight, and photos average 1.

    Classes without photos get 0.

    Example:
        >>> balanced_weights(np.array([0, 0, 0, 1]), 2).tolist()
        [0.6666666865348816, 2.0]
    """
    counts_C = np.bincount(labels_N, minlength=classes)
    present = np.count_nonzero(counts_C)
    return np.where(counts_C > 0, len(labels_N) / (present * np.maximum(counts_C, 1)), 0).astype(np.float32)

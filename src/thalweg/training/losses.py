"""What is minimized: cross-entropy, or mean squared error to see why it is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import cross_entropy, one_hot


if TYPE_CHECKING:
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
        >>> import torch
        >>> round(loss_of("cross-entropy", torch.zeros(1, 11), torch.tensor([3]), 0.0).item(), 3)  # ln 11
        2.398

    Source: Szegedy et al. 2016 for smoothing, https://arxiv.org/abs/1512.00567.
    """
    logits_NC = logits_NC.float()  # a sum of exponentials is not for bf16
    if name == "cross-entropy":
        return cross_entropy(logits_NC, labels_N, label_smoothing=smoothing)
    classes = logits_NC.shape[1]
    targets_NC = one_hot(labels_N, classes) * (1 - smoothing) + smoothing / classes
    return (targets_NC - logits_NC.softmax(dim=1)).square().sum(dim=1).mean()

"""The fit of a classifier to the features of a network: multinomial logistic regression with an L2 penalty.

Shape suffixes: N photos, D features, C classes, P parameters of the classifier: C rows of D weights, then C biases.
"""

from __future__ import annotations

from collections import deque
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from thalweg.training.parts import parts_of


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

PENALTIES = tuple(10 ** (-half / 2) for half in range(9))  # 1 to 1e-4, for features of standard deviation 1
MOST_ITERATIONS = 200
_ENOUGH_LEFT_OUT = 512  # photos that judge a penalty
_WORSE = 2  # weaker penalties in a row that are worse than the best: the rest is not tried
_ROUGH, _FINE = 3e-3, 1e-5  # gradient norm, relative to the start, at which a fit ends
_VALUES = 16_000_000  # logits that are held at a time
_MEMORY = 10  # steps that L-BFGS remembers
_SUFFICIENT = 1e-4  # fraction of the predicted fall that a step must reach (Armijo)
_MOST_HALVINGS = 30


class Fitted(NamedTuple):
    """Parameters after an iteration, (P,), their gradient, (P,), and the length of the step along the direction."""

    values_P: Tensor
    gradient_P: Tensor
    step: float


class Iteration(NamedTuple):
    """The classifier after an iteration of the fit.

    Attributes:
        weight_CD: its weights, for the features as they are.
        bias_C: its biases.
        loss: mean cross-entropy of the photos, in nats, without the penalty.
        gradient_norm: Euclidean norm of the gradient of loss and penalty, per standard deviation of the features.
        step: length of the step along L-BFGS's direction; 0 at the start.
        accuracy: fraction of the photos that are classified correctly.
    """

    weight_CD: Tensor
    bias_C: Tensor
    loss: float
    gradient_norm: float
    step: float
    accuracy: float


class Regression:
    """`mean over photos of w·cross-entropy + penalty/2·‖W‖²`, over features of mean 0 and standard deviation 1.

    Args:
        features_ND: of the photos.
        labels_N: their classes.
        classes: number of classes.
        weights_C: weights of the classes; None: all 1.
        precision: of the arithmetic.
    """

    def __init__(
        self,
        features_ND: NDArray[np.float32],
        labels_N: NDArray[np.int64],
        classes: int,
        weights_C: NDArray[np.float32] | None = None,
        *,
        precision: torch.dtype = torch.float64,
    ) -> None:
        features = torch.from_numpy(features_ND).double()
        self.mean_D, spread_D = features.mean(dim=0), features.std(dim=0, correction=0)
        self.std_D = torch.where(spread_D > 1e-8, spread_D, torch.ones_like(spread_D))
        self._features_ND = ((features - self.mean_D) / self.std_D).to(precision)
        self._labels_N = torch.from_numpy(labels_N)
        shares = np.ones(len(labels_N)) if weights_C is None else weights_C[labels_N].astype(np.float64)
        self._shares_N = torch.from_numpy(shares / len(labels_N)).to(precision)
        self.classes, self.parameters = classes, classes * (features.shape[1] + 1)

    def start(self) -> Tensor:
        """The classifier that knows nothing, (P,)."""
        return torch.zeros(self.parameters, dtype=self._features_ND.dtype)

    def loss(self, values_P: Tensor, penalty: float) -> tuple[float, Tensor]:
        """Return loss with penalty, and its gradient (P,)."""
        weight_CD, _ = self._parts(values_P)
        parts = (self._part(values_P, some) for some in self._blocks())
        loss, gradient_CD, gradient_C = reduce(_added, parts)  # one gradient is held, not that of every block
        loss = loss + penalty / 2 * weight_CD.square().sum()
        return float(loss), torch.cat([(gradient_CD + penalty * weight_CD).flatten(), gradient_C])

    def _part(self, values_P: Tensor, some: slice) -> tuple[Tensor, Tensor, Tensor]:
        """The loss of some photos without the penalty, and its gradients of weights (C, D) and biases (C,)."""
        logits_RC, labels_R, shares_R = self._logits(values_P, some), self._labels_N[some], self._shares_N[some]
        picked_R = logits_RC.gather(1, labels_R[:, None])[:, 0]
        losses_R = torch.logsumexp(logits_RC, dim=1) - picked_R
        residuals_RC = logits_RC.softmax(dim=1)
        residuals_RC[torch.arange(len(residuals_RC)), labels_R] -= 1
        residuals_RC *= shares_R[:, None]
        return (losses_R * shares_R).sum(), residuals_RC.T @ self._features_ND[some], residuals_RC.sum(dim=0)

    def iteration(self, values_P: Tensor, gradient_P: Tensor, step: float) -> Iteration:
        """Describe the classifier of some parameters."""
        weight_CD, bias_C = (part.double() for part in self._parts(values_P))
        losses_N, right_N = torch.empty(len(self._labels_N)).double(), torch.empty(len(self._labels_N)).double()
        for some in self._blocks():
            logits_RC, labels_R = self._logits(values_P, some).double(), self._labels_N[some]
            losses_N[some] = torch.nn.functional.cross_entropy(logits_RC, labels_R, reduction="none")
            right_N[some] = (logits_RC.argmax(dim=1) == labels_R).double()
        raw_CD = weight_CD / self.std_D
        return Iteration(
            weight_CD=raw_CD,
            bias_C=bias_C - raw_CD @ self.mean_D,
            loss=float((losses_N * self._shares_N.double()).sum()),
            gradient_norm=float(gradient_P.norm()),
            step=step,
            accuracy=float(right_N.mean()),
        )

    def _blocks(self) -> list[slice]:
        """Photos whose logits are held at a time: all, unless there are thousands of classes."""
        rows = max(1, _VALUES // self.classes)
        return [slice(start, start + rows) for start in range(0, len(self._labels_N), rows)]

    def _logits(self, values_P: Tensor, some: slice) -> Tensor:
        weight_CD, bias_C = self._parts(values_P)
        return torch.addmm(bias_C, self._features_ND[some], weight_CD.T)

    def _parts(self, values_P: Tensor) -> tuple[Tensor, Tensor]:
        return values_P[: -self.classes].view(self.classes, -1), values_P[-self.classes :]


def fit(
    regression: Regression,
    penalty: float,
    *,
    start: Tensor | None = None,
    most: int = MOST_ITERATIONS,
    fine: bool = True,
) -> Iterator[Fitted]:
    """Minimize by L-BFGS with backtracking; yield the start, and the state after each iteration, at least one.

    Args:
        regression: the photos.
        penalty: of the squared weights.
        start: parameters (P,); None: those that know nothing.
        most: number of iterations.
        fine: whether to go on until nothing visible changes; otherwise the accuracy suffices to compare penalties.

    Source: Nocedal and Wright 2006, Numerical Optimization, algorithms 3.1 and 7.4.
    """
    values_P = regression.start() if start is None else start
    loss, gradient_P = regression.loss(values_P, penalty)
    first = regression.loss(regression.start(), penalty)[1].norm()
    steps: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=_MEMORY)
    yield Fitted(values_P, gradient_P, 0.0)
    for number in range(most):
        if number and gradient_P.norm() <= (_FINE if fine else _ROUGH) * first:
            return
        direction_P = _direction(gradient_P, steps)
        slope = float(direction_P @ gradient_P)
        step = 1.0 if steps else 1.0 / max(1.0, float(gradient_P.norm()))
        for _ in range(_MOST_HALVINGS):
            new_P = values_P + step * direction_P
            new_loss, new_gradient_P = regression.loss(new_P, penalty)
            if new_loss <= loss + _SUFFICIENT * step * slope:
                break
            step /= 2
        else:
            return  # as low as rounding allows
        moved_P, turned_P = new_P - values_P, new_gradient_P - gradient_P
        if (curvature := moved_P @ turned_P) > 0:
            steps.append((moved_P, turned_P, curvature))
        values_P, loss, gradient_P = new_P, new_loss, new_gradient_P
        yield Fitted(values_P, gradient_P, step)


def choose_penalty(
    features_ND: NDArray[np.float32],
    labels_N: NDArray[np.int64],
    classes: int,
    *,
    seed: int,
    weights_C: NDArray[np.float32] | None = None,
) -> float:
    """Choose the penalty with the lowest loss on photos that were left out of the fit, from the strongest down.

    Args:
        features_ND: of the training split.
        labels_N: their classes.
        classes: number of classes.
        seed: of the parts that are left out.
        weights_C: weights of the classes; None: all 1.
    """
    parts = [part for part in parts_of(labels_N, seed) if len(part)]
    parts = parts[: max(1, -(-_ENOUGH_LEFT_OUT // max(1, len(parts[0]))))] if parts else []
    if not parts:  # no class has two photos
        return PENALTIES[0]
    losses_of_penalties: list[float] = []
    fits = [_Held(features_ND, labels_N, classes, part, weights_C) for part in parts]
    for penalty in PENALTIES:
        losses_of_penalties.append(sum(one.loss(penalty) for one in fits) / len(fits))
        best = int(np.argmin(losses_of_penalties))
        if len(losses_of_penalties) - 1 - best >= _WORSE:
            break
    return PENALTIES[int(np.argmin(losses_of_penalties))]


class _Held:
    """Fits without one part, each from the one before, and their loss on that part."""

    def __init__(
        self,
        features_ND: NDArray[np.float32],
        labels_N: NDArray[np.int64],
        classes: int,
        part: NDArray[np.int64],
        weights_C: NDArray[np.float32] | None,
    ) -> None:
        kept = np.setdiff1d(np.arange(len(labels_N)), part)
        self._regression = Regression(
            features_ND[kept], labels_N[kept], classes, weights_C, precision=torch.float32
        )  # fast, and fine enough to compare penalties
        self._features_ND = torch.from_numpy(features_ND[part]).double()
        self._labels_N = torch.from_numpy(labels_N[part])
        self._start: Tensor | None = None

    def loss(self, penalty: float) -> float:
        *_, last = fit(self._regression, penalty, start=self._start, fine=False)
        self._start = last.values_P
        found = self._regression.iteration(*last)
        logits_NC = torch.addmm(found.bias_C, self._features_ND, found.weight_CD.T)
        return float(torch.nn.functional.cross_entropy(logits_NC, self._labels_N))


def _added(sums: tuple[Tensor, ...], part: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Add a part to sums, in place."""
    return tuple(total.add_(one) for total, one in zip(sums, part, strict=True))


def _direction(gradient_P: Tensor, steps: deque[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Multiply the gradient by L-BFGS's approximation of the inverse Hessian, and turn it downhill."""
    direction_P = -gradient_P
    shares = []
    for moved_P, turned_P, curvature in reversed(steps):
        shares.append((moved_P @ direction_P) / curvature)
        direction_P = direction_P - shares[-1] * turned_P
    if steps:
        _, turned_P, curvature = steps[-1]
        direction_P = direction_P * (curvature / (turned_P @ turned_P))
    for (moved_P, turned_P, curvature), share in zip(steps, reversed(shares), strict=True):
        direction_P = direction_P + (share - (turned_P @ direction_P) / curvature) * moved_P
    return direction_P

"""Faults of what the network is given: points, labels, batches.

Shape suffixes: N points, B points of a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from thalweg.playground.loop import Fault
from thalweg.playground.presets.base import preset


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.playground.case import Case

_SAME_STEPS, _SAME_POINTS = 150, 12
_BLOCK: Final = 25  # steps of one class
_FLIP = 6  # stream of random numbers


def _far_away(inputs_N2: Tensor) -> Tensor:
    """In the hundreds, not standardized."""
    return 1000 * inputs_N2 + 500


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error that broadcasts (N, 1) against (N,): every output is compared with every target."""
    return (outputs - targets).square().mean()


def _without_axis(targets_N1: Tensor) -> Tensor:
    return targets_N1[:, 0]


def _one_in_a_hundred(train_N: Tensor, labels_N: Tensor, step: int, usual_B: Tensor) -> Tensor:
    """One point of the second class in a batch, the others of the first."""
    generator = torch.Generator().manual_seed(step)
    often_N, rare_N = (train_N[labels_N[train_N] == label] for label in (0, 1))
    return torch.cat([_drawn(often_N, len(usual_B) - 1, generator), _drawn(rare_N, 1, generator)])


def _one_class_after_another(train_N: Tensor, labels_N: Tensor, step: int, usual_B: Tensor) -> Tensor:
    """All batches of one class for some steps, then all of the other."""
    of_class_N = train_N[labels_N[train_N] == step // _BLOCK % 2]
    return _drawn(of_class_N, len(usual_B), torch.Generator().manual_seed(step))


def _first_points(train_N: Tensor, _labels_N: Tensor, step: int, usual_B: Tensor) -> Tensor:
    """The same few points in every step; after the training, as usual."""
    return train_N[:_SAME_POINTS] if step < _SAME_STEPS else usual_B


def _drawn(rows_N: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows_N[torch.randint(len(rows_N), (count,), generator=generator)]


def _in_another_order(labels_N: Tensor, seed: int) -> Tensor:
    return labels_N[torch.randperm(len(labels_N), generator=torch.Generator().manual_seed(seed))]


class _Flipped:
    """A share of the labels turned into the other class."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, labels_N: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 16 + _FLIP)
        return torch.where(torch.rand(len(labels_N), generator=generator) < self._share, 1 - labels_N, labels_N)


_NOISY: Final = Fault(labels=_Flipped(0.3))
_UNCERTAIN: Final = Fault(labels=_Flipped(0.16))

CASES: Final[tuple[Case, ...]] = (
    preset("bad_inputs", Fault(inputs=_far_away)),
    preset("bad_targets", Fault(loss=_squared, targets=_without_axis), loss="bce", points="blobs", lr=0.01),
    preset("class_imbalance", Fault(rows=_one_in_a_hundred), steps=250, batch=128, lr=0.005, noise=0.9),
    preset("not_shuffled", Fault(rows=_one_class_after_another), steps=153),
    preset(
        "same_batch",
        Fault(rows=_first_points),
        steps=_SAME_STEPS,
        points="spirals",
        more={"next_batch": True},
    ),
    preset("targets_unrelated", Fault(labels=_in_another_order), steps=300, more={"batches": 4}),
    preset(
        "noise_floor",
        _UNCERTAIN,
        steps=1_600,
        count=1_000,
        widths=(8,),
        activation="tanh",
        optimizer="sgd",
        lr=0.3,
        batch=8,
        repair={"batch": 240, "schedule": "cosine", "optimizer": "momentum"},
        mended=_UNCERTAIN,
        more={"batches": 4},
    ),
    preset(
        "overfitting",
        _NOISY,
        steps=500,
        points="spirals",
        count=80,
        batch=32,
        widths=(32, 32, 32),
        activation="tanh",
        lr=0.02,
        repair={"decay": 0.03},
        mended=_NOISY,
        more={"validated": True},
    ),
)

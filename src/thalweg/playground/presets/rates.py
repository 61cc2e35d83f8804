"""Faults of the learning rate, of its schedule and of the weight decay; and the trainings that go well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from thalweg.playground.loop import Fault
from thalweg.playground.presets.base import preset


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.playground.case import Case


def _stretched(inputs_N2: Tensor) -> Tensor:
    """One input a hundred times the other: a valley that is long and narrow."""
    return inputs_N2 * torch.tensor([0.1, 10.0])


CASES: Final[tuple[Case, ...]] = (
    preset("healthy", lr=0.003, points="circles"),
    preset("converged", points="blobs", lr=0.03, steps=200),
    preset("decayed_too_early", lr=0.003, schedule="multi_step(1%, gamma=0.001)", repair={"schedule": "constant"}),
    preset("diverged", optimizer="sgd", lr=1e5, loss="mse", repair={"lr": 0.3}),
    preset(
        "ill_conditioned",
        Fault(inputs=_stretched),
        points="line",
        widths=(),
        init="small",
        loss="mse",
        optimizer="sgd",
        lr=0.048,
        batch=1_000,
        repair={"lr": 0.5},
    ),
    preset("lr_too_large", Fault(clip=1.0), lr=3.0, repair={"lr": 0.01}, mended=Fault(clip=1.0)),
    preset("lr_too_small", lr=1e-6, points="xor", repair={"lr": 0.01}),
    preset("too_few_steps", optimizer="sgd", lr=0.1, steps=15, batch=96, more={"repaired_steps": 150}),
    preset("weight_decay_too_strong", decay=1.0, repair={"decay": 0.0}),
)

"""The table of the zoo's cases."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.rule import WELL
from thalweg.diagnosis.zoo.data import Samples, digits
from thalweg.diagnosis.zoo.networks import NETWORKS


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn
    from torch.optim import Optimizer

OPTIMIZERS = ("sgd", "momentum", "adam")
RATES = {"sgd": 0.1, "momentum": 0.02, "adam": 3e-3}
STEPS = 200
BATCH = 48


@dataclass(frozen=True, slots=True)
class Setting:
    """The network, optimizer and seed for which a case makes a training."""

    network: str
    optimizer: str
    seed: int

    def build(self, **options: Any) -> nn.Module:
        """Build the network, with weights drawn from the seed."""
        torch.manual_seed(self.seed)
        return NETWORKS[self.network](**options)

    def optimize(self, parameters: Iterable[Any], *, times: float = 1.0, decay: float = 0.0) -> Optimizer:
        """Make the optimizer, at `times` the rate that suits the zoo's networks."""
        rate = RATES[self.optimizer] * times
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
        momentum = 0.9 if self.optimizer == "momentum" else 0.0
        return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay)


@dataclass(slots=True)
class Training:
    """A training that is ready to run, as a user would write it.

    Attributes:
        model: the network.
        optimizer: over its parameters.
        samples: source of the batches.
        loss_fn: of (outputs, targets); None: the outputs hold the loss.
        steps: number of steps.
        size: samples per batch.
        rate_at: factor of the rate at a step; None: a constant rate.
        change: transforms inputs and targets before the network gets them.
        batch_of: makes the batch of a step and a seed; None: `samples` does.
        stepped: the optimizer that the loop steps, if that is not the one that is watched.
        clear: whether gradients are cleared.
        clip: largest gradient norm; None: no clipping.
        evaluating: whether the network is in evaluation mode.
        validate: whether validation losses are recorded, every 20 steps.
        other: whether the diagnosis gets another batch of the samples than that of the last step.
        seed: of the batches.
    """

    model: nn.Module
    optimizer: Optimizer
    samples: Samples
    loss_fn: Callable[[Tensor, Tensor], Tensor] | None = cross_entropy
    steps: int = STEPS
    size: int = BATCH
    rate_at: Callable[[int], float] | None = None
    change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    batch_of: Callable[[int, int], tuple[Tensor, Tensor]] | None = None
    stepped: Optimizer | None = None
    clear: bool = True
    clip: float | None = None
    evaluating: bool = False
    validate: bool = False
    other: bool = False
    seed: int = 0

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step."""
        pair = self.batch_of(step, self.seed) if self.batch_of else self.samples.batch(step, self.size, self.seed)
        return self.change(*pair) if self.change else pair


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of training.

    Attributes:
        name: of the case.
        truth: the codes that are correct; the first is the intended one.
        make: makes a training for a setting.
        networks: to which the case applies.
        optimizers: to which the case applies.
    """

    name: str
    truth: tuple[str, ...]
    make: Callable[[Setting], Training]
    networks: tuple[str, ...] = tuple(NETWORKS)
    optimizers: tuple[str, ...] = OPTIMIZERS

    @property
    def ill(self) -> bool:
        """Whether the training is faulty."""
        return not WELL & set(self.truth)

    def settings(self, seeds: Iterable[int]) -> list[Setting]:
        """All settings of the case, for the given seeds."""
        return [
            Setting(network, optimizer, seed)
            for network in self.networks
            for optimizer in self.optimizers
            for seed in seeds
        ]


CASES: dict[str, Case] = {}


def case(
    *truth: str, networks: tuple[str, ...] = tuple(NETWORKS), optimizers: tuple[str, ...] = OPTIMIZERS
) -> Callable[[Callable[[Setting], Training]], Callable[[Setting], Training]]:
    """Add a function to the table, under its own name."""

    def enter(make: Callable[[Setting], Training]) -> Callable[[Setting], Training]:
        CASES[make.__name__] = Case(make.__name__, truth, make, networks, optimizers)
        return make

    return enter


def plain(setting: Setting, *, times: float = 1.0, decay: float = 0.0, **options: Any) -> Training:
    """A healthy training, the basis of the faulty ones: digits, cross-entropy, a suitable rate."""
    model = setting.build(**options)
    return Training(model, setting.optimize(model.parameters(), times=times, decay=decay), digits(), seed=setting.seed)


def straight(setting: Setting, **options: Any) -> Training:
    """The plain training without the transformer's shortcuts, which would lead around the fault."""
    return plain(setting, **({"residual": False} if setting.network == "transformer" else {}), **options)


def load_all() -> dict[str, Case]:
    """The whole table; importing the modules of the cases fills it."""
    for name in ("failing_rates", "failing_layers", "failing_givens", "healthy"):
        import_module(f"thalweg.diagnosis.zoo.{name}")
    return CASES

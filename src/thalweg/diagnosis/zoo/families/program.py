"""What a program of a family consists of, before its optimizer is made; mutations change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.zoo.table import Training


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor
    from torch.optim import Optimizer

    from thalweg.diagnosis.zoo.data import Samples


@dataclass(slots=True)
class Program:
    """A program of a family.

    Attributes:
        model: the network.
        samples: for training, and held out.
        body: name of a submodule in the middle of the network.
        width: units (channels) that `body` puts out.
        head: name of the last layer.
        task: `classes`, `logit` (one output), `values`, or `own` (the program makes loss or targets itself).
        score: of held-out outputs and targets: 0 for a constant predictor, 1 for a perfect one.
        loss_fn: of (outputs, targets); None: the outputs hold the loss.
        optimizer: its class.
        rate: learning rate.
        options: of the optimizer.
        steps: number of steps.
        size: samples per batch.
        seed: of weights, data and batches.
        trained: parameters that the optimizer gets; None: all.
        loop: other fields of `Training`.
    """

    model: nn.Module
    samples: Samples
    body: str
    width: int
    head: str
    task: str
    score: Callable[[Any, Tensor], float]
    loss_fn: Callable[[Tensor, Tensor], Tensor] | None = cross_entropy
    optimizer: Callable[..., Optimizer] = torch.optim.Adam
    rate: float = 3e-3
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 150
    size: int = 32
    seed: int = 0
    trained: Iterable[nn.Parameter] | None = None
    loop: dict[str, Any] = field(default_factory=dict)

    def training(self) -> Training:
        """Make the optimizer and the training."""
        trained = self.model.parameters() if self.trained is None else self.trained
        optimizer = self.optimizer(trained, lr=self.rate, **self.options)
        common: dict[str, Any] = {"steps": self.steps, "size": self.size, "seed": self.seed, **self.loop}
        return Training(self.model, optimizer, self.samples, self.loss_fn, **common)

    def replace(self, name: str, module: nn.Module) -> None:
        """Put a module in a submodule's place."""
        parent, _, last = name.rpartition(".")
        setattr(self.model.get_submodule(parent), last, module)

    @torch.no_grad()
    def held_out(self) -> float:
        """Score of the trained network on held-out samples, at least 0; 0 if it is not finite."""
        self.model.eval()
        score = self.score(self.model(self.samples.valid_inputs_NF), self.samples.valid_targets_N)
        return max(0.0, score) if score == score else 0.0  # noqa: PLR0124 - NaN


FAMILIES: dict[str, Callable[[int], Program]] = {}


def family(make: Callable[[int], Program]) -> Callable[[int], Program]:
    """Add a function to the families, under its own name; weights and data come from its seed."""

    def seeded(seed: int) -> Program:
        torch.manual_seed(seed)
        program = make(seed)
        program.seed = seed
        return program

    FAMILIES[make.__name__] = seeded
    return seeded


def load_families() -> dict[str, Callable[[int], Program]]:
    """All families."""
    for name in ("images", "sequences", "codes", "tables"):
        import_module(f"thalweg.diagnosis.zoo.families.{name}")
    return FAMILIES


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Accuracy above that of the most frequent class, as a share of what is possible."""
    targets = targets.reshape(-1)
    right = (outputs.argmax(1).reshape(-1) == targets).float().mean()
    most = targets.bincount().max() / len(targets)
    return float((right - most) / (1 - most))


def accuracy_of_logit(outputs: Tensor, targets: Tensor) -> float:
    """The same for one logit."""
    yes = outputs.reshape(-1) > 0
    return accuracy(torch.stack([~yes, yes], 1).float(), targets.reshape(-1).long())


def explained(outputs: Tensor, targets: Tensor) -> float:
    """Explained share of the variance, R²."""
    outputs, targets = outputs.reshape(len(outputs), -1), targets.reshape(len(targets), -1)
    return float(1 - (outputs - targets).square().mean() / (targets - targets.mean(0)).square().mean())

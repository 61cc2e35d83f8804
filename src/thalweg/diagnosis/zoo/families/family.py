"""A family: what makes one kind of program, and its healthy training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.zoo.table import Training


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.zoo.data import Samples

    Task = Literal["classes", "binary", "numbers", "own"]

RATES = {"sgd": 0.05, "adam": 3e-3}


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of program.

    Attributes:
        name: of the family.
        network: makes the network, with weights from torch's generator.
        samples: makes the data from a seed.
        task: what its loss is: cross-entropy over `classes`, `binary` cross-entropy on logits, squared errors of
            `numbers`, or one of its `own`.
        loss_fn: of (outputs, targets).
        optimizer: `sgd` (with momentum) or `adam`.
        times: the learning rate, as a multiple of the usual one of `RATES`.
        steps: of a training.
        size: samples in a batch; 0: all of them, in their order.
    """

    name: str
    network: Callable[[], nn.Module]
    samples: Callable[[int], Samples]
    task: Task = "classes"
    loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    optimizer: Literal["sgd", "adam"] = "adam"
    times: float = 1.0
    steps: int = 200
    size: int = 48

    def optimize(self, parameters: Iterable[nn.Parameter], *, decay: float = 0.0) -> Optimizer:
        """Make the optimizer."""
        rate = self.times * RATES[self.optimizer]
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)

    def training(self, seed: int) -> Training:
        """The healthy training of a seed, ready to run."""
        torch.manual_seed(seed)
        model, samples = self.network(), self.samples(seed)
        whole = None if self.size else (lambda _step, _seed: (samples.inputs_NF, samples.targets_N))
        return Training(
            model,
            self.optimize(model.parameters()),
            samples,
            self.loss_fn,
            steps=self.steps,
            size=self.size or len(samples.inputs_NF),
            batch_of=whole,
            seed=seed,
        )

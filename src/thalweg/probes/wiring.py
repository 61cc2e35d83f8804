"""Which parameters of a model a training can reach: in the optimizer, with a gradient, with a rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self


if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Wiring:
    """Shares of a model's numbers, each in [0, 1], and whose they are.

    Attributes:
        parameters: how many numbers the model learns or could learn.
        missing: share that asks for a gradient but is in no group of the optimizer.
        frozen: share that asks for no gradient (`requires_grad=False`).
        stopped: share in groups whose learning rate is zero.
        foreign: how many of the optimizer's numbers are not the model's, as a share of the optimizer's.
        names: of some parameters that are missing or frozen, for the message.
    """

    parameters: int
    missing: float
    frozen: float
    stopped: float
    foreign: float
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer) -> Self:
        """Look at a model and its optimizer; nothing is run.

        Example:
            >>> import torch
            >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
            >>> Wiring.of(model, torch.optim.SGD(model[1].parameters(), lr=0.1)).missing
            0.6923076923076923
        """
        named = list(model.named_parameters())
        in_optimizer = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
        own = {id(parameter) for _, parameter in named}
        total = sum(parameter.numel() for _, parameter in named)
        missing = [(name, p) for name, p in named if p.requires_grad and id(p) not in in_optimizer]
        frozen = [(name, p) for name, p in named if not p.requires_grad]
        stopped = [p for _, p in named if p.requires_grad and in_optimizer.get(id(p)) == 0.0]
        held = [p for group in optimizer.param_groups for p in group["params"]]
        foreign = sum(p.numel() for p in held if id(p) not in own)
        return cls(
            parameters=total,
            missing=_share((p.numel() for _, p in missing), total),
            frozen=_share((p.numel() for _, p in frozen), total),
            stopped=_share((p.numel() for p in stopped), total),
            foreign=foreign / max(1, sum(p.numel() for p in held)),
            names=tuple(name for name, _ in [*missing, *frozen][:4]),
        )

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def _share(sizes: object, total: int) -> float:
    return sum(sizes) / total if total else 0.0  # type: ignore[call-overload] - any iterable of sizes

"""The wiring of a training loop: which parameters it can reach, and whether it clears gradients at each step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import torch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True, slots=True)
class Wiring:
    """Shares of a model's values that training cannot reach, each in [0, 1].

    Attributes:
        parameters: number of values that the model learns or could learn.
        missing: share that requires a gradient but is in no group of the optimizer.
        frozen: share that requires no gradient (`requires_grad=False`).
        stopped: share in groups whose learning rate is zero.
        foreign: share of the optimizer's values that do not belong to the model.
        names: names of some missing or frozen parameters, for the message.
    """

    parameters: int
    missing: float
    frozen: float
    stopped: float
    foreign: float
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer) -> Self:
        """Inspect a model and its optimizer without running anything.

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


class ClearingCheck:
    """Tells exactly, from one small tensor, whether gradients were cleared before this backward pass.

    Let g be the addition of this backward pass to the tensor's gradient, G the gradient after the last optimizer step,
    and G' the gradient now. Cleared: G' = g. Not cleared: G' = G + g.

    Args:
        parameters: all trained parameters; the smallest with more than one value is observed.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        able = [p for p in parameters if p.requires_grad and p.is_leaf and p.numel() > 1]
        self._parameter = min(able, key=torch.Tensor.numel) if able else None
        self._handle: RemovableHandle | None = None
        self._incoming: Tensor | None = None
        self._before: Tensor | None = None

    def prepare(self, *, after_step: bool) -> None:
        """Observe the next step.

        Args:
            after_step: whether the optimizer has stepped since the last call; if not, accumulation is intended.
        """
        self.forget()
        if self._parameter is None:
            return
        self._before = None
        if after_step and self._parameter.grad is not None and not self._parameter.grad.is_sparse:
            self._before = self._parameter.grad.detach().clone()
        self._incoming = None
        self._handle = self._parameter.register_hook(self._add)

    def _add(self, gradient: Tensor) -> None:
        gradient = gradient.detach()
        self._incoming = gradient.clone() if self._incoming is None else self._incoming + gradient

    def verdict(self) -> Tensor | None:
        """Return 1.0 if the gradient is last step's plus this one's, else 0.0, on the device; None if unknown."""
        if self._parameter is None or self._parameter.grad is None or self._incoming is None or self._before is None:
            return None
        rest = self._parameter.grad.detach() - self._incoming
        length = self._before.norm()
        off = (rest - self._before).norm()
        # the rest must equal last step's gradient, which must exceed the rounding error of this one
        kept = (off < 1e-3 * length) & (length > 1e-4 * self._incoming.norm())
        return kept.float()

    def forget(self) -> None:
        """Stop listening."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _share(sizes: object, total: int) -> float:
    return sum(sizes) / total if total else 0.0  # type: ignore[call-overload] - any iterable of sizes

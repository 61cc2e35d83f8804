"""Schedule-free AdamW: an average of the iterates replaces a falling learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor


class ScheduleFree(Optimizer):
    """AdamW at a constant rate, with gradients taken between the fast iterate z and its average x.

    ```
    y = (1 - β₁)·z + β₁·x                  gradients are taken at y, which the parameters hold
    v ← β₂·v + (1 - β₂)·g²
    z ← z - η·g / (√(v / (1 - β₂ᵗ)) + ε) - η·λ·y
    x ← (1 - c)·x + c·z,                   c = η² / Σ η²
    ```

    Evaluate at x: `eval()` puts x into the parameters, `train()` puts y back. A falling schedule defeats the purpose:
    use `warmup(5%)`. Batch-norm statistics belong to y and must be estimated again for x
    (`training.weight_averaging.estimate_norms`).

    Args:
        params: parameters, or groups of them.
        lr: η, warmed up and then constant.
        betas: β₁, β₂; β₁ must not be 0.
        eps: ε.
        weight_decay: λ, decoupled, at y.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([5.0]))
        >>> optimizer = ScheduleFree([weight], lr=0.5)
        >>> for _ in range(200):
        ...     weight.grad = 2 * weight.detach()
        ...     _ = optimizer.step()
        >>> optimizer.eval()
        >>> bool(weight.abs() < 0.1)
        True

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._at_average = False

    def __getstate__(self) -> dict[str, Any]:
        """Include whether the parameters hold x or y, for copies and pickles."""
        return {**super().__getstate__(), "_at_average": self._at_average}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step with the parameters' current gradients; the parameters must hold y."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for y in group["params"]:
                if y.grad is not None:
                    self._update(y, group)
        return loss

    def _update(self, y: Tensor, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        state = self.state[y]
        if not state:
            state.update(step=0, weight_sum=0.0, z=y.detach().clone(), exp_avg_sq=torch.zeros_like(y))
        z, second = state["z"], state["exp_avg_sq"]
        state["step"] += 1
        state["weight_sum"] += lr * lr
        share = lr * lr / state["weight_sum"] if state["weight_sum"] else 0.0
        second.mul_(beta2).addcmul_(y.grad, y.grad, value=1 - beta2)
        scale = (second / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        direction = (y.grad / scale).add_(y, alpha=group["weight_decay"])
        # y moves with x and z; x is never stored, because it is a combination of y and z.
        y.lerp_(z, share).add_(direction, alpha=lr * (beta1 * (1 - share) - 1))
        z.add_(direction, alpha=-lr)

    @torch.no_grad()
    def eval(self) -> None:
        """Put x into the parameters."""
        self._move(to_average=True)

    @torch.no_grad()
    def train(self) -> None:
        """Put y back."""
        self._move(to_average=False)

    def _move(self, *, to_average: bool) -> None:
        if to_average == self._at_average:
            return
        self._at_average = to_average
        for group in self.param_groups:
            beta1 = group["betas"][0]
            for parameter in group["params"]:
                if "z" in self.state[parameter]:
                    # x = y + (1 - 1/β₁)·(z - y), and back y = x + (1 - β₁)·(z - x)
                    parameter.lerp_(self.state[parameter]["z"], 1 - 1 / beta1 if to_average else 1 - beta1)

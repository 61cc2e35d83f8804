"""Products of the Hessian of a model's loss with vectors.

Shape suffix: P entries of all parameters in question, concatenated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch

from thalweg.diagnosis.curvature.objective import Mode, Objective
from thalweg.errors import UsageError
from thalweg.probes.batches import read_batches


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from torch import Tensor, nn

    from thalweg.probes.batches import Batch

_Derivative = tuple[list["Tensor"], "list[Tensor | None]"]


class HessianOperator:
    """The Hessian of a model's mean loss over batches, as an operator on vectors.

    `H v = ∇(gᵀ v)` with the gradient g of `Σ n_b ℓ_b / Σ n_b`, where ℓ_b is the mean loss of a batch of n_b examples:
    a smaller last batch counts for less. With one batch, the graph of the gradient is kept, so a product costs one
    backward pass. With several, each product computes the losses again, so memory holds one graph at a time.

    The model does not change, bit for bit: mode of each submodule, `.grad`, running statistics, random states,
    `requires_grad`. A dropout mask is the same in every product. Attention uses the kernel that has a second
    derivative, and autocast is off. The weights must not change while the operator is in use.

    Args:
        model: any module; the computation runs on its parameters' device.
        loss_fn: `loss_fn(model(inputs), targets)` is a scalar, a mean over the batch.
        batches: one or several, in any form of `thalweg.probes.batches`, weighted by their numbers of samples.
        parameters: the variables of the Hessian, in this order; None: all that require a gradient.
        mode: the mode for the call: `train`, `eval`, or `keep` for the current mode of each submodule.

    Raises:
        UsageError: there is no batch or no parameter, or a parameter belongs to another model.

    Example:
        >>> layer = torch.nn.Linear(2, 1, bias=False)  # the loss is (w·x)², its Hessian 2 x xᵀ
        >>> square = lambda outputs, targets: (outputs - targets).square().mean()
        >>> with HessianOperator(layer, square, [(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 1))]) as hessian:
        ...     hessian.matvec(torch.tensor([1.0, 0.0]))
        tensor([2., 6.])

    Source: Pearlmutter 1994, Fast exact multiplication by the Hessian, https://doi.org/10.1162/neco.1994.6.1.147.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        batches: Any,
        *,
        parameters: Iterable[Tensor] | None = None,
        mode: Mode = "keep",
    ) -> None:
        self._objective = Objective(model, loss_fn, parameters=parameters, mode=mode)
        self._batches = read_batches(batches, self._objective.model)
        if not self._batches:
            raise UsageError("curvature.no_batches")
        counts = [batch.size for batch in self._batches]
        self._weights = [count / sum(counts) for count in counts]
        self._sizes = [parameter.numel() for parameter in self._objective.parameters]
        self._kept: _Derivative | None = None
        self._gradient_P: Tensor | None = None
        self.products = 0
        first = self._objective.parameters[0]
        self.device = first.device
        self.dtype = first.dtype
        for parameter in self._objective.parameters[1:]:
            self.dtype = torch.promote_types(self.dtype, parameter.dtype)

    @property
    def size(self) -> int:
        """Number of parameters, the P of vectors."""
        return sum(self._sizes)

    @property
    def gradient_P(self) -> Tensor:  # noqa: N802 - a shape suffix
        """The gradient of the mean loss, shape (P,)."""
        if self._gradient_P is None:
            with self._objective.undisturbed():
                self._gradient_P = self._summed(
                    lambda derivative: [g if g is None else g.detach() for g in derivative[1]]
                )
        return self._gradient_P

    def matvec(self, vector_P: Tensor) -> Tensor:
        """Multiply the Hessian by a vector.

        Args:
            vector_P: shape (P,), on any device, with any real type.

        Returns:
            Shape (P,), with the parameters' type and device.

        Raises:
            UsageError: the vector has the wrong length, or an operation of the model has no second derivative.
            TrainingError: the loss is not finite.
        """
        if vector_P.shape != (self.size,):
            raise UsageError("curvature.wrong_vector", got=tuple(vector_P.shape), size=self.size)
        vectors = self._split(vector_P.detach().to(self.device))
        with self._objective.undisturbed():
            product_P = self._summed(lambda derivative: _product(*derivative, vectors))
        self.products += 1
        return product_P

    def close(self) -> None:
        """Free the graph."""
        self._kept = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _summed(self, of: Callable[[_Derivative], Sequence[Tensor | None]]) -> Tensor:
        """The weighted sum of a function of each batch's gradient."""
        total_P = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for batch, weight in zip(self._batches, self._weights, strict=True):
            derivative = self._kept or self._derivative(batch)
            if len(self._batches) == 1:
                self._kept = derivative
            start = 0
            for part, size in zip(of(derivative), self._sizes, strict=True):
                if part is not None:
                    total_P[start : start + size].add_(part.reshape(-1), alpha=weight)
                start += size
        return total_P

    def _derivative(self, batch: Batch) -> _Derivative:
        """The leaves, and the gradient of each with its graph; None if the loss does not depend on it."""
        loss = self._objective.loss(batch)
        leaves = self._objective.leaves
        if not loss.requires_grad:
            return leaves, [None] * len(leaves)
        return leaves, list(torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True))

    def _split(self, vector_P: Tensor) -> list[Tensor]:
        parts = vector_P.split(self._sizes)
        return [
            part.view(parameter.shape).to(parameter.dtype)
            for part, parameter in zip(parts, self._objective.parameters, strict=True)
        ]


def _product(leaves: list[Tensor], gradients: list[Tensor | None], vectors: list[Tensor]) -> Sequence[Tensor | None]:
    """∇(Σ gᵀ v); a gradient without a graph is constant, so its derivative is zero."""
    curved = [(g, v) for g, v in zip(gradients, vectors, strict=True) if g is not None and g.requires_grad]
    if not curved:
        return [None] * len(leaves)
    outputs, weights = zip(*curved, strict=True)
    try:
        return torch.autograd.grad(outputs, leaves, weights, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if "derivative" not in str(error):
            raise
        raise UsageError("curvature.no_second_derivative", reason=error) from error

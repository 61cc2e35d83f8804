"""The loss of any model on a batch, computed without changing the model.

Aliases of the parameters and copies of the buffers take their places for the call. So `.grad`, running statistics and
the parameters' hooks are untouched; modes and random states are restored.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from thalweg.errors import TrainingError, UsageError
from thalweg.probes.batches import Batch, unwrapped


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

Mode = Literal["keep", "train", "eval"]


class Objective:
    """The loss of a model on a batch as a function of its parameters.

    Args:
        model: any module.
        loss_fn: `loss_fn(model(inputs), targets)` is a scalar, a mean over the batch.
        parameters: the model's parameters on which the loss depends. None: all that require a gradient.
        mode: the mode for the call: `train`, `eval`, or `keep` for the current mode of each submodule.

    Raises:
        UsageError: there is no parameter, or one belongs to another model.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        *,
        parameters: Iterable[Tensor] | None = None,
        mode: Mode = "keep",
    ) -> None:
        self.model = unwrapped(model)
        self._joint = _Joint(self.model, loss_fn)
        self._mode: Mode = mode
        names = {id(parameter): name for name, parameter in self._joint.named_parameters()}
        wanted = (p for p in self.model.parameters() if p.requires_grad) if parameters is None else parameters
        self.parameters: list[Tensor] = list({id(parameter): parameter for parameter in wanted}.values())
        if not self.parameters:
            raise UsageError("curvature.no_parameters")
        if any(id(parameter) not in names for parameter in self.parameters):
            raise UsageError("curvature.foreign_parameter")
        self._names = [names[id(parameter)] for parameter in self.parameters]
        self._renormed = _renormed(self._joint)
        self._aliases = [
            self._renormed.get(name, parameter).detach().requires_grad_()  # shares the parameter's memory
            for name, parameter in zip(self._names, self.parameters, strict=True)
        ]
        self.leaves = self._aliases
        self._direct: bool | None = None  # whether to call the model with its own parameters; None: unknown
        self._random = _random_state(self.parameters[0].device)

    def loss(self, batch: Batch) -> Tensor:
        """The loss, with its graph back to `leaves`, which replace `parameters`.

        Raises:
            UsageError: the loss is not a scalar.
            TrainingError: the loss is not finite.
        """
        batch = batch.to(self.parameters[0].device)
        loss = self._call(batch)
        if self._direct is None:
            self._direct = self._escapes(loss)
            if self._direct:
                pairs = zip(self.parameters, self._aliases, strict=True)
                self.leaves = [parameter if parameter.requires_grad else alias for parameter, alias in pairs]
                loss = self._call(batch)
        return loss

    def _call(self, batch: Batch) -> Tensor:
        stand_ins = {name: buffer.detach().clone() for name, buffer in self._joint.named_buffers()}
        stand_ins |= self._renormed
        stand_ins |= {
            name: leaf
            for name, leaf, parameter in zip(self._names, self.leaves, self.parameters, strict=True)
            if leaf is not parameter
        }
        loss = functional_call(self._joint, stand_ins, (batch,))
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            got = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise UsageError("curvature.not_scalar", got=got)
        return loss.reshape(())

    def _escapes(self, loss: Tensor) -> bool:
        """Whether the loss uses parameters that are not looked up in the model, but in a list, for instance."""
        if not torch.isfinite(loss):
            raise TrainingError("curvature.not_finite", loss=float(loss.detach()))
        known = {id(parameter) for parameter in self.parameters}
        waiting, seen = [loss.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if id(getattr(node, "variable", None)) in known:
                return True
            waiting.extend(following for following, _ in node.next_functions)
        return False

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Compute losses and derivatives inside this context; it restores model and random states.

        It starts with the random state at which the objective was made, so that dropout masks are always the same.
        """
        device = self.parameters[0].device
        modes = [(module, module.training) for module in self.model.modules()]
        flat = [(module, dict(vars(module))) for module in self.model.modules() if isinstance(module, nn.RNNBase)]
        embeddings = (module for module in self.model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag))
        sparse = [module for module in embeddings if module.sparse]
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(mode=False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.autocast(device.type, enabled=False))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the fused kernels have no second derivative
            stack.enter_context(_random_restored(device))
            if flat and device.type == "cuda":
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))  # neither have its recurrent layers
            try:
                _set_random_state(device, self._random)
                if self._mode != "keep":
                    self.model.train(self._mode == "train")
                for module in sparse:
                    module.sparse = False  # a sparse gradient has no derivative
                yield
            finally:
                for module, training in modes:
                    module.training = training
                for module in sparse:
                    module.sparse = True
                for module, attributes in flat:  # a recurrent layer keeps its weights in a second list
                    vars(module).update(attributes)


class _Joint(nn.Module):
    """Model and loss in one module, so that a loss that reads the model's parameters gets the replacements."""

    def __init__(self, model: nn.Module, loss_fn: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss_fn = loss_fn

    def forward(self, batch: Batch) -> Tensor:
        return batch.loss(self.model, self.loss_fn)


def _renormed(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the weights that a forward pass would renormalize in place."""
    return {
        f"{name}.weight": layer.weight.detach().clone()
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.max_norm is not None
    }


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def _set_random_state(device: torch.device, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


@contextmanager
def _random_restored(device: torch.device) -> Iterator[None]:
    states = _random_state(device)
    try:
        yield
    finally:
        _set_random_state(device, states)

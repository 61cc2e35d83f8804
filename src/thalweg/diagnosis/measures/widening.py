"""A copy with a larger network: its narrowest layer widened, or a hidden layer where there is none.

A network is too small if a larger one learns what it cannot; steps that fail do not prove it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

NARROW = 4  # units; a hidden layer with more is not asked
WIDE = 64
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.RNNBase)


class Call(NamedTuple):
    """A layer in the order of the forward pass."""

    name: str
    module: nn.Module
    takes: int
    gives: int


def enlarge(copied: Copy, batch: Batch, *, narrow: int = NARROW) -> bool:
    """Enlarge a copied network in place; the new layers have new weights, and its optimizer trains them.

    The narrowest hidden layer with at most `narrow` units gets `WIDE` of them; a network that is a single linear layer
    gets a hidden layer.

    Args:
        copied: the model and its optimizer.
        batch: whose shapes show how wide each layer is.
        narrow: units.

    Returns:
        Whether there was such a layer and the larger network gives outputs of the same shape.
    """
    calls = calls_of(copied.model, batch)
    pair = _narrowest(calls, narrow)
    with own_randomness(0), torch.no_grad():
        before = batch.outputs(copied.model)
    if pair is not None:
        first, norms, second = pair
        new: dict[str, nn.Module] = {
            first.name: _resized(first.module, first.takes, WIDE),
            second.name: _resized(second.module, WIDE, second.gives),
            **{norm.name: type(norm.module)(WIDE) for norm in norms},
        }
    elif len(calls) == 1 and isinstance(calls[0].module, nn.Linear) and calls[0].name:
        only = calls[0]
        new = {only.name: nn.Sequential(nn.Linear(only.takes, WIDE), nn.ReLU(), nn.Linear(WIDE, only.gives))}
    else:
        return False
    for name, module in new.items():
        old = copied.model.get_submodule(name)
        like = next(old.parameters())
        module.to(like.device, like.dtype).train(old.training)
        put(copied, name, module)
    try:
        with own_randomness(0), torch.no_grad():
            after = batch.outputs(copied.model)
    except RuntimeError:  # another layer reads what was widened
        return False
    shapes = [[one.shape for one in tensors_in(outputs)] for outputs in (before, after)]
    return shapes[0] == shapes[1] != []


def calls_of(model: nn.Module, batch: Batch) -> list[Call]:
    """The linear and recurrent layers, convolutions and batch norms of one pass, in order."""
    calls: list[Call] = []

    def note(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], outputs: Any) -> None:
            output = outputs[0] if isinstance(outputs, tuple) else outputs  # a recurrent layer gives its states, too
            if isinstance(output, torch.Tensor) and inputs:  # none of a packed sequence, or given by keyword
                at = -1 if isinstance(module, nn.Linear | nn.RNNBase) else 1
                calls.append(Call(name, module, inputs[0].shape[at], output.shape[at]))

        handles.append(module.register_forward_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in model.named_modules():
        if isinstance(module, (*_LAYERS, nn.modules.batchnorm._BatchNorm)):  # noqa: SLF001
            note(name, module)
    try:
        with own_randomness(0), torch.no_grad():
            batch.outputs(model)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _narrowest(calls: list[Call], narrow: int) -> tuple[Call, list[Call], Call] | None:
    """The narrowest layer that is called once, the norms after it, and the layer that takes what it gives."""
    found = None
    layers = [at for at, call in enumerate(calls) if isinstance(call.module, _LAYERS)]
    once = {call.name for call in calls if sum(other.name == call.name for other in calls) == 1}
    for at, following in pairwise(layers):
        first, second, norms = calls[at], calls[following], calls[at + 1 : following]
        fits = first.gives == second.takes and {first.name, second.name} <= once
        plain = _is_plain(first.module) and _is_plain(second.module)
        holds_back = first.gives <= narrow
        if fits and plain and holds_back and (found is None or first.gives < found[0].gives):
            found = first, norms, second
    return found


def _is_plain(module: nn.Module) -> bool:
    """Whether a layer's width is one number: no groups of channels, no two directions, no projection."""
    if isinstance(module, nn.RNNBase):
        return not module.bidirectional and not module.proj_size
    return getattr(module, "groups", 1) == 1


def _resized(module: nn.Module, takes: int, gives: int) -> nn.Module:
    """A layer of the same kind with new weights and other widths."""
    if isinstance(module, nn.RNNBase):
        names = ("num_layers", "bias", "batch_first", "dropout")
        names += ("nonlinearity",) if isinstance(module, nn.RNN) else ()
        kind: Any = type(module)  # one of three, which do not take what their base takes
        return kind(takes, gives, **{name: getattr(module, name) for name in names})
    bias = module.bias is not None
    if isinstance(module, nn.Linear):
        return nn.Linear(takes, gives, bias=bias)
    assert isinstance(module, nn.Conv1d | nn.Conv2d)  # noqa: S101 - of `_LAYERS`
    return type(module)(
        takes,
        gives,
        module.kernel_size,  # type: ignore[arg-type] - of its own kind
        module.stride,  # type: ignore[arg-type]
        module.padding,  # type: ignore[arg-type]
        module.dilation,  # type: ignore[arg-type]
        bias=bias,
    )


def put(copied: Copy, name: str, module: nn.Module) -> None:
    """Put a module in another's place, also in the optimizer's groups."""
    old = copied.model.get_submodule(name)
    parent, _, last = name.rpartition(".")
    setattr(copied.model.get_submodule(parent), last, module)
    gone = {id(parameter) for parameter in old.parameters()}
    groups = copied.optimizer.param_groups
    home = next((group for group in groups if any(id(p) in gone for p in group["params"])), None)
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in gone]
    if home is not None:  # what no optimizer trained stays untrained
        home["params"].extend(module.parameters())

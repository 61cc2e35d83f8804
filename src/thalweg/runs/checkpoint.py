"""The checkpoint format: one safetensors file, written atomically; never pickle.

`last` holds weights, optimizer state and counters: everything needed to resume bit-identically.
`best` holds the weights to predict with: those of the best or the last epoch, or their average.

Tensors are named `model.<name>`, `average.<name>`, `optimizer.<parameter>.<key>` and `optimizer.group<n>.<key>`; the
file's metadata is one JSON text that holds everything else.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from safetensors.torch import save_file

from thalweg._files import replacing
from thalweg.errors import RunError, StorageError, UsageError
from thalweg.i18n import joined
from thalweg.runs import schema
from thalweg.runs.options import shown


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer

FORMAT = "thalweg-checkpoint-1"
# Entries of a group that its constructor sets again.
_NOT_KEPT = {"params", "lr", "scale", "fused", "foreach", "capturable", "differentiable", "maximize"}


def save(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and metadata to one file.

    Args:
        path: the file.
        tensors: by name, on any device, in any memory layout.
        facts: JSON-serializable metadata.

    Raises:
        StorageError: the folder is not writable, or the disk is full; an existing file is kept.
    """
    metadata = {"thalweg": json.dumps({"format": FORMAT, **facts})}
    with replacing(path) as temporary:
        try:
            save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, metadata)
        except SafetensorError as error:
            raise StorageError("errors.cannot_write", path=path, reason=error) from error


def load(path: Path, wanted: Mapping[str, schema.Entry] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, on the CPU, and the metadata.

    Args:
        path: the file.
        wanted: the schema of the metadata.

    Raises:
        RunError: no such file, not a checkpoint of this version, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("thalweg", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise RunError("runs.no_checkpoint", path=path, reason=error) from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise RunError("runs.other_checkpoint", path=path, found=shown(found), expected=FORMAT)
    return tensors, schema.checked(facts, wanted or {}, path)


def packed(tensors: dict[str, Tensor], facts: dict[str, Any]) -> bytes:
    """Return tensors and metadata as the content of a file, for a process that cannot read the file."""
    metadata = {"thalweg": json.dumps({"format": FORMAT, **facts})}
    return save_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)


def unpacked(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `packed` returned."""
    length = int.from_bytes(content[:8], "little")  # a safetensors file begins with the length of its header
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["thalweg"])
    return load_bytes(content), facts


def model_tensors(model: nn.Module, prefix: str = "model") -> dict[str, Tensor]:
    """Weights and buffers by name."""
    return {f"{prefix}.{name}": tensor for name, tensor in model.state_dict().items()}


def names_of_model(tensors: dict[str, Tensor], prefix: str = "model") -> dict[str, Tensor]:
    """Return the weights and buffers in a checkpoint's tensors, under the model's own names."""
    prefix += "."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def load_model(model: nn.Module, tensors: dict[str, Tensor], prefix: str = "model") -> None:
    """Copy weights and buffers into a model; its memory layout stays.

    Raises:
        RunError: the checkpoint belongs to another network, or a weight is not finite.
    """
    ours, theirs = model.state_dict(), names_of_model(tensors, prefix)
    differ = ours.keys() ^ theirs.keys() or {name for name in ours if ours[name].shape != theirs[name].shape}
    if differ:
        raise RunError("runs.other_network", names=joined(sorted(differ)[:3]))
    broken = [name for name, tensor in theirs.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise RunError("runs.weights_not_finite", names=joined(broken[:3]))
    model.load_state_dict(theirs)


def optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimizer's state: its tensors by name, and the rest as JSON values.

    Raises:
        UsageError: the state holds something that is neither, nor a list, tuple or dictionary of them.
    """
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    parameters = _parameters(optimizer)
    kept = {f"{at}": optimizer.state.get(parameter, {}) for at, parameter in enumerate(parameters)}
    for at, group in enumerate(optimizer.param_groups):
        kept[f"group{at}"] = {key: value for key, value in group.items() if key not in _NOT_KEPT}
    for home, values in kept.items():
        for key, value in values.items():
            # a tensor of its parameter's shape gets the parameter's order
            shape = parameters[int(home)].shape if home.isdecimal() else None
            if isinstance(value, torch.Tensor) and (value.shape == shape or not _order_of(value)):
                tensors[f"optimizer.{home}.{key}"] = value
            else:
                rest[f"{home}.{key}"] = _plain(value, f"optimizer.{home}.{key}", tensors)
    return tensors, rest


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any], path: Path) -> None:
    """Restore the state that `optimizer_tensors` returned.

    A tensor of its parameter's shape gets the parameter's memory layout, as it had originally. All tensors move to
    their parameter's device except step counts, which torch keeps on the CPU unless the optimizer is fused.

    Args:
        optimizer: a new one, over the same parameters.
        tensors: of the checkpoint.
        rest: of the checkpoint's metadata.
        path: the checkpoint, for the message.

    Raises:
        RunError: the state is damaged, or that of another optimizer.
    """
    usual = [{**group} for group in optimizer.param_groups]
    try:
        _fill(optimizer, tensors, rest)
    except (AttributeError, IndexError, KeyError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        raise RunError("runs.other_optimizer", path=path, reason=error) from error
    for group, before in zip(optimizer.param_groups, usual, strict=True):
        for name, value in before.items():
            if name != "params" and not _is_alike(group[name], value):
                raise RunError("runs.other_optimizer", path=path, reason=f"{name} = {shown(group[name])}")


def snapshot(
    model: nn.Module, optimizer: Optimizer, average: nn.Module | None, facts: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a training, and its facts with the rest of the optimizer's state.

    Args:
        model: the network.
        optimizer: its optimizer.
        average: the moving average of the network, if there is one.
        facts: counters and clock.
    """
    tensors, numbers = optimizer_tensors(optimizer)
    if average is not None:
        tensors |= model_tensors(average, "average")
    return model_tensors(model) | tensors, {**facts, "optimizer": numbers}


def restore(
    model: nn.Module,
    optimizer: Optimizer,
    average: nn.Module | None,
    kept: tuple[dict[str, Tensor], dict[str, Any]],
    path: Path,
) -> None:
    """Put into a training what `snapshot` returned; `path`, the checkpoint, is for the message.

    Raises:
        RunError: it is damaged, or belongs to another network or optimizer.
    """
    tensors, facts = kept
    load_model(model, tensors)
    load_optimizer(optimizer, tensors, facts["optimizer"], path)
    if average is not None:
        load_model(average, tensors, "average")


def _is_alike(value: Any, usual: Any) -> bool:
    """Whether a setting has the kind of the usual one: a number for a number, as many of them, a flag for a flag."""
    if isinstance(usual, list | tuple):
        right = isinstance(value, list | tuple) and len(value) == len(usual)
        return right and all(map(_is_alike, value, usual))
    if isinstance(usual, bool) or isinstance(value, bool) or usual is None or value is None:
        return isinstance(value, type(usual)) or usual is None or value is None
    if isinstance(usual, int | float):
        return isinstance(value, int | float) and (abs(value) < math.inf or value == usual)
    return not isinstance(value, int | float | list | tuple)


def _fill(optimizer: Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
    parameters = _parameters(optimizer)
    device = parameters[0].device
    fused = any(group.get("fused") for group in optimizer.param_groups)
    for name, value in rest.items():
        home, key = name.split(".", 1)
        _home(optimizer, parameters, home)[key] = _from_plain(value, tensors, device)
    inner = set(_names_within(rest))
    for name, tensor in tensors.items():
        if not name.startswith("optimizer.") or name in inner:
            continue
        _, home, key = name.split(".", 2)
        values = _home(optimizer, parameters, home)
        value = tensor if key == "step" and not fused else tensor.to(device)
        is_like = home.isdecimal() and tensor.numel() == parameters[int(home)].numel()
        if is_like and tensor.numel() > 1 and tensor.shape != parameters[int(home)].shape:
            raise ValueError(name)
        if home.isdecimal() and tensor.shape == parameters[int(home)].shape:
            value = torch.empty_like(parameters[int(home)], dtype=tensor.dtype).copy_(tensor)
        values[key] = value.detach()


def _home(optimizer: Optimizer, parameters: list[nn.Parameter], name: str) -> dict[str, Any]:
    """The state of a group, or of the parameter at a position."""
    if name.startswith("group"):
        return optimizer.param_groups[int(name.removeprefix("group"))]
    return optimizer.state[parameters[int(name)]]


def _plain(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Convert a value to JSON; a tensor inside it moves to `tensors` under a new name, which replaces it."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        order = _order_of(value)
        return {"tensor": name, "order": order} if order else {"tensor": name}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_plain(part, f"{name}.{at}", tensors) for at, part in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": [[key, _plain(part, f"{name}.{at}", tensors)] for at, (key, part) in enumerate(value.items())]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UsageError("runs.optimizer_not_kept", key=name.rsplit(".", 1)[-1], kind=type(value).__name__)


def _from_plain(value: Any, tensors: dict[str, Tensor], device: torch.device) -> Any:
    """Back from `_plain`."""
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "tensor":
        return _in_order(tensors[content].to(device), value.get("order", []))
    if kind == "dict":
        return {key: _from_plain(part, tensors, device) for key, part in content}
    parts = [_from_plain(part, tensors, device) for part in content]
    return tuple(parts) if kind == "tuple" else parts


def _order_of(tensor: Tensor) -> list[int]:
    """The axes from the largest stride to the smallest, if a file would change that; else none.

    Products of matrices have other last bits in another order.
    """
    order = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride(axis))
    return [] if tensor.is_contiguous() or not tensor.permute(order).is_contiguous() else order


def _in_order(tensor: Tensor, order: list[int]) -> Tensor:
    """Bring a tensor's memory into an order of `_order_of`."""
    if not order:
        return tensor
    return tensor.permute(order).contiguous().permute(sorted(range(len(order)), key=order.__getitem__))


def _names_within(value: Any) -> Iterator[str]:
    """The names of tensors inside lists, tuples and dictionaries."""
    if isinstance(value, dict):
        if isinstance(value.get("tensor"), str):
            yield value["tensor"]
        for part in value.values():
            yield from _names_within(part)
    elif isinstance(value, list):
        for part in value:
            yield from _names_within(part)


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]

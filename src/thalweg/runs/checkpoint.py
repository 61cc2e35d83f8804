"""The checkpoint format: one safetensors file, written atomically; never pickle.

`last` holds weights, optimizer state and counters: everything needed to resume bit-identically.
`best` holds the weights to predict with: those of the best or the last epoch, or their average.

Tensors are named `model.<name>`, `average.<name>`, `optimizer.<parameter>.<key>` and `optimizer.group<n>.<key>`; the
file's metadata is one JSON text that holds everything else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from thalweg._files import replacing
from thalweg.errors import RunError, StorageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer

FORMAT = "thalweg-checkpoint-1"
# Entries of a group that its constructor sets again.
_NOT_KEPT = {"params", "lr", "fused", "foreach", "capturable", "differentiable", "maximize"}


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


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, on the CPU, and the metadata.

    Raises:
        RunError: no such file, or not a checkpoint of this version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("thalweg", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise RunError("runs.no_checkpoint", path=path, reason=error) from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise RunError("runs.other_checkpoint", path=path, found=found, expected=FORMAT)
    return tensors, facts


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
        RunError: the checkpoint belongs to another network.
    """
    ours, theirs = model.state_dict(), names_of_model(tensors, prefix)
    if ours.keys() != theirs.keys() or any(ours[name].shape != theirs[name].shape for name in ours):
        raise RunError("runs.other_network", names=", ".join(sorted(ours.keys() ^ theirs.keys())[:3]))
    model.load_state_dict(theirs)


def optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimizer's state: its tensors by name, and the rest as JSON values.

    Raises:
        UsageError: the state holds something that is neither, nor a list, tuple or dictionary of them.
    """
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    kept = {f"{at}": optimizer.state.get(parameter, {}) for at, parameter in enumerate(_parameters(optimizer))}
    for at, group in enumerate(optimizer.param_groups):
        kept[f"group{at}"] = {key: value for key, value in group.items() if key not in _NOT_KEPT}
    for home, values in kept.items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{home}.{key}"] = value
            else:
                rest[f"{home}.{key}"] = _plain(value, f"optimizer.{home}.{key}", tensors)
    return tensors, rest


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
    """Restore the state that `optimizer_tensors` returned.

    A tensor of its parameter's shape gets the parameter's memory layout, as it had originally. All tensors move to
    their parameter's device except step counts, which torch keeps on the CPU unless the optimizer is fused.
    """
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
        return {"tensor": name}
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
        return tensors[content].to(device)
    if kind == "dict":
        return {key: _from_plain(part, tensors, device) for key, part in content}
    parts = [_from_plain(part, tensors, device) for part in content]
    return tuple(parts) if kind == "tuple" else parts


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

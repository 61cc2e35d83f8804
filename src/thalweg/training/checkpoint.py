"""Checkpoints: one safetensors file that is written whole or not at all; never pickle.

`last` holds weights, optimizer state and counters: all that a training needs to go on, bit by bit.
`best` holds the weights to predict with: the best epoch's or the last one's, or their average.

Tensors are named `model.<name>`, `average.<name>` and `optimizer.<parameter>.<key>`; the file's metadata is one
JSON text with everything that is not a tensor.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from thalweg._files import replacing
from thalweg.errors import RunError, StorageError


if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer

FORMAT = "thalweg-checkpoint-1"


def save(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and facts to one file.

    Args:
        path: the file.
        tensors: on any device, in any memory layout.
        facts: what JSON can hold.

    Raises:
        StorageError: the folder cannot be written, or the disk is full; an older file is kept.
    """
    metadata = {"thalweg": json.dumps({"format": FORMAT, **facts})}
    with replacing(path) as temporary:
        try:
            save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, metadata)
        except SafetensorError as error:
            raise StorageError("errors.cannot_write", path=path, reason=error) from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors, on the CPU, and facts.

    Raises:
        RunError: no such file, or not a checkpoint of this version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("thalweg", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise RunError("training.no_checkpoint", path=path, reason=error) from error
    if facts.get("format") != FORMAT:
        raise RunError("training.other_checkpoint", path=path, found=facts.get("format"), expected=FORMAT)
    return tensors, facts


def model_tensors(model: nn.Module, prefix: str = "model") -> dict[str, Tensor]:
    """Weights and buffers by name."""
    return {f"{prefix}.{name}": tensor for name, tensor in model.state_dict().items()}


def load_model(model: nn.Module, tensors: dict[str, Tensor], prefix: str = "model") -> None:
    """Copy weights and buffers into a model, which keeps its memory layout.

    Raises:
        RunError: the checkpoint is of another network.
    """
    ours = model.state_dict()
    prefix += "."
    theirs = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if ours.keys() != theirs.keys() or any(ours[name].shape != theirs[name].shape for name in ours):
        raise RunError("training.other_network", names=", ".join(sorted(ours.keys() ^ theirs.keys())[:3]))
    model.load_state_dict(theirs)


def optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of every parameter: its tensors by name, and its plain numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for position, parameter in enumerate(_parameters(optimizer)):
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{position}.{key}"] = value
            else:
                numbers[f"{position}.{key}"] = value
    return tensors, numbers


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Put back what `optimizer_tensors` gave.

    A state of its parameter's shape gets its parameter's memory layout, as it had when it was made. All go to their
    parameter's device but for step counts, which torch keeps on the CPU unless the optimizer is fused.
    """
    parameters = _parameters(optimizer)
    fused = any(group.get("fused") for group in optimizer.param_groups)
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, position, key = name.split(".", 2)
            parameter = parameters[int(position)]
            value = tensor if key == "step" and not fused else tensor.to(parameter.device)
            if tensor.shape == parameter.shape:
                value = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
            optimizer.state[parameter][key] = value.detach()
    for name, number in numbers.items():
        position, key = name.split(".", 1)
        optimizer.state[parameters[int(position)]][key] = number


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]

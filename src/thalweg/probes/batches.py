"""Read a user's batch in any form; no other module does.

| given | model gets | targets |
|---|---|---|
| `(x, y)` or `[x, y]` | `model(x)` | `y` |
| `(x1, x2, y)` | `model(x1, x2)` | `y` |
| `((x1, x2), y)`, `({"a": x1, "b": x2}, y)` | `model(x1, x2)`, `model(a=x1, b=x2)` | `y` |
| a named tuple | its fields in order, without the targets | the field with a name of `TARGETS`, else the last |
| a dict with an entry of `TARGETS` | the other entries | that entry |
| such a dict, if `forward` takes that entry by name | the whole dict, by keyword | the whole dict |
| a dict without one | the whole dict, by keyword | the whole dict |
| one tensor, `[x]`, or an object with `.to(device)` | `model(x)` | `x` itself |

Several batches may be a list of these, a DataLoader, or any other iterable.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import DataLoader

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Loader = DataLoader[Any] | Iterable[Any] | Callable[[], Iterable[Any]]

LossFunction = Callable[[Any, Any], "Tensor"]

TARGETS = ("labels", "label", "targets", "target", "y")
"""Names of the dict entry or named-tuple field that holds the targets; the first one present counts."""

MOST_BYTES = 1 << 30  # batches are held in memory: fewer of them if they are large


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of a model, and the targets for its outputs.

    Attributes:
        inputs: a tensor, a tuple of positional arguments, or a dict of keywords.
        targets: the second argument of the loss function.
    """

    inputs: Any
    targets: Any

    @property
    def size(self) -> int:
        """Number of samples: the length of the first tensor in the targets, else in the inputs; 1 without a tensor."""
        for part in (self.targets, self.inputs):
            tensor = first_tensor(part)
            if tensor is not None and tensor.ndim:
                return len(tensor)
        return 1

    def to(self, device: torch.device) -> Batch:
        """Move the tensors to a device; inference-mode tensors become ordinary ones."""
        return Batch(moved(self.inputs, device), moved(self.targets, device))

    def outputs(self, model: nn.Module) -> Any:
        """Run the model on the inputs, which stay as they are even if it changes what it gets."""
        positional, keywords = arguments(model, mapped(self.inputs, torch.clone))
        return model(*positional, **keywords)

    def loss(self, model: nn.Module, loss_fn: LossFunction) -> Tensor:
        """`loss_fn(outputs, targets)`."""
        return loss_fn(self.outputs(model), self.targets)


def read_batch(given: Any, model: nn.Module) -> Batch:
    """Read one batch in any form of the table above.

    Args:
        given: the batch.
        model: the parameters of its `forward` decide how a dict is read.

    Raises:
        UsageError: it has none of these forms.

    Example:
        >>> x, y = torch.ones(4, 2), torch.zeros(4)
        >>> model = nn.Linear(2, 1)
        >>> [read_batch(given, model).size for given in ((x, y), [x, y], {"image": x, "label": y}, x)]
        [4, 4, 4, 4]
    """
    if isinstance(given, Batch):
        return given
    if isinstance(given, Mapping):
        return _of_mapping(given, model)
    if _is_named_tuple(given):
        name = _target_among(given._fields)
        at = given._fields.index(name) if name else len(given) - 1
        return _of_sequence([*given[:at], *given[at + 1 :], given[at]])
    if isinstance(given, list | tuple) and not isinstance(given, PackedSequence) and len(given):
        return _of_sequence(given)
    if isinstance(given, torch.Tensor) or callable(getattr(given, "to", None)):
        return Batch(given, given)
    raise UsageError("probes.no_batch", got=type(given).__name__)


def read_batches(given: Any, model: nn.Module, *, most: int | None = None) -> list[Batch]:
    """Read one batch or several, onto the model's device.

    A list or tuple holds several batches if its items have one form: dicts with the same keys, named tuples of one
    type, pairs, or (in a list) sequences of one length. Otherwise it is one batch.

    Args:
        given: a batch, a list of batches, a DataLoader (its state stays unchanged), an iterable, or a function that
            returns one; None: no batch.
        model: see `read_batch`.
        most: largest number of batches; None: all.

    Returns:
        The batches; empty only for None.

    Raises:
        UsageError: this is not a batch, or holds none.

    Example:
        >>> x, y = torch.ones(4, 2), torch.zeros(4)
        >>> model = nn.Linear(2, 1)
        >>> len(read_batches([x, y], model)), len(read_batches([(x, y), (x, y)], model))
        (1, 2)
    """
    if given is None:
        return []
    if _is_loader(given):
        found = list(map(_copied, islice(given, most))) if isinstance(given, Iterator) else take_batches(given, most)
        if not found:
            raise UsageError("probes.no_batches", loader=type(given).__name__)
    elif isinstance(given, list | tuple) and not given:
        raise UsageError("probes.no_batches", loader=type(given).__name__)
    else:
        found = list(map(_copied, given[:most] if _holds_batches(given) else [given]))
    device = device_of(model)
    return [read_batch(batch, model).to(device) for batch in found]


def take_batches(loader: Loader, count: int | None) -> list[Any]:
    """Return the first batches of a loader, at most 1 GiB; the loader and its samplers stay unchanged.

    The caller takes care of random states: see `copies.own_randomness`.

    Args:
        loader: a DataLoader, a list, any other iterable that can be iterated repeatedly, or a function that returns
            one.
        count: number of batches; None: all.

    Returns:
        Copied batches in the loader's order; fewer than `count` if the loader has no more.

    Raises:
        UsageError: this is an iterator that works only once, not a loader, or a loader without batches.
    """
    batches: list[Any] = []
    taken = 0
    with _again(loader) as source:
        for batch in source:
            batches.append(_copied(batch))  # a loader may reuse its memory
            taken += _bytes_of(batch)
            if len(batches) == count or taken > MOST_BYTES:
                break
    if not batches:
        raise UsageError("probes.no_batches", loader=type(loader).__name__)
    return batches


def loss_function(loss_fn: LossFunction | None) -> LossFunction:
    """Return the loss function; for None, one that reads the loss from the outputs: `.loss`, `["loss"]` or a scalar."""
    return _own_loss if loss_fn is None else loss_fn


def _copied(batch: Any) -> Any:
    """A copy of its tensors: a loss or a network may change them. One that is given twice is still one."""
    copies: dict[int, Tensor] = {}

    def once(tensor: Tensor) -> Tensor:
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.detach().clone().requires_grad_(tensor.requires_grad)
        return copies[id(tensor)]

    return mapped(batch, once)


def mean_loss(model: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch]) -> float:
    """Return the mean loss over batches, weighted by size, without gradient; the model's mode stays unchanged."""
    sizes = [batch.size for batch in batches]
    with torch.no_grad():
        losses = [float(batch.loss(model, loss_fn)) for batch in batches]
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def arguments(model: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional arguments and keywords that pass a batch's inputs to a model."""
    if isinstance(inputs, Mapping):
        taken = _parameters_of(model)
        if taken is None or set(inputs) <= set(taken):
            return (), dict(inputs)
        if len(inputs) == 1:
            return tuple(inputs.values()), {}
        return ((inputs,), {}) if len(taken) == 1 else ((), dict(inputs))
    if isinstance(inputs, list | tuple) and not isinstance(inputs, PackedSequence):
        taken = _parameters_of(model)
        if len(inputs) > 1 and taken is not None and len(taken) == 1:  # the model takes them as one argument
            return (inputs,), {}
        return tuple(inputs), {}
    return (inputs,), {}


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter; the CPU if there is none."""
    first = next(iter(model.parameters()), None)
    return torch.device("cpu") if first is None else first.device


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside the wrapper of `torch.compile` or data parallelism."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(inner, nn.Module):
        return unwrapped(inner)
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return unwrapped(model.module)
    return model


def first_tensor(part: Any) -> Tensor | None:
    """Return the first tensor in a tensor, a sequence or a mapping, at any depth."""
    if isinstance(part, torch.Tensor):
        return part
    values = part.values() if isinstance(part, Mapping) else part if isinstance(part, list | tuple) else ()
    return next((found for found in map(first_tensor, values) if found is not None), None)


def moved(part: Any, device: torch.device) -> Any:
    """Move the tensors in inputs or targets to a device; inference-mode tensors become ordinary ones."""

    def move(tensor: Tensor) -> Tensor:
        tensor = tensor.to(device)
        return tensor.clone() if tensor.is_inference() else tensor

    return mapped(part, move, device)


def mapped(part: Any, change: Callable[[Tensor], Tensor], device: torch.device | None = None) -> Any:
    """Apply a function to each tensor of a structure; other objects with `.to` move to the device."""
    if isinstance(part, torch.Tensor):
        return change(part)
    if isinstance(part, Mapping):
        return {name: mapped(value, change, device) for name, value in part.items()}
    if _is_named_tuple(part):
        return type(part)(*(mapped(value, change, device) for value in part))
    if isinstance(part, list | tuple) and not isinstance(part, PackedSequence):
        return type(part)(mapped(value, change, device) for value in part)
    return cast("Any", part).to(device) if device is not None and callable(getattr(part, "to", None)) else part


def _of_sequence(parts: Sequence[Any]) -> Batch:
    if first_tensor(parts) is None and not any(callable(getattr(part, "to", None)) for part in parts):
        raise UsageError("probes.no_batch", got=f"{type(parts).__name__} of {type(parts[0]).__name__}")
    if len(parts) == 1:
        return Batch(parts[0], parts[0])
    return Batch(parts[0] if len(parts) == 2 else tuple(parts[:-1]), parts[-1])


def _of_mapping(given: Mapping[str, Any], model: nn.Module) -> Batch:
    name = _target_among(given)
    if name is None or len(given) == 1:
        return Batch(dict(given), dict(given))
    taken = _parameters_of(model)
    if taken is None or name in taken:  # as transformers models do, which compute their own loss
        return Batch(dict(given), dict(given))
    rest = {key: value for key, value in given.items() if key != name}
    only = next(iter(rest))
    return Batch(rest[only] if len(rest) == 1 and only not in taken else rest, given[name])


def _target_among(names: Iterable[str]) -> str | None:
    held = set(names)
    return next((name for name in TARGETS if name in held), None)


def _parameters_of(model: nn.Module) -> list[str] | None:
    """Return the parameter names of a model's `forward`; None if it takes any, or cannot be inspected."""
    try:
        taken = inspect.signature(unwrapped(model).forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL} for parameter in taken):
        return None
    return [parameter.name for parameter in taken]


def _holds_batches(given: Any) -> bool:
    """Whether a list or tuple holds several batches rather than being one."""
    if not isinstance(given, list | tuple) or _is_named_tuple(given) or isinstance(given, PackedSequence):
        return False
    first = given[0]
    if isinstance(first, Batch) or _is_named_tuple(first):
        return all(type(item) is type(first) for item in given)
    if isinstance(first, Mapping):
        return all(isinstance(item, Mapping) and set(item) == set(first) for item in given)
    if not isinstance(first, list | tuple):
        return False
    alike = all(isinstance(item, list | tuple) and len(item) == len(first) for item in given)
    return alike and (len(first) == 2 or isinstance(given, list) or len(given) == 1)


def _is_loader(given: Any) -> bool:
    known = Batch, torch.Tensor, Mapping, list, tuple, str, bytes
    if isinstance(given, DataLoader):
        return True
    if isinstance(given, known) or callable(getattr(given, "to", None)):
        return False
    return isinstance(given, Iterable) or callable(given)


def _is_named_tuple(thing: Any) -> bool:
    return isinstance(thing, tuple) and hasattr(thing, "_fields") and not isinstance(thing, PackedSequence)


def _own_loss(outputs: Any, _targets: Any) -> Tensor:
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", outputs)
    return cast("Tensor", loss)  # the caller checks that it is a scalar


@contextmanager
def _again(loader: Loader) -> Iterator[Iterable[Any]]:
    """Yield an iterable that leaves the loader itself unused."""
    if isinstance(loader, DataLoader):
        with _samplers_kept(loader):
            twin = copy.copy(loader)
            # Use our own workers, not the user's: a persistent iterator would be restarted.
            twin.__dict__.update(_iterator=None, persistent_workers=False)
            yield twin
        return
    if isinstance(loader, Iterator):
        raise UsageError("probes.used_up", loader=type(loader).__name__)
    source = loader if isinstance(loader, Iterable) else loader() if callable(loader) else None
    if not isinstance(source, Iterable):
        raise UsageError("probes.no_loader", loader=type(loader).__name__)
    yield source


@contextmanager
def _samplers_kept(loader: DataLoader[Any]) -> Iterator[None]:
    """Restore the attributes of the user's samplers, which may count epochs."""
    inner = getattr(loader.batch_sampler, "sampler", None)
    samplers = [s for s in (loader.sampler, loader.batch_sampler, inner) if hasattr(s, "__dict__")]
    before = [dict(vars(sampler)) for sampler in samplers]
    try:
        yield
    finally:
        for sampler, attributes in zip(samplers, before, strict=True):
            vars(sampler).clear()
            vars(sampler).update(attributes)


def _bytes_of(batch: Any) -> int:
    if isinstance(batch, torch.Tensor):
        return batch.numel() * batch.element_size()
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    return sum(map(_bytes_of, parts))

"""Copies of a model and its optimizer, with their own random states: trials on a copy leave no trace."""

from __future__ import annotations

import copy
import inspect
import math
import random
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thalweg.errors import UsageError
from thalweg.probes.batches import mapped, unwrapped
from thalweg.probes.stand_ins import global_names, stand_in


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.probes.batches import Batch, LossFunction

_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
_DEEPEST = 8  # levels from a loader down to the generator of a transform in a list of transforms
BUSY = 3.0  # times: how much longer work may take because other programs run
_LONG = 0.1  # seconds of a call that is not made a third time
_MOST = 20_000  # objects to visit: the search of a dataset with a million file names stops early


@dataclass(frozen=True, slots=True)
class Copy:
    """A model, its optimizer and its loss function, copied together: the copied optimizer trains the copied model.

    Attributes:
        model: the copy, without wrappers of compilation or data parallelism.
        optimizer: its optimizer, over the copy's parameters.
        loss_fn: the loss, with copies of the modules and values that it uses.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: Callable[..., Any]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer, loss_fn: Callable[..., Any]) -> Copy:
        """Copy weights, buffers, plain attributes, mode and the optimizer's state; the copy shares none of them.

        Raises:
            UsageError: a part of the model, or the optimizer, cannot be copied; the message names it.
        """
        inner = unwrapped(model)
        memo = _cut_off(inner)
        try:
            twin = copy.deepcopy(inner, memo)
        except Exception as error:
            raise UsageError("probes.not_copied", what=_culprit(inner), reason=error) from error
        try:
            stepping = copy.deepcopy(optimizer, memo)
            _complete(stepping, optimizer, memo)
        except Exception as error:
            raise UsageError("probes.not_copied", what=type(optimizer).__name__, reason=error) from error
        loss = stand_in(loss_fn, memo)
        _unwrap_parts(twin)
        _rebind(twin, memo)
        stepping.zero_grad(set_to_none=True)
        return cls(twin, stepping, loss)

    def step(
        self,
        loss: Callable[[], Tensor],
        *,
        clear: bool = True,
        before: Callable[[], Any] | None = None,
    ) -> Tensor:
        """Take one step, also with an optimizer that takes only a closure.

        Args:
            loss: computes the loss; it may be called several times.
            clear: whether to clear the gradients first.
            before: is called between backward pass and step, for instance to clip.

        Returns:
            The first loss; if it requires no gradient, nothing was changed.
        """
        losses: list[Tensor] = []

        def closure() -> Tensor:
            if clear:
                self.optimizer.zero_grad(set_to_none=True)
            losses.append(loss())
            if losses[-1].requires_grad:
                losses[-1].backward()
                if before is not None:
                    before()
            return losses[-1]

        optimizer: Any = self.optimizer
        if _wants_closure(optimizer):
            optimizer.step(closure)
        elif closure().requires_grad:
            optimizer.step()
        return losses[0]

    def restart(self) -> None:
        """Draw new weights for every layer that can (`reset_parameters`), and forget the optimizer's state."""
        for module in self.model.modules():
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                reset()
        self.optimizer.state.clear()


def untouching(copied: Copy, loss_fn: LossFunction, batch: Batch) -> LossFunction:
    """Return the loss, on copies of its arguments if it writes into them, so that it can be asked again.

    Args:
        copied: a copy of the model and of the loss; both run.
        loss_fn: the loss itself, which does not.
        batch: stays as it is.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> def from_one(outputs, labels):
        ...     labels -= 1
        ...     return torch.nn.functional.cross_entropy(outputs, labels)
        >>> model, labels = torch.nn.Linear(2, 3), torch.tensor([1, 3])
        >>> copied = Copy.of(model, torch.optim.SGD(model.parameters()), from_one)
        >>> loss_fn = untouching(copied, from_one, Batch(torch.ones(2, 2), labels))
        >>> float(loss_fn(torch.zeros(2, 3), labels)) == float(loss_fn(torch.zeros(2, 3), labels))
        True
    """
    given: list[tuple[Tensor, Tensor]] = []

    def own(tensor: Tensor) -> Tensor:
        given.append((tensor, tensor.clone()))
        return given[-1][1]

    try:
        with own_randomness(0), warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            outputs = mapped(batch.outputs(copied.model), own)
            copied.loss_fn(outputs, mapped(batch.targets, own))
    except Exception:  # noqa: BLE001 - code of a user's; whoever needs the loss reports that it fails
        return loss_fn
    # torch's own count of writes; what goes through `.data` or NumPy it does not count
    written = any(copy._version > 0 or not torch.equal(tensor, copy) for tensor, copy in given)  # noqa: SLF001
    return partial(_on_copies, loss_fn) if written else loss_fn


def _on_copies(loss_fn: LossFunction, outputs: Any, targets: Any) -> Tensor:
    return loss_fn(mapped(outputs, torch.clone), mapped(targets, torch.clone))


@contextmanager
def fastest_threads(work: Callable[[], Any]) -> Iterator[float]:
    """Use one thread inside if `work` is then as fast: on a busy machine, the threads of a small network wait.

    Args:
        work: is called at most six times. The number of threads is that of the process, so it is restored at the end.

    Yields:
        The seconds of one call by `own_clock`, the best of three.
    """
    every = torch.get_num_threads()
    best: dict[int, tuple[float, float]] = {}
    try:
        for threads in dict.fromkeys((every, 1)):
            torch.set_num_threads(threads)
            best[threads] = _timed(work)
        threads = 1 if best[1] <= best[every] else every
        torch.set_num_threads(threads)
        yield best[threads][1]
    finally:
        torch.set_num_threads(every)


def seconds_of(work: Callable[[], Any]) -> float:
    """The seconds of one call by `own_clock`: the best of three, or of two if they are long."""
    return _timed(work)[1]


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """The seconds of one call that passed, and those of `own_clock`: the best, as a busy machine slows some down."""
    passed = own = math.inf
    for call in range(3):
        began, clock = time.perf_counter(), own_clock()
        work()
        passed, own = min(passed, time.perf_counter() - began), min(own, clock())
        if call and passed > _LONG:  # the first call may import, or compile
            break
    return passed, own


def own_clock() -> Callable[[], float]:
    """A clock that does not count the time that other programs take, so that a busy machine changes no verdict.

    It gives the processor time of this process, at most the time that passes, and at least a third of that: a device
    may work while the processor waits.
    """
    began = time.perf_counter(), time.process_time()

    def now() -> float:
        passed, own = time.perf_counter() - began[0], time.process_time() - began[1]
        return max(passed / BUSY, min(passed, own))

    return now


def _wants_closure(optimizer: Optimizer) -> bool:
    taken = inspect.signature(optimizer.step).parameters.values()
    return any(parameter.default is parameter.empty for parameter in taken if parameter.kind in _POSITIONAL)


def _cut_off(model: nn.Module) -> dict[int, Any]:
    """A memo for `deepcopy` with the tensors that the last pass left in the model, without their graph.

    Torch refuses to copy such a tensor: a layer keeps its attention, or the weight that a hook computes.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        waiting = [value for name, value in vars(module).items() if name not in {"_modules", "_parameters"}]
        for _ in range(3):
            for tensor in waiting:
                if isinstance(tensor, torch.Tensor) and not tensor.is_leaf:
                    memo[id(tensor)] = tensor.detach().clone()
            waiting = [
                part
                for value in waiting
                if isinstance(value, dict | list | tuple)
                for part in (value.values() if isinstance(value, dict) else value)
            ]
    return memo


def _complete(twin: Optimizer, optimizer: Optimizer, memo: dict[int, Any]) -> None:
    """Copy the attributes that a torch optimizer leaves out of a copy, such as LBFGS's list of parameters."""
    for name, value in vars(optimizer).items():
        if name not in vars(twin) and not callable(value):
            setattr(twin, name, copy.deepcopy(value, memo))


def _unwrap_parts(twin: nn.Module) -> None:
    """Take the parts of a copy out of the wrapper of `torch.compile`: a copy would compile anew."""
    for module in list(twin.modules()):
        for name, part in module.named_children():
            if unwrapped(part) is not part:
                setattr(module, name, unwrapped(part))


def _rebind(twin: nn.Module, memo: dict[int, Any]) -> None:
    """Have a forward pass that was put on an instance compute with the copy, not with the original."""
    for module in twin.modules():
        forward = vars(module).get("forward")
        if isinstance(forward, FunctionType):
            module.forward = stand_in(forward, memo)


def _culprit(model: nn.Module) -> str:
    """The first attribute that cannot be copied, with its type; the model's type if it is none of them."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in {"_modules", "_parameters", "_buffers"}:
                continue
            try:
                copy.deepcopy(value, _cut_off(model))
            except Exception:  # noqa: BLE001 - whatever it is, this is the one
                return f"{name}.{attribute}: {type(value).__name__}".lstrip(".")
    return type(model).__name__


@contextmanager
def own_randomness(seed: int, *carriers: Any) -> Iterator[None]:
    """Use random numbers from `seed` inside the context; on exit, restore every random state.

    That covers `random`, `numpy.random`, torch (every device in use), and every generator reachable from the carriers:
    a loader's own, its sampler's, its dataset's or a transform's.

    Args:
        seed: seeds the three global generators inside.
        *carriers: objects that may hold generators.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(3)
        >>> with own_randomness(0, {"any": [generator]}):
        ...     inside = torch.rand(1, generator=generator)
        >>> bool(inside == torch.rand(1, generator=generator))
        True
    """
    put_back = [_kept(generator) for carrier in carriers for generator in generators_in(carrier)]
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices):
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 - the same
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002 - the same
        for restore in put_back:
            restore()


def generators_in(carrier: Any) -> list[Any]:
    """Find every random number generator reachable from an object; see `held_by`."""
    return held_by(carrier, (torch.Generator, np.random.Generator, np.random.RandomState, random.Random))


def held_by(carrier: Any, kinds: tuple[type, ...]) -> list[Any]:
    """Find every object of some kinds that an object leads to, but not what these lead to.

    The search follows attributes, containers, closures and the globals that a function names, but not arrays and
    Python's modules.

    Args:
        carrier: where the search begins.
        kinds: types of the objects to find.

    Example:
        >>> criterion = torch.nn.MSELoss()
        >>> held_by(lambda outputs, targets: 2 * criterion(outputs, targets), (torch.nn.Module,))
        [MSELoss()]
    """
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [(carrier, 0)]
    while waiting and len(seen) < _MOST:
        thing, depth = waiting.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | torch.Tensor | np.ndarray | ModuleType):
            continue
        seen.add(id(thing))
        if isinstance(thing, kinds):
            found.append(thing)
        elif depth < _DEEPEST:
            waiting.extend((part, depth + 1) for part in _parts(thing))
    return found


def _parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, dict):
        yield from thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing
    if isinstance(thing, type):
        return
    yield from vars(thing).values() if hasattr(thing, "__dict__") else ()
    for name in getattr(type(thing), "__slots__", ()):
        yield getattr(thing, name, None)
    if isinstance(thing, FunctionType):
        yield from (thing.__globals__.get(name) for name in global_names(thing))
    for cell in getattr(thing, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that is still unbound
            continue
    yield from getattr(thing, "__defaults__", None) or ()
    yield getattr(thing, "__self__", None)


def _kept(generator: Any) -> Callable[[], Any]:
    """Return a function that restores a generator's current state."""
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return partial(setattr, bits, "state", bits.state)
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    return partial(generator.set_state, generator.get_state())

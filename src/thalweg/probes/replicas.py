"""Whether the processes of one training do the same and share the work: measured at some of the optimizer's steps.

At due steps each process adds up the bits of its weights and of its gradients, and notes its batch, its random states
and its time; every `CAPACITY` steps the numbers go to the others. Between due steps it reads the clock and counts.

Shape suffixes: L groups of layers.
"""

from __future__ import annotations

import random
import time
import zlib
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from thalweg.probes.batches import first_tensor, unwrapped
from thalweg.probes.hooks import around_forward, is_compiled
from thalweg.probes.layers import DENSE, EVERY, Layers
from thalweg.probes.marks import mark_of
from thalweg.probes.peers import MOST_READERS, Peers, Row
from thalweg.probes.wiring import is_able


if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.probes.peers import Told

CAPACITY = 64
MOST_GROUPS = 32  # sums of a row
# bytes of a value, to the whole number that its bits are and the one that adds them up fastest
_WHOLE = {
    1: (torch.int8, torch.int32),
    2: (torch.int16, torch.int32),
    4: (torch.int32, torch.int32),
    8: (torch.int64, torch.int64),
}
PATIENCE_S = 2.0  # at the end of the loop, for the others to end as well


class ReplicaProbe:
    """Measures the steps of this process for the others; `told` has those of all.

    Args:
        model: the model in training.
        optimizer: its optimizer.
        peers: the processes.
        every: steps between due steps, at least 1.

    Attributes:
        sizes_L: number of values of each group of layers.
        varied_L: whether the weights of a group had several values at the first look; equal constants prove nothing.
        failure: of a hook, which ends all measuring; None: no failure.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, peers: Peers, *, every: int = EVERY) -> None:
        self.peers = peers
        self._model, self._optimizer, self._every = model, optimizer, max(1, every)
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        layers = Layers([names.get(id(p), f"parameter {k}") for k, p in enumerate(self._parameters)]).members_L
        parts = np.array_split(np.arange(len(layers)), max(1, min(MOST_GROUPS, len(layers))))
        self._members_L = [[int(at) for layer in part for at in layers[layer]] for part in parts if len(part)]
        self.sizes_L: list[int] = []
        self.varied_L: list[bool] = []
        self.failure: Exception | None = None
        self._step = self._passes = 0
        self._stepped_at = self._entered_at = self._computing_at = self._passed_at = float("nan")
        self._mark: Tensor | None = None
        self._samples = -1
        self._rows: list[tuple[Row, Tensor, Tensor | None]] = []
        self._told: list[Told] | None = None
        self._hooks, self._forward = ExitStack(), ExitStack()

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> Self | None:
        """Return a probe; None if this process trains the model alone."""
        peers = Peers.of(model, optimizer)
        return cls(model, optimizer, peers, every=every) if peers is not None else None

    def attach(self) -> None:
        """Hook into the optimizer's step."""
        self._told, self._stepped_at = None, float("nan")
        self.peers.post((), self._step, self._passes)
        self._hooks.callback(self._optimizer.register_step_pre_hook(self._before).remove)
        learning = [parameter for parameter in self._parameters if is_able(parameter)]
        if learning:
            smallest = min(learning, key=torch.Tensor.numel)
            self._hooks.callback(smallest.register_post_accumulate_grad_hook(self._pass).remove)
        self._listen()

    def detach(self) -> None:
        """Remove all hooks, and keep what all processes have told: their store may end with one of them."""
        self._hooks.close()
        self._forward.close()
        self._post(ended=True)
        if len(self.peers.ranks) <= MOST_READERS or self.peers.rank == 0:
            self._told = self.peers.gather(PATIENCE_S)

    def told(self) -> list[Told]:
        """Return what all processes have told: at the end of the loop, or, within it, until now."""
        if self._told is None:
            self._post()
            return self.peers.gather()
        if not all(one.ended for one in self._told):  # one may have come late
            with suppress(RuntimeError):  # the store has ended
                self._told = self.peers.gather()
        return self._told

    def _is_due(self, step: int) -> bool:
        """Whether a step is measured; without a wrapper the next one is, too: there shows an average every k steps."""
        return step <= DENSE or step % self._every == 0 or (not self.peers.promised and step % self._every == 1)

    def _listen(self) -> None:
        """Follow the forward passes of the next step, if it is due."""
        self._mark, self._samples, self._passed_at = None, -1, float("nan")
        if not self._is_due(self._step + 1) or is_compiled(self._model):
            return
        self._forward.enter_context(around_forward(self._model, self._enter, self._leave))
        inner = unwrapped(self._model)
        if inner is not self._model:
            self._forward.enter_context(around_forward(inner, self._compute))

    def _enter(self, inputs: Any) -> None:
        if torch.is_grad_enabled():  # an evaluation is no step
            self._entered_at = self._computing_at = time.perf_counter()
            with suppress(Exception):  # measuring must never break a forward pass
                tensor = first_tensor(inputs)
                self._samples = -1 if tensor is None or not tensor.ndim else len(tensor)
                self._mark = mark_of(tensor)

    def _compute(self, _inputs: Any) -> None:
        self._computing_at = time.perf_counter()  # after the wrapper has exchanged its buffers

    def _leave(self, _outputs: Any) -> None:
        if torch.is_grad_enabled():
            self._passed_at = time.perf_counter()

    def _pass(self, _parameter: Tensor) -> None:
        self._passes += 1

    def _before(self, *_: Any) -> None:
        try:
            self._note()
        except Exception as error:  # noqa: BLE001 - a training never dies of being watched
            self.failure = error
            self._hooks.close()
            self._forward.close()

    @torch.no_grad()
    def _note(self) -> None:
        now, before = time.perf_counter(), self._stepped_at
        self._stepped_at = now
        self._step += 1
        self._forward.close()
        if self._is_due(self._step):
            own = self._entered_at - before + self._passed_at - self._computing_at
            on_host = self._place.type == "cpu"  # elsewhere, who reads a loss waits for the device
            self._measure(own if on_host else float("nan"), now - before)
        if self._step % CAPACITY == 0:
            self._post()
        self._listen()

    def _measure(self, own: float, whole: float) -> None:
        weights = [parameter.detach() for parameter in self._parameters]
        if not self.sizes_L:
            self.sizes_L = [sum(weights[at].numel() for at in group) for group in self._members_L]
            self.varied_L = [any(_is_varied(weights[at]) for at in group) for group in self._members_L]
        sums = [
            torch.stack([bits_of(tensors[at], self._place) for at in group]).sum()
            for tensors in (weights, [parameter.grad for parameter in self._parameters])
            for group in self._members_L
        ]
        row = Row(self._step, self._passes, self._samples, random_states(self._place), (), (), own, whole)
        self._rows.append((row, torch.stack(sums), self._mark))

    @property
    def _place(self) -> torch.device:
        return self._parameters[0].device

    def _post(self, *, ended: bool = False) -> None:
        rows, groups = [], len(self._members_L)
        for row, sums, mark in self._rows:
            numbers = tuple(sums.tolist())
            known = float("nan") if mark is None else float(mark)
            rows.append(replace(row, weights_L=numbers[:groups], gradients_L=numbers[groups:], mark=known))
        self._rows.clear()
        self.peers.post(rows, self._step, self._passes, ended=ended)


def bits_of(tensor: Tensor | None, device: torch.device | None = None) -> Tensor:
    """Add up the bits of a tensor, as whole numbers that wrap: any order gives the same, and hardly any change hides.

    Args:
        tensor: of any type and layout; None or a sparse one has the sum 0.
        device: where the sum is; None: where the tensor is.

    Example:
        >>> one = torch.arange(5.0)
        >>> bool(bits_of(one) == bits_of(one.flip(0))), bool(bits_of(one) == bits_of(one + 1e-6))
        (True, False)
    """
    if tensor is None or tensor.layout != torch.strided or not tensor.numel():
        return torch.zeros((), dtype=torch.int64, device=device)
    tensor = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    flat = tensor.permute(sorted(range(tensor.ndim), key=lambda at: -tensor.stride(at))).reshape(-1)
    whole, wide = _WHOLE[flat.element_size()]
    return flat.view(whole).sum(dtype=wide).to(device or flat.device, torch.int64)


def random_states(device: torch.device) -> tuple[int, ...]:
    """Return a number for the state of each random generator: torch's, Python's, NumPy's; nothing is drawn.

    Args:
        device: whose generator counts with torch's.

    Returns:
        A number for each; 0: its state cannot be read.
    """
    mark = python = numpy = 0
    with suppress(Exception):  # measuring must never break a step
        mark = zlib.crc32(torch.get_rng_state().numpy().tobytes())
    if device.type == "cuda":
        with suppress(RuntimeError):  # a graph is recorded
            mark = zlib.crc32(torch.cuda.get_rng_state(device).numpy().tobytes(), mark)
    with suppress(Exception):
        python = zlib.crc32(np.array(random.getstate()[1], dtype=np.uint32).tobytes())
    with suppress(Exception):
        state = np.random.get_state(legacy=False)  # noqa: NPY002 - that of the user's program, of any kind
        for value in state["state"].values():
            numpy = zlib.crc32(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode(), numpy)
    return mark, python, numpy


def _is_varied(weights: Tensor) -> bool:
    return weights.numel() > 1 and weights.layout == torch.strided and bool((weights != weights.reshape(-1)[0]).any())

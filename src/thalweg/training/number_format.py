"""The number format of a step (precision and memory layout), chosen by measuring for about two seconds.

On one CPU, bf16 in channels-last order is twice as fast as fp32; on another it is four times slower; and grouped
convolutions reverse the order. So the actual network is timed on the actual machine.
"""

from __future__ import annotations

import copy
import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from thalweg._replay import EAGER_CALLS, Replay
from thalweg.models.depthwise import compile_depthwise


if TYPE_CHECKING:
    from torch import Tensor, nn

    from thalweg.runs import TrainingConfig

SECONDS = 0.5  # for all formats together, after each took one step
FEWEST_TURNS = 3
BEHIND = 1.3
HOPELESS = 5.0  # times the fastest first step: dropped after it, because emulated bf16 takes seconds per step
MOST_PHOTOS = 16
FEW_PHOTOS = 2  # that a hopeless format is recognized by: one channel at a time, emulated bf16 takes seconds per photo
UNCOUNTED_ON_GPU = EAGER_CALLS + 1  # the last of these records


@dataclass(frozen=True, slots=True)
class Format:
    """The number format of a step: `precision` is `fp32` or `bf16`, `layout` is `channels-first` or `channels-last`."""

    precision: str
    layout: str

    @property
    def memory_format(self) -> torch.memory_format:
        """Torch's name for the layout."""
        return torch.channels_last if self.layout == "channels-last" else torch.contiguous_format

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return a context in which the forward pass runs at this precision."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


# In order of preference: a speed within `TIE` of the fastest counts as equal, so that noise does not decide.
TIE = 0.95
CANDIDATES = (
    Format("bf16", "channels-last"),
    Format("fp32", "channels-last"),
    Format("fp32", "channels-first"),
    Format("bf16", "channels-first"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen format, and the speed of each measured format in photos per second, forward and backward."""

    format: Format
    photos_per_second: dict[Format, float]


def choose_format(model: nn.Module, config: TrainingConfig, size: int, device: torch.device) -> Choice:
    """Choose the fastest format that the configuration allows, measured on a copy of the model.

    The model and the random state stay unchanged. Kernels of ours are compiled first: neither a measurement nor the
    first step of a training, by which a budget is planned, takes the time for that.
    """
    if device.type == "cpu":
        compile_depthwise(model)
    allowed = [
        candidate
        for candidate in CANDIDATES
        if config.precision in ("auto", candidate.precision) and config.layout in ("auto", candidate.layout)
    ]
    if len(allowed) == 1:
        return Choice(allowed[0], {})
    # With few photos, a GPU spends its time launching kernels.
    count = config.batch_size if device.type == "cuda" else min(config.batch_size, MOST_PHOTOS)
    with torch.random.fork_rng():
        rates = _rates_that_fit(model, allowed, count, size, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # make room for the photos
    enough = TIE * max(rates.values())
    return Choice(next(candidate for candidate in allowed if rates[candidate] >= enough), rates)


def _rates_that_fit(
    model: nn.Module, candidates: list[Format], count: int, size: int, device: torch.device
) -> dict[Format, float]:
    """Measure `_rates` with fewer photos if memory is too small; the run then uses micro-batches."""
    while True:
        try:
            return _rates(model, candidates, count, size, device)
        except torch.OutOfMemoryError:
            if count == 1:
                raise
        count = max(1, count // 4)  # outside the handler, whose error holds the memory
        gc.collect()


def _rates(
    model: nn.Module, candidates: list[Format], count: int, size: int, device: torch.device
) -> dict[Format, float]:
    """Measure photos per second of each, best of several steps, taking turns so that other load slows all equally.

    A format far behind the fastest is dropped. The first step of each, which prepares kernels, does not count.
    """
    dropped = _hopeless(model, candidates, size, device) if device.type == "cpu" and count > FEW_PHOTOS else {}
    steps = {
        candidate: _Step(model, candidate, count, size, device) for candidate in candidates if candidate not in dropped
    }
    best = {candidate: float("inf") for candidate in candidates}
    first = {}
    for candidate, step in steps.items():
        first[candidate] = [step.seconds() for _ in range(UNCOUNTED_ON_GPU if device.type == "cuda" else 1)][-1]
    hopeless = {candidate for candidate, seconds in first.items() if seconds > HOPELESS * min(first.values())}
    best |= {candidate: first[candidate] for candidate in hopeless}  # where bf16 is emulated, a step takes seconds
    deadline = time.perf_counter() + SECONDS
    turns = 0
    while turns < FEWEST_TURNS or time.perf_counter() < deadline:
        turns += 1
        leader = min(best.values())
        for candidate, step in steps.items():
            if candidate in hopeless:
                continue
            if turns == 1 or best[candidate] <= BEHIND * leader:
                best[candidate] = min(best[candidate], step.seconds())
    return {candidate: count / seconds for candidate, seconds in best.items()} | dropped


def _hopeless(model: nn.Module, candidates: list[Format], size: int, device: torch.device) -> dict[Format, float]:
    """Return the photos per second of the formats that are far behind already with a few photos.

    The first step of each prepares kernels, so one that is little beyond the bound takes a second step. One that is
    beyond twice the bound takes none: emulated bf16 needs seconds for each channel-wise convolution.
    """
    steps = {candidate: _Step(model, candidate, FEW_PHOTOS, size, device) for candidate in candidates}
    taken = {candidate: step.seconds() for candidate, step in steps.items()}
    bound = HOPELESS * min(taken.values())
    for candidate, seconds in taken.items():
        if bound < seconds <= 2 * bound:
            taken[candidate] = steps[candidate].seconds()
    return {candidate: FEW_PHOTOS / seconds for candidate, seconds in taken.items() if seconds > bound}


class _Step:
    """Forward and backward pass of a copy of the network in one format."""

    def __init__(self, model: nn.Module, candidate: Format, count: int, size: int, device: torch.device) -> None:
        self.format, self.device = candidate, device
        self.twin = copy.deepcopy(model).train()
        self.twin.to(device, memory_format=candidate.memory_format)  # type: ignore[call-overload] - torch types leave it out
        images_NCHW = torch.zeros(count, 3, size, size, device=device)
        self.images_NCHW = images_NCHW.to(memory_format=candidate.memory_format)
        self._replay = Replay()  # as in training

    def seconds(self) -> float:
        start = time.perf_counter()
        self._replay(self._step, self.images_NCHW)
        self.twin.zero_grad(set_to_none=True)
        wait(self.device)
        return time.perf_counter() - start

    def _step(self, images_NCHW: Tensor) -> tuple[Tensor | None, ...]:
        with self.format.autocast(self.device):
            loss = self.twin(images_NCHW).float().square().mean()
        loss.backward()
        return (loss.detach(), *(parameter.grad for parameter in self.twin.parameters()))


def wait(device: torch.device) -> None:
    """Wait until a GPU has finished its work; do nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()

"""A function of tensors whose kernels a GPU records once and then repeats.

A step of ResNet-18 is some 560 kernels of a few microseconds each; Python takes longer to start them than the GPU to
run them. A CUDA graph is started as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Results = tuple[Any, ...]  # tensors, or None for one that is not there

EAGER_CALLS = 3  # of a kind before it is recorded: libraries choose their kernels, and allocators grow, in the first


class Replay:
    """Calls a function of tensors; on a GPU, after a few calls with tensors of one kind, repeats what it recorded.

    The function is the same one in every call. It is not kept: whoever has a `Replay` for a method of its own would be
    kept by it, with weights and all, until Python looks for cycles. It may also read and write tensors that outlive it,
    as weights and the statistics of norms are: always the same ones. It must ask the GPU for nothing (no `.item()`, no
    branch on a value), and what it draws comes from torch's own generator. Where recording fails, for want of memory
    or because it does ask, it goes on being called.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
    """

    def __init__(self) -> None:
        self._calls: dict[tuple[object, ...], int] = {}
        self._recorded: dict[tuple[object, ...], _Recorded | None] = {}

    def __call__(self, function: Callable[..., Results], *tensors: Tensor | None) -> Results:
        """What the function gives; on a GPU valid until the next call.

        Args:
            function: takes tensors on one device, or None for one that is not there; gives the same.
            *tensors: of any shape; another shape, type or layout is another recording.
        """
        present = [tensor for tensor in tensors if tensor is not None]
        if not present or not present[0].is_cuda:
            return function(*tensors)
        kind = tuple(None if t is None else (t.shape, t.stride(), t.dtype) for t in tensors)
        calls = self._calls[kind] = self._calls.get(kind, 0) + 1
        if calls <= EAGER_CALLS:
            return _on_a_side_stream(function, tensors)
        if kind not in self._recorded:
            self._recorded[kind] = _record(function, tensors)
        recorded = self._recorded[kind]
        return function(*tensors) if recorded is None else recorded(tensors)

    def forget(self) -> bool:
        """Drop all recordings, whose memory nothing else can have; False if there was none but such as failed."""
        had_some = any(recorded is not None for recorded in self._recorded.values())
        self._recorded.clear()
        return had_some


class _Recorded:
    """A graph with its own copies of what goes in."""

    def __init__(self, function: Callable[..., Results], tensors: Sequence[Tensor | None]) -> None:
        self._inputs = [None if tensor is None else tensor.clone() for tensor in tensors]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._results = function(*self._inputs)

    def __call__(self, tensors: Sequence[Tensor | None]) -> Results:
        for ours, theirs in zip(self._inputs, tensors, strict=True):
            if ours is not None and theirs is not None:
                ours.copy_(theirs)
        self._graph.replay()
        return self._results


def _record(function: Callable[..., Results], tensors: Sequence[Tensor | None]) -> _Recorded | None:
    """The recording, which runs nothing; None: the memory is too small for it, or the function cannot be recorded."""
    try:
        return _Recorded(function, tensors)
    except RuntimeError:  # as torch calls both; what is really wrong with the function, calling it will say
        return None


def _on_a_side_stream(function: Callable[..., Results], tensors: Sequence[Tensor | None]) -> Results:
    """As a recording will run: libraries keep workspaces a stream, which must be there by then."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        results = function(*tensors)
    torch.cuda.current_stream().wait_stream(stream)
    return results

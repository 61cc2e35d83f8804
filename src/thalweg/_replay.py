"""Record the GPU kernels of a function of tensors once, then replay them.

A step of ResNet-18 is about 560 kernels of a few microseconds each: Python takes longer to launch them than the GPU to
run them. A CUDA graph launches all of them at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Results = tuple[Any, ...]  # tensors, or None for an absent one

EAGER_CALLS = (
    3  # with one set of shapes before recording: during the first calls, libraries choose kernels and allocators grow
)


class Replay:
    """Calls a function of tensors; on a GPU, after a few calls with the same shapes, replays a recording of it.

    Pass the same function in every call. A `Replay` keeps no reference to it: an object that has a `Replay` for one of
    its own methods would otherwise live, with all its weights, until Python collects cycles. The function may read and
    write tensors that outlive it, such as weights and the statistics of norms, if they are the same ones in every call.
    It must not wait for the GPU (no `.item()`, no branch on a value), and must draw random numbers from torch's own
    generator. If recording fails, for lack of memory or because the function waits for the GPU, every call runs the
    function itself.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
    """

    def __init__(self) -> None:
        self._calls: dict[tuple[object, ...], int] = {}
        self._recorded: dict[tuple[object, ...], _Recorded | None] = {}

    def __call__(self, function: Callable[..., Results], *tensors: Tensor | None) -> Results:
        """Return the results of the function; on a GPU they are valid until the next call.

        Args:
            function: takes tensors on one device, or None for an absent one; returns the same.
            *tensors: of any shape; each combination of shapes, types and strides has its own recording.
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
        """Drop all recordings, which hold memory; False if there was none (failed ones do not count)."""
        had_some = any(recorded is not None for recorded in self._recorded.values())
        self._recorded.clear()
        return had_some


class _Recorded:
    """A graph with its own copies of the inputs."""

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
    """The recording, made without running the kernels; None if memory is short or the function cannot be recorded."""
    try:
        return _Recorded(function, tensors)
    except RuntimeError:  # torch raises it for both; a real fault of the function appears when it is called
        return None


def _on_a_side_stream(function: Callable[..., Results], tensors: Sequence[Tensor | None]) -> Results:
    """Run the function on a side stream, as a recording does: libraries have one workspace per stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        results = function(*tensors)
    torch.cuda.current_stream().wait_stream(stream)
    return results

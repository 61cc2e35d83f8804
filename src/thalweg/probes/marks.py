"""What the passes of a step were given: a mark of each batch, and whether it holds NaN or infinity.

A mark is one number that tells whether two steps had the same inputs.
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from thalweg.probes.activations import is_transformed
from thalweg.probes.attributes import nodes_of
from thalweg.probes.batches import first_tensor


if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

MOST_VALUES = 256  # of a sample
MOST_NODES = 5000  # of a graph that is walked through


class Given:
    """The inputs of the passes of one step, looked at without waiting for their device.

    Attributes:
        marks: one for each pass; None for inputs that `mark_of` cannot mark.
        ends: the least and the greatest value of each pass with inputs of floating point; NaN if there is one.
        made: of each pass, whether another network in training made its inputs, whose gradient they carry.
        count: number of samples in the last pass; 0: unknown.
    """

    def __init__(self) -> None:
        self.made: list[bool] = []
        self.marks: list[Tensor | None] = []
        self.ends: list[tuple[Tensor, Tensor]] = []
        self.count = 0

    def clear(self) -> None:
        """Begin a step."""
        self.marks, self.ends, self.made = [], [], []

    def look(self, inputs: Any, own: Collection[int] = ()) -> None:
        """Look at the inputs of a pass; a failure reaches no forward pass, and leaves no mark.

        Args:
            inputs: as `mark_of` takes them.
            own: ids of the watched parameters; what they helped to make comes from no other network.
        """
        mark = None
        with suppress(Exception):
            tensor = first_tensor(inputs)
            self.made.append(tensor is not None and is_made_by_others(tensor, own))
            mark = mark_of(tensor)
            self.count = len(tensor) if tensor is not None else 0
            if mark is not None and tensor is not None and tensor.is_floating_point():
                self.ends.append(torch.aminmax(tensor.detach()))  # faster than to ask each value
        self.marks.append(mark)


def is_nonfinite(ends: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Whether the inputs of one of the passes held NaN or infinity.

    Args:
        ends: of `Given`; reading them waits for their device.
    """
    return not all(math.isfinite(value) for pair in ends for value in map(float, pair))


def is_made_by_others(tensor: Tensor, own: Collection[int]) -> bool:
    """Whether a tensor carries the gradient of parameters, and of none of our own; False if its graph is large.

    Args:
        tensor: with or without a graph.
        own: ids of our own parameters.

    Example:
        >>> maker = torch.nn.Linear(2, 3)
        >>> made = maker(torch.ones(4, 2))
        >>> is_made_by_others(made, []), is_made_by_others(made, [id(maker.bias)]), is_made_by_others(made.detach(), [])
        (True, False, False)
    """
    nodes = list(islice(nodes_of([tensor]), MOST_NODES + 1))
    ends = [node.variable for node in nodes if hasattr(node, "variable")]  # where a gradient is accumulated
    made = any(isinstance(end, torch.nn.Parameter) for end in ends)
    return made and len(nodes) <= MOST_NODES and not any(id(end) in own for end in ends)


def mark_of(inputs: Any) -> Tensor | None:
    """Mark a batch by its first and its last sample.

    Args:
        inputs: a tensor, or a structure of tensors, of which the first counts; dimension 0 is the sample.

    Returns:
        A scalar on the device of the tensor, which no host sync waits for; None without a tensor of samples.

    Example:
        >>> one, other = torch.ones(4, 3), torch.ones(4, 3)
        >>> bool(mark_of(one) == mark_of(other)), bool(mark_of(one) == mark_of(2 * other))
        (True, False)
    """
    tensor = first_tensor(inputs)
    if tensor is None or tensor.ndim == 0 or not tensor.numel() or tensor.is_complex() or is_transformed(tensor):
        return None
    with torch.no_grad():
        ends = tensor[:: max(1, len(tensor) - 1)]
        ends_EF = ends.reshape(len(ends), -1)[:, :: max(1, ends[0].numel() // MOST_VALUES)]
        return (ends_EF * _weights(ends_EF.shape[1], tensor.device)[: len(ends_EF)]).sum()


@lru_cache(maxsize=8)
def _weights(count: int, device: torch.device) -> Tensor:
    """Weights of the values of two samples, (2, `count`), all different; made once, as each step has the same."""
    return torch.arange(1.0, 1.0 + 2 * count, dtype=torch.float32, device=device).sqrt().reshape(2, count)

"""What the passes of a step were given: a mark of each batch, and whether it holds NaN or infinity.

A mark is one number that tells whether two steps had the same inputs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from thalweg.probes.activations import is_transformed
from thalweg.probes.batches import first_tensor


if TYPE_CHECKING:
    from torch import Tensor

MOST_VALUES = 256  # of a sample


class Given:
    """The inputs of the passes of one step, looked at without waiting for their device.

    Attributes:
        marks: one for each pass; None for inputs that `mark_of` cannot mark.
        nonfinite: whether the inputs of one of the passes held NaN or infinity; None: no inputs of floating point.
        count: number of samples in the last pass; 0: unknown.
    """

    def __init__(self) -> None:
        self.marks: list[Tensor | None] = []
        self.nonfinite: Tensor | None = None
        self.count = 0

    def clear(self) -> None:
        """Begin a step."""
        self.marks.clear()
        self.nonfinite = None

    def look(self, inputs: Any) -> None:
        """Look at the inputs of a pass; a failure reaches no forward pass, and leaves no mark.

        Args:
            inputs: as `mark_of` takes them.
        """
        mark = None
        with suppress(Exception):
            tensor = first_tensor(inputs)
            mark = mark_of(tensor)
            self.count = len(tensor) if tensor is not None else 0
            if mark is not None and tensor is not None and tensor.is_floating_point():
                ends_2 = torch.stack(torch.aminmax(tensor.detach()))  # NaN if there is one; faster than a look at each
                found = ends_2.isfinite().all().logical_not()
                self.nonfinite = found if self.nonfinite is None else self.nonfinite | found
        self.marks.append(mark)


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
        ends_EF = torch.stack([tensor[0].reshape(-1), tensor[-1].reshape(-1)]).float()
        ends_EF = ends_EF[:, :: max(1, ends_EF.shape[1] // MOST_VALUES)]
        weight_F = torch.arange(1.0, 1.0 + ends_EF.shape[1], device=ends_EF.device).sqrt()
        return ends_EF[0] @ weight_F + 2 * (ends_EF[1] @ weight_F)

"""The numbers of watched steps, which gather until they are read: no step waits for a device.

Shape suffixes: K rows, P tensors, T numbers of `TAIL`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg.probes.rows import TAIL, UNKNOWN, Gathered


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Number = Tensor | float | Callable[[], float]

CAPACITY = 256


class Table:
    """Two tables of up to `CAPACITY` steps: a cheap one with a row for each, a costly one for those measured in full.

    One row is open; `close` ends it. The parts of a row are cut out once: to index a tensor takes longer than to write
    one number.

    Args:
        sizes_P: number of values of each tensor.
        device: where the numbers gather.
    """

    def __init__(self, sizes_P: np.ndarray, device: torch.device) -> None:
        self._sizes_P, count = sizes_P, len(sizes_P)
        self._closed: list[tuple[int, float, bool, bool]] = []
        self._losses: list[Tensor | float] = []  # of the closed rows
        self._due: list[int] = []  # rows that have a row in the costly table
        self._cheap_KP = torch.empty((CAPACITY, count), device=device)
        self._dear_KP = torch.empty((CAPACITY, 3 * count), device=device)
        self._tails: dict[tuple[int, str], Number] = {}  # of a costly row, by name
        self._norms_KP = self._cheap_KP.unbind()
        updates_KP, weights_KP, dots_KP = self._dear_KP.split(count, dim=1) if count else [self._dear_KP] * 3
        self._updates_KP, self._weights_KP, self._dots_KP = updates_KP.unbind(), weights_KP.unbind(), dots_KP.unbind()
        self._clear()

    @property
    def is_full(self) -> bool:
        """Whether it has to be read before the next step."""
        return len(self._closed) == CAPACITY

    @property
    def is_due(self) -> bool:
        """Whether the open row has one in the costly table."""
        return bool(self._due) and self._due[-1] == len(self._closed)

    @property
    def norms(self) -> Tensor:
        """The gradients' norms in the open row, (P,)."""
        return self._norms_KP[len(self._closed)]

    @property
    def updates(self) -> Tensor:
        """The norms of the updates in the last costly row, (P,)."""
        return self._updates_KP[len(self._due) - 1]

    @property
    def weights(self) -> Tensor:
        """The norms of the weights in the last costly row, (P,)."""
        return self._weights_KP[len(self._due) - 1]

    @property
    def dots(self) -> Tensor:
        """The products of gradients and weights in the last costly row, (P,)."""
        return self._dots_KP[len(self._due) - 1]

    def begin_due(self) -> None:
        """Give the open row one in the costly table."""
        self._due.append(len(self._closed))

    def note(self, name: str, value: Number | None) -> None:
        """Keep a number of `TAIL` for the last costly row; nothing if it is None, or if that row was read.

        Args:
            name: which.
            value: what gives the number once it is read: itself, a scalar on the device, or a function.
        """
        if value is not None and self._due:
            self._tails[len(self._due) - 1, name] = value

    def close(self, loss: Tensor | float, host: tuple[int, float, bool, bool]) -> None:
        """End the open row.

        Args:
            loss: a scalar.
            host: of `Gathered`.

        Raises:
            RuntimeError: the loss has more than one value.
        """
        self._losses.append(_own(loss))
        self._closed.append(host)

    def take(self) -> Gathered | None:
        """The closed rows, which leave the table; None without one. What is open stays."""
        count = len(self._closed)
        if not count:
            return None
        begun, whole = self.is_due, len(self._due) - self.is_due
        norms_KP = self._cheap_KP[:count].cpu().double().numpy()
        dear_KP, tails_KT = self._dear_KP[:whole].cpu().double().numpy(), self._read_tails(whole)
        losses_K = _read(self._losses)
        taken = Gathered(self._closed, self._due[:whole], losses_K, norms_KP, dear_KP, tails_KT, self._sizes_P)
        open_norms_P = self._cheap_KP[count].clone() if count < CAPACITY else None
        open_dear_P = self._dear_KP[whole].clone() if begun else None
        self._closed, self._losses, self._due = [], [], [0] * begun
        self._tails = {(0, name): value for (row, name), value in self._tails.items() if row == whole}
        self._clear()
        if open_norms_P is not None:
            self._cheap_KP[0] = open_norms_P
        if open_dear_P is not None:
            self._dear_KP[0] = open_dear_P
        return taken

    def _read_tails(self, count: int) -> np.ndarray:
        tails_KT = np.full((count, len(TAIL)), np.nan)
        for (row, name), value in self._tails.items():
            if row < count:
                tails_KT[row, TAIL.index(name)] = float(value() if callable(value) else value)
        return tails_KT

    def _clear(self) -> None:
        """Mark all norms as not measured by negative values, which leaves NaN to mean NaN."""
        self._cheap_KP.fill_(UNKNOWN)
        self._dear_KP.fill_(torch.nan)
        self._dear_KP[:, : 2 * len(self._sizes_P)] = UNKNOWN


def _own(loss: Tensor | float) -> Tensor | float:
    """A number that later writes into the loss do not change; nothing waits for a device."""
    if not isinstance(loss, torch.Tensor):
        return float(loss)
    return float(loss.item()) if loss.device.type == "cpu" else loss.detach().reshape(()).clone()


def _read(losses: Sequence[Tensor | float]) -> np.ndarray:
    """The numbers, (K,), with one wait for the device."""
    there = [loss for loss in losses if isinstance(loss, torch.Tensor)]
    read = iter(torch.stack([loss.float() for loss in there]).tolist() if there else [])
    return np.array([next(read) if isinstance(loss, torch.Tensor) else loss for loss in losses])

"""A few samples of the watched steps: inputs, outputs, the gradient there, and what tells a sample that comes again.

A watch sees no targets. The gradient of the loss at the outputs holds them: `diagnosis.measures.recovered` reads them
from it once the loss function is known.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import ref

import torch

from thalweg.probes.activations import is_transformed
from thalweg.probes.batches import Batch, first_tensor, mapped
from thalweg.probes.holdout import rows_of
from thalweg.probes.marks import MOST_VALUES


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MOST_BYTES = 8 << 20  # of samples, and as many of answers
MOST_ROWS = 1024
MOST_ANSWERS = 4096  # samples without their inputs
ROWS = 64  # of a step
MOST_MARKS = 1 << 14  # of samples


@dataclass(slots=True)
class Rows:
    """The first samples of one step.

    Attributes:
        inputs: the positional arguments of the model, a copy of their first rows; None: not kept.
        outputs: the same rows of the outputs.
        share: these samples, as a share of the batch.
        gradient: of the loss at `outputs`; None before the backward pass.
        step: its number, from 1; 0 while it is open.
    """

    inputs: tuple[Any, ...] | None
    outputs: Tensor
    share: float
    gradient: Tensor | None = None
    step: int = 0

    def take(self, gradient: Tensor) -> None:
        """Keep the gradient of the first backward pass."""
        if self.gradient is None:
            with suppress(Exception), torch.no_grad():  # a failure reaches no backward pass
                self.gradient = gradient.detach()[: len(self.outputs)].clone()


class Kept:
    """Keeps the first samples of the steps that are measured in full, until there are enough.

    Only a step with one pass of a batch whose inputs and outputs have one row for each sample counts. Nothing waits for
    a device.

    Attributes:
        rows: of the first steps, at most `MOST_ROWS` samples and `MOST_BYTES`.
        answers: of the steps after them, without inputs, if a sample's outputs are one row of numbers; at most
            `MOST_ANSWERS` samples and `MOST_BYTES`.
        marks: number of a step to one number for each of its first samples; equal inputs have equal numbers.
        remade: of the steps in `marks` but the first, how many were given another tensor than the one before.
    """

    def __init__(self) -> None:
        self.rows: list[Rows] = []
        self.answers: list[Rows] = []
        self.marks: dict[int, Tensor] = {}
        self.remade = 0
        self._given: Callable[[], Tensor | None] = lambda: None
        self._left = self._left_answers = MOST_BYTES
        self._most, self._most_marks, self._most_answers = MOST_ROWS, MOST_MARKS, MOST_ANSWERS
        self._passes = self._size = 0
        self._inputs: tuple[Any, ...] | None = None
        self._marks: Tensor | None = None
        self._open: Rows | None = None

    @property
    def told(self) -> list[Rows]:
        """What tells targets: `rows` and `answers`, in the order of the steps."""
        return sorted([*self.rows, *self.answers], key=lambda one: one.step)

    def enter(self, inputs: Any) -> None:
        """Look at the inputs of a pass; a failure reaches no forward pass.

        Args:
            inputs: the positional arguments.
        """
        self._passes += 1
        self._inputs = self._marks = self._open = None
        with suppress(Exception), torch.no_grad():
            first = first_tensor(inputs)
            if self._passes > 1 or first is None or is_transformed(first) or self._most_marks <= 0:
                return
            self._size = len(first)
            few = rows_of(Batch(inputs, None), slice(min(ROWS, len(first))))
            if few is None:
                return
            self._marks = marks_of(few.inputs)
            self.remade += bool(self.marks) and first is not self._given()
            self._given = ref(first)
            count = min(ROWS, self._most, self._left // max(sum(map(_bytes, leaves(few.inputs))), 1))
            if count > 0:
                self._inputs = mapped(few.inputs, lambda one: one[:count].clone())

    def leave(self, outputs: Any) -> None:
        """Look at the outputs of the pass that was entered last; None: it was broken off."""
        inputs, self._inputs = self._inputs, None
        with suppress(Exception), torch.no_grad():
            if self._marks is None or outputs.grad_fn is None or len(outputs) != self._size:
                return  # a parameter that is the output would keep the hook
            self._open = self._with_inputs(inputs, outputs) if inputs is not None else self._without(outputs)
            if self._open is not None:
                outputs.register_hook(self._open.take)

    def _with_inputs(self, inputs: tuple[Any, ...], outputs: Tensor) -> Rows | None:
        a_row = sum(map(_bytes, (*leaves(inputs), outputs, outputs)))
        count = min(len(leaves(inputs)[0]), self._left // max(a_row, 1))
        if count <= 0:
            return self._without(outputs)
        self._left -= a_row * count
        shorter = mapped(inputs, lambda one: one[:count])
        return Rows(shorter, outputs.detach()[:count].clone(), count / len(outputs))

    def _without(self, outputs: Tensor) -> Rows | None:
        a_row = 2 * _bytes(outputs)
        count = min(ROWS, len(outputs), self._most_answers, self._left_answers // max(a_row, 1))
        if outputs.ndim > 2 or count <= 0:
            return None
        self._left_answers -= a_row * count
        return Rows(None, outputs.detach()[:count].clone(), count / len(outputs))

    def close(self, step: int) -> None:
        """Close a step: what it gave is kept if it had one pass, and for `rows` a backward pass.

        Args:
            step: its number, from 1.
        """
        if self._passes == 1 and self._marks is not None:
            self.marks[step] = self._marks
            self._most_marks -= len(self._marks)
            if self._open is not None and self._open.gradient is not None:
                self._open.step = step
                self._keep(self._open)
        self._passes, self._marks, self._open, self._inputs = 0, None, None, None

    def _keep(self, rows: Rows) -> None:
        if rows.inputs is None:
            self.answers.append(rows)
            self._most_answers -= len(rows.outputs)
        else:
            self.rows.append(rows)
            self._most -= len(rows.outputs)


def marks_of(inputs: Any) -> Tensor:
    """One number for each row, on the device: equal rows have equal numbers, and others hardly ever.

    Of long rows, values at equal distances count.

    Args:
        inputs: a structure of tensors with one row for each sample.

    Example:
        >>> one, two, three = marks_of(torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])).tolist()
        >>> one == three, one == two
        (True, False)
    """
    parts = [one.detach().reshape(len(one), -1) for one in leaves(inputs)]
    chosen = [part[:, :: max(1, part.shape[1] // MOST_VALUES)].double() for part in parts]
    rows_NF = chosen[0] if len(chosen) == 1 else torch.cat(chosen, dim=1)
    return (rows_NF * _weights(rows_NF.shape[1], rows_NF.device)).sum(dim=1)


@lru_cache(maxsize=8)
def _weights(count: int, device: torch.device) -> Tensor:
    """Weights of the values of a row, (`count`,); made once, as each step has the same."""
    return (torch.arange(1.0, 1.0 + count, device=device, dtype=torch.double) * 0.7).sin()


def leaves(part: Any) -> list[Tensor]:
    """The tensors of a structure."""
    found: list[Tensor] = []
    mapped(part, lambda one: found.append(one) or one)
    return found


def _bytes(tensor: Tensor) -> int:
    return tensor[0].numel() * tensor.element_size()

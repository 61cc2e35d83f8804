"""What the user's program holds beside the only batch of its loop: a loader, or more samples of the same data.

Variables are looked at; of a loader's dataset, one sample is asked for. Nothing is changed, and nothing is kept.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from inspect import CO_OPTIMIZED
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from thalweg.probes.batches import first_tensor
from thalweg.probes.copies import own_randomness
from thalweg.probes.kept import marks_of


if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from thalweg.diagnosis.source import Program
    from thalweg.probes.kept import Kept

LOOK_AT = 30  # the step at which the program is looked at
TIMES = 4  # a batch's samples at hand, from which the batch is no whole training set: that may be a half of all data
MOST_VALUES = 1 << 27  # of a tensor that is searched
_OURS = "thalweg"


def repetition_of(program: Program) -> dict[str, float]:
    """`reopened` and `reseeded`, 0 or 1: whether a program begins its loader, or its random numbers, in each step."""
    return {
        "reopened": float(program.reopening() is not None),
        "reseeded": float(program.reseeding() is not None),
    }


def at_hand_measures(kept: Kept, size: int) -> dict[str, float]:
    """Ask for `at_hand`, 0 or 1: whether the program has more samples than the batch that all steps so far took.

    Args:
        kept: what the watch kept of these steps.
        size: samples in a batch.

    Returns:
        Nothing where the steps took several batches, or none was kept.
    """
    marks = list(kept.marks.values())
    if not kept.rows or len(marks) < 2 or any(not torch.equal(marks[0], one) for one in marks[1:]):
        return {}
    return {"at_hand": float(others_at_hand(kept.rows[0].inputs, size, remade=kept.remade >= len(marks) - 1))}


def others_at_hand(inputs: Any, size: int, *, remade: bool) -> bool:
    """Whether the program that calls has more samples for the loop that steps than its only batch.

    Args:
        inputs: the first samples of that batch: a structure of tensors.
        size: samples in the batch.
        remade: whether each step made a tensor of its own from them. Whoever trains on a few samples on purpose takes
            these once.

    Returns:
        Whether each step makes its batch, and the function that calls has a tensor or an array with these samples among
        at least four times as many; or any function up to the program has a DataLoader of such batches with as many
        samples. In a script outside any function, tensors tell nothing: whoever trains on a few samples holds all of
        them, too.
    """
    rows = first_tensor(inputs)
    if rows is None or not len(rows):
        return False
    frames = list(_frames())
    if not frames:
        return False
    if remade and _is_function(frames[0]) and any(_holds(value, rows, size) for value in _variables(frames[0])):
        return True
    held = {id(one): one for frame in frames for one in _loaders(frame)}
    return any(_offers(loader, rows, size) for loader in held.values())


def _frames() -> Iterator[FrameType]:
    """The frames of the user's program, the innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect.currentframe, without its imports
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] != _OURS:
            yield frame
        frame = frame.f_back


def _is_function(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & CO_OPTIMIZED)


def _variables(frame: FrameType) -> list[Any]:
    """The values of a frame's variables."""
    names = frame.f_locals
    values = list(names.values())
    if isinstance(names, dict) and _is_function(frame):
        names.clear()  # before Python 3.13 that is a copy that the frame keeps, and its tensors, as long as it runs
    return values


def _loaders(frame: FrameType) -> Iterator[DataLoader[Any]]:
    values = [*_variables(frame), *frame.f_globals.values()]
    yield from (value for value in values if isinstance(value, DataLoader))


def _holds(value: Any, rows: torch.Tensor, size: int) -> bool:
    """Whether a tensor or an array has these rows among many more."""
    with suppress(Exception), torch.no_grad():  # whatever a variable may be
        if not isinstance(value, torch.Tensor | np.ndarray) or len(value) < TIMES * size:
            return False
        if tuple(value.shape[1:]) != tuple(rows.shape[1:]):
            return False
        tensor = torch.as_tensor(value)
        if tensor.numel() > MOST_VALUES:
            return False
        among = marks_of(tensor.to(rows.dtype))
        return bool(torch.isin(marks_of(rows).to(among.device), among).all())
    return False


def _offers(loader: DataLoader[Any], rows: torch.Tensor, size: int) -> bool:
    """Whether a loader has many more samples of this shape, in batches of this size."""
    with suppress(Exception), own_randomness(0, loader), torch.no_grad():  # its dataset is the user's
        dataset: Any = loader.dataset
        if loader.batch_size != size or len(dataset) < TIMES * size:
            return False
        sample = first_tensor(dataset[0])
        return sample is not None and sample.shape == rows.shape[1:] and sample.dtype == rows.dtype
    return False

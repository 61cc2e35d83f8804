"""The processes that train one model together, and what they tell each other through the store of `torch.distributed`.

Nobody waits for an answer and no collective is called, so a process that has stopped holds up no other.

Shape suffixes: L groups of layers.
"""

from __future__ import annotations

import sys
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import distributed as dist
from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage] - torch's public name
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

BLOCKS = 16  # that the store keeps of a process, beside the first
MOST_READERS = 32  # processes that all read at the end; of more, only the first does
_LOOK_S = 0.02
_GENERATORS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One measured step of one process.

    Attributes:
        step: number of the optimizer's step, from 1.
        passes: number of backward passes so far.
        samples: in the last forward pass; -1: unknown.
        draws: a number for the state of each random generator.
        weights_L: sums of the bits before the step, wrapped to 64 bits.
        gradients_L: likewise.
        own: seconds that the process spent by itself: from the last optimizer step to the end of the forward pass.
        whole: seconds from one optimizer step to the next.
        mark: of the inputs, as in `probes.marks`.
    """

    step: int
    passes: int
    samples: int
    draws: tuple[int, ...]
    weights_L: tuple[int, ...]
    gradients_L: tuple[int, ...]
    own: float = float("nan")
    whole: float = float("nan")
    mark: float = float("nan")

    def to_bytes(self) -> bytes:
        """As `from_bytes` reads it: eight bytes for each number."""
        counts = np.array(
            [self.step, self.passes, self.samples, *self.draws, *self.weights_L, *self.gradients_L], dtype=np.int64
        )
        return counts.tobytes() + np.array([self.own, self.whole, self.mark]).tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        step, passes, samples, *rest = map(int, np.frombuffer(content, dtype=np.int64)[:-3])
        draws, sums = tuple(rest[:_GENERATORS]), rest[_GENERATORS:]
        half = len(sums) // 2
        numbers = map(float, np.frombuffer(content, dtype=np.float64)[-3:])
        return cls(step, passes, samples, draws, tuple(sums[:half]), tuple(sums[half:]), *numbers)


@dataclass(slots=True)
class Told:
    """What one process has told.

    Attributes:
        steps: number of its optimizer steps; None: it does not watch this model.
        passes: number of its backward passes.
        ended: whether it has left the loop.
        rows: its measured steps, by number.
    """

    steps: int | None = None
    passes: int = 0
    ended: bool = False
    rows: dict[int, Row] = field(default_factory=dict)


class Peers:
    """The processes that hold the same model.

    Args:
        store: of `torch.distributed`.
        rank: number of this process among them, from 0.
        ranks: of all of them, as `torch.distributed` counts.
        promised: whether they must hold equal weights: the model is a `DistributedDataParallel`.
    """

    def __init__(self, store: Any, rank: int, ranks: Sequence[int], *, promised: bool) -> None:
        self.store, self.rank, self.ranks, self.promised = store, rank, ranks, promised
        self._blocks = 0

    @classmethod
    def of(cls, model: nn.Module, optimizer: Any) -> Self | None:
        """Return the processes that hold a model; None if this one is alone, or if they may hold different weights."""
        if not (dist.is_available() and dist.is_initialized()) or _differ_by_design(model, optimizer):
            return None
        wrapper = next((part for part in model.modules() if isinstance(part, DistributedDataParallel)), None)
        ranks = dist.get_process_group_ranks(wrapper.process_group if wrapper is not None else None)
        if len(ranks) < 2 or dist.get_rank() not in ranks:
            return None
        store = dist.distributed_c10d._get_default_store()  # noqa: SLF001 - torch has no public name
        prefix = f"thalweg/watch/{zlib.crc32(repr(list(ranks)).encode())}/{_number(model)}"
        place = ranks.index(dist.get_rank())
        return cls(PrefixStore(prefix, store), place, ranks, promised=wrapper is not None)

    def post(self, rows: Sequence[Row], steps: int, passes: int, *, ended: bool = False) -> None:
        """Give the others what was measured since the last time; of long ago, the store keeps only the begin.

        Args:
            rows: the measured steps.
            steps: number of optimizer steps so far.
            passes: number of backward passes so far.
            ended: whether this process leaves the loop.
        """
        if rows:
            number = self._blocks if self._blocks <= BLOCKS else 1 + (self._blocks - 1) % BLOCKS
            self.store.set(f"{self.rank}/{number}", _text(rows))
            self._blocks += 1
        self.store.set(f"{self.rank}/steps", f"{steps} {passes} {self._blocks} {int(ended)}")

    def gather(self, patience: float = 0.0) -> list[Told]:
        """Return what all processes have told so far, this one among them.

        Args:
            patience: seconds to wait, at most, until all that watch have left the loop.
        """
        deadline = time.monotonic() + patience
        found = [self._read(rank) for rank in range(len(self.ranks))]
        while any(one.steps is not None and not one.ended for one in found) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            found = [one if one.ended else self._read(rank) for rank, one in enumerate(found)]
        return found

    def _read(self, rank: int) -> Told:
        if not self.store.check([f"{rank}/steps"]):
            return Told()
        steps, passes, blocks, ended = map(int, self.store.get(f"{rank}/steps").split())
        rows = [row for at in range(min(blocks, 1 + BLOCKS)) for row in _rows(self.store.get(f"{rank}/{at}"))]
        return Told(steps, passes, bool(ended), {row.step: row for row in rows})


def _text(rows: Sequence[Row]) -> str:
    """The rows of one size as text: a store takes no other."""
    return " ".join(row.to_bytes().hex() for row in rows)


def _rows(content: bytes) -> list[Row]:
    return [Row.from_bytes(bytes.fromhex(part)) for part in content.decode().split()]


def _differ_by_design(model: nn.Module, optimizer: Any) -> bool:
    """Whether the processes hold parts of the weights, or average them only now and then."""
    if "LocalSGD" in type(optimizer).__name__ or any(hasattr(p, "placements") for p in model.parameters()):
        return True
    states = [state for part in model.modules() for _, state in getattr(part, "_comm_hooks", ())]
    kinds = [type(one).__name__ for one in (*states, *model.modules())]
    return any("LocalSGD" in kind or kind.startswith(("FSDP", "FullySharded")) for kind in kinds)


_watched: dict[int, int] = {}  # of a shape of model and a line of the program, how often it was watched


def _number(model: nn.Module) -> str:
    """A name that the processes give a model alike, if they watch it at one line of the program, equally often."""
    shapes = repr([(name, tuple(p.shape)) for name, p in model.named_parameters() if not is_lazy(p)])
    mark = zlib.crc32((shapes + _line()).encode())
    _watched[mark] = _watched.get(mark, 0) + 1
    return f"{mark}/{_watched[mark]}"


def _line() -> str:
    """The line of the user's program that runs; the machines may keep the program in different folders."""
    frame = sys._getframe()  # noqa: SLF001 - as `warnings` finds the line
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "thalweg":
        frame = frame.f_back
    return f"{frame.f_code.co_filename.replace(chr(92), '/').rpartition('/')[2]}:{frame.f_lineno}"

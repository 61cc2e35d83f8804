"""Recording: losses, gradient norms and counts gather on the device, without a host sync per step, then go to disk."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import torch

from thalweg.errors import RunError, TrainingError
from thalweg.history import HistoryLog
from thalweg.runs import files
from thalweg.training.progress import EpochSums, Progress


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from torch import Tensor

    from thalweg.probes import LayerProbe
    from thalweg.training.batch import Taken
    from thalweg.training.progress import Clock, Listener, State

CAPACITY = 64
SECONDS_BETWEEN_READS = 0.5


@dataclass(slots=True)
class Reading:
    """The numbers of one step, read from the device."""

    step: int
    epoch: float
    photos: int
    lr: float
    size: int
    mixed: bool
    loss: float
    gradient_norm: float


@dataclass(slots=True)
class Meter:
    """A small table on the device, one row per step: loss, gradient norm, correct photos."""

    device: torch.device
    sums: EpochSums = field(default_factory=EpochSums)
    _known: list[dict[str, Any]] = field(default_factory=list)  # the fields of each row that the host knows
    _values_K3: Tensor = field(init=False)
    _rates: list[Sequence[float]] = field(default_factory=list)  # of the processes, in each step
    _read_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._values_K3 = torch.zeros(CAPACITY, 3, device=self.device)

    def add(self, taken: Taken, **known: Any) -> None:
        """Store one step's numbers on the device, and the other fields of its `Reading` on the host."""
        torch.stack([taken.loss, taken.norm, taken.right], out=self._values_K3[len(self._known)])
        self._known.append({"photos": taken.photos, "mixed": taken.are_mixed, **known})
        if taken.rates:
            self._rates.append(taken.rates)

    @property
    def due(self) -> bool:
        """Whether the table is full or due to be read."""
        return len(self._known) == CAPACITY or time.monotonic() - self._read_at > SECONDS_BETWEEN_READS

    def rates(self) -> dict[int, float]:
        """Return photos per second of each process that had photos since the last call, over all of its work."""
        found = {
            process: len(known) / sum(1 / rate for rate in known)
            for process, of_one in enumerate(zip(*self._rates, strict=True))
            if (known := [rate for rate in of_one if rate > 0])
        }
        self._rates.clear()
        return found

    def read(self) -> list[Reading]:
        """Empty the table and add it to the epoch's sums."""
        values = self._values_K3[: len(self._known)].tolist()
        readings = []
        for known, (loss, norm, right) in zip(self._known, values, strict=True):
            self.sums.loss += loss * known["photos"]
            self.sums.right += right
            self.sums.photos += known["photos"]
            readings.append(Reading(**known, loss=loss, gradient_norm=norm))
        self._known.clear()
        self._read_at = time.monotonic()
        return readings


class Recorder:
    """Writes the three histories of a run; a context manager that closes their files.

    Args:
        run: the run's folder.
        state: counters of the run; rows after its step are cut, because those steps will be repeated.
        device: the device on which losses gather.
        listener: receives the progress.
        layers: measures the layers; its rows are written whenever the meter is read.
        epoch_units: columns of the history of epochs.

    Raises:
        RunError: another process is training this run.
    """

    def __init__(  # noqa: PLR0917 - of one caller
        self,
        run: Path,
        state: State,
        device: torch.device,
        listener: Listener,
        layers: LayerProbe,
        epoch_units: Mapping[str, str] = files.EPOCH_UNITS,
    ) -> None:
        self.meter, self._columns = Meter(device, state.sums), tuple(epoch_units)
        self._run, self._state, self._listener, self._measured = run, state, listener, layers
        self._read_at = time.monotonic()
        self._steps = HistoryLog(run / files.STEPS, files.STEP_UNITS)
        if not self._steps.hold():
            self._steps.close()
            raise RunError("training.in_use", run=run)
        self._epochs = HistoryLog(run / files.EPOCHS, dict(epoch_units))
        self._layers = HistoryLog(run / files.LAYERS, layers.units)
        self._steps.cut_after(state.step)
        self._layers.cut_after(state.step)
        # A row of this step belongs to an epoch end that came after the checkpoint, which was saved within the epoch.
        self._epochs.cut_after(state.step - (0.5 if state.batch else 0))
        self._processes: HistoryLog | None = None
        if (run / files.PROCESSES).exists():
            self._open_processes().cut_after(state.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with ExitStack() as closing:  # closes each file, even if closing another fails
            for log in (self._steps, self._epochs, self._layers, self._processes):
                if log is not None:
                    closing.callback(log.close)

    def read(self, clock: Clock) -> None:
        """Read the meter, write its rows, and report the progress.

        Raises:
            TrainingError: a loss or a gradient norm is not finite; the message names the step.
        """
        readings = self.meter.read()
        if not readings:
            return
        self._steps.extend([[getattr(reading, name) for name in files.STEP_UNITS] for reading in readings])
        self._layers.extend(self._measured.read())
        if rates := self.meter.rates():
            rows = [[readings[-1].step, process, rate] for process, rate in rates.items()]
            log = self._open_processes() if self._processes is None else self._processes
            log.extend(rows)
        for reading in readings:
            if not (math.isfinite(reading.loss) and math.isfinite(reading.gradient_norm)):
                raise TrainingError(
                    "training.not_finite",
                    step=reading.step,
                    loss=reading.loss,
                    norm=reading.gradient_norm,
                    run=self._run,
                )
        now, latest, sums = time.monotonic(), readings[-1], self._state.sums
        self._listener.progressed(
            Progress(
                share=clock.share(latest.step),
                step=latest.step,
                epoch=latest.epoch,
                loss=latest.loss,
                accuracy=sums.right / sums.photos,
                gradient_norm=latest.gradient_norm,
                lr=latest.lr,
                photos_per_second=sum(reading.photos for reading in readings) / (now - self._read_at),
                seconds=clock.seconds,
                seconds_left=clock.seconds_left(latest.step),
                several=files.VALID_MAP in self._columns,
            )
        )
        self._read_at = now

    def _open_processes(self) -> HistoryLog:
        """Open the history of the processes, which a training in one process does not have."""
        self._processes = HistoryLog(self._run / files.PROCESSES, files.PROCESS_UNITS)
        return self._processes

    def restart_rate(self) -> None:
        """Exclude the time of an evaluation or a checkpoint from the photos per second."""
        self._read_at = time.monotonic()

    def add(self, steps: list[list[float]], epochs: list[dict[str, float]], layers: list[list[float]]) -> None:
        """Write the rows of a training that took place without batches."""
        self._steps.extend(steps)
        self._layers.extend(layers)
        self._epochs.extend([[row[name] for name in self._columns] for row in epochs])

    def end_epoch(self, row: dict[str, float]) -> None:
        """Write an epoch's row and report it."""
        row = {name: row[name] for name in self._columns}
        self._epochs.extend([list(row.values())])
        self._listener.epoch_ended(row)


class Witness:
    """What a process has that does not write: its meter is emptied, and its numbers go nowhere.

    Args:
        run: the run's folder, which may be on another machine.
        state: counters of the run.
        device: the device on which losses gather.
        listener: hears nothing.
        layers: measures the layers.
        epoch_units: columns of the history of epochs.
    """

    def __init__(  # noqa: PLR0917 - as `Recorder`
        self,
        run: Path,  # noqa: ARG002 - as `Recorder`
        state: State,
        device: torch.device,
        listener: Listener,  # noqa: ARG002 - as `Recorder`
        layers: LayerProbe,
        epoch_units: Mapping[str, str] = files.EPOCH_UNITS,  # noqa: ARG002 - as `Recorder`
    ) -> None:
        self.meter, self._measured = Meter(device, state.sums), layers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def read(self, clock: Clock) -> None:  # noqa: ARG002 - as `Recorder`
        """Empty the meter."""
        self.meter.read()
        self.meter.rates()
        self._measured.read()

    def end_epoch(self, row: dict[str, float]) -> None:
        """Take an epoch's row."""

    def restart_rate(self) -> None:
        """Take the end of a pause."""

    def add(self, steps: list[list[float]], epochs: list[dict[str, float]], layers: list[list[float]]) -> None:
        """Take the rows of a training without batches."""

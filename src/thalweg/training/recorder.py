"""From the meter on the device to the history on the disk, and to whoever listens."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from thalweg.errors import RunError, TrainingError
from thalweg.history import HistoryLog
from thalweg.training.listener import Progress
from thalweg.training.meter import Meter
from thalweg.training.run import EPOCH_UNITS, STEP_UNITS


if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import torch

    from thalweg.probes import LayerProbe
    from thalweg.training.clock import Clock
    from thalweg.training.listener import Listener
    from thalweg.training.state import State


class Recorder:
    """Keeps the three histories of a run; a context, so that its files are closed.

    Args:
        run: the run's folder.
        state: counters of the training; rows after its step are cut, they will be made again.
        device: where losses gather.
        listener: is told.
        layers: measures the layers; what it has is written whenever the meter is read.

    Raises:
        RunError: another process trains this run.
    """

    def __init__(self, run: Path, state: State, device: torch.device, listener: Listener, layers: LayerProbe) -> None:
        self.meter = Meter(device, state.sums)
        self._run, self._state, self._listener, self._measured = run, state, listener, layers
        self._read_at = time.monotonic()
        self._steps = HistoryLog(run / "history" / "steps", STEP_UNITS)
        if not self._steps.hold():
            self._steps.close()
            raise RunError("training.in_use", run=run)
        self._epochs = HistoryLog(run / "history" / "epochs", EPOCH_UNITS)
        self._layers = HistoryLog(run / "history" / "layers", layers.units)
        self._steps.cut_after(state.step)
        self._layers.cut_after(state.step)
        # A row of this very step is of an epoch's end that the checkpoint, taken within the epoch, has not seen.
        self._epochs.cut_after(state.step - (0.5 if state.batch else 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with ExitStack() as closing:  # each is closed, whatever happens to the others
            for log in (self._steps, self._epochs, self._layers):
                closing.callback(log.close)

    def read(self, clock: Clock) -> None:
        """Read the meter, write its rows, and tell how the training stands.

        Raises:
            TrainingError: a loss or a gradient norm is no finite number; its step is named.
        """
        readings = self.meter.read()
        if not readings:
            return
        self._steps.extend([[getattr(reading, name) for name in STEP_UNITS] for reading in readings])
        self._layers.extend(self._measured.read())
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
            )
        )
        self._read_at = now

    def restart_rate(self) -> None:
        """Forget the time that passed: an evaluation or a checkpoint is no part of the photos a second."""
        self._read_at = time.monotonic()

    def end_epoch(self, row: dict[str, float]) -> None:
        """Write an epoch's row, and tell it."""
        self._epochs.extend([[row[name] for name in EPOCH_UNITS]])
        self._listener.epoch_ended(row)

"""What a search for the learning rate has found: curve, probes, and the suggestion or why there is none."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from thalweg.i18n import t


Reason = Literal["diverges_at_once", "flat", "never_falls", "noisy", "not_finite", "too_few_batches"]
Edge = Literal["lowest", "highest"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A short training at one rate, from the model as it was given.

    Attributes:
        rate: learning rate.
        steps: how many.
        loss: mean over the deciding batches afterwards; infinity where it blew up.
    """

    rate: float
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class RateSweep:
    """A search for the learning rate.

    Attributes:
        suggestion: the rate to train with; None where the curve is unusable.
        reason: why there is none, as a code; None where there is one.
        edge: the suggestion lies at this end of the range that was searched: search further there.
        rates: of the sweep's steps, rising.
        losses: of the same steps, each on its own batch, before the step.
        smoothed: the same without most of the batches' noise.
        stopped_at: rate at which the loss exploded and the sweep ended; None where it came to its end.
        start_loss: of the model as it was given, on the deciding batches.
        probes: the short trainings that decided, by rate and length.
        steps: training steps spent in all.
    """

    suggestion: float | None
    reason: Reason | None
    edge: Edge | None
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    stopped_at: float | None
    start_loss: float
    probes: tuple[Probe, ...]
    steps: int

    @property
    def usable(self) -> bool:
        """Whether there is a suggestion."""
        return self.suggestion is not None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what is no finite number is None."""
        return _finite({"usable": self.usable, **asdict(self)})

    def __str__(self) -> str:
        """In one sentence, in the language in force."""
        if self.suggestion is None:
            return t(f"rate.unusable_{self.reason}")
        key = f"rate.suggested_{self.edge}" if self.edge else "rate.suggested"
        return t(key, rate=f"{self.suggestion:.2g}", lowest=self.rates[0], highest=self.rates[-1])


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

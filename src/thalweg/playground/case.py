"""A case of *guess the cause*: settings and a fault, the cause, and what repairs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UsageError
from thalweg.i18n import t
from thalweg.playground.loop import NO_FAULT, Fault, Loop
from thalweg.playground.settings import Settings


if TYPE_CHECKING:
    from collections.abc import Mapping

SEEDS: Final = 20  # of each case: for all of them, a test asks for the right verdict
WELL: Final = ("converged", "healthy")  # causes that nothing repairs


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A training with a known cause.

    Attributes:
        code: of the verdict.
        settings: of any seed.
        fault: of the loop.
        steps: how many the case runs.
        repair: settings that the repaired twin has instead.
        mended: the fault that the repaired twin still has.
        repaired_steps: how many steps the repaired twin runs; None: as many.
        validated: whether losses of held-out points are recorded.
        next_batch: whether the diagnosis gets the batch after the last step's instead of that.
        batches: how many batches the diagnosis gets.
    """

    code: str
    settings: Settings = field(default_factory=Settings)
    fault: Fault = NO_FAULT
    steps: int = 200
    repair: Mapping[str, Any] = field(default_factory=dict)
    mended: Fault = NO_FAULT
    repaired_steps: int | None = None
    validated: bool = False
    next_batch: bool = False
    batches: int = 1

    def loop(self, seed: int, *, repaired: bool = False) -> Loop:
        """The loop of a seed, at its very start.

        Args:
            seed: 0 to 19.
            repaired: whether to return the repaired twin, which differs from the case only in what `changed` says.

        Raises:
            UsageError: the seed is none of the case's, or nothing is to be repaired.
        """
        if not 0 <= seed < SEEDS:
            raise UsageError("playground.bad_number", name="seed", value=seed, least=0, most=SEEDS - 1)
        if not repaired:
            return Loop(replace(self.settings, seed=seed), fault=self.fault)
        if self.code in WELL:
            raise UsageError("playground.nothing_to_repair")
        return Loop(replace(self.settings, seed=seed, **self.repair), fault=self.mended)

    def steps_of(self, *, repaired: bool) -> int:
        """How many steps the case or its repaired twin runs."""
        return self.repaired_steps or self.steps if repaired else self.steps

    @property
    def about(self) -> str:
        """What is wrong, in a sentence."""
        return t(f"playground.about_{self.code}")

    @property
    def hint(self) -> str:
        """Where to look, in a sentence that does not name the cause."""
        return t(f"playground.hint_{self.code}")

    @property
    def changed(self) -> str:
        """What is changed in the repaired twin, in a sentence."""
        return t(f"playground.repair_{self.code}")

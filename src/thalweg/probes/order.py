"""The order of a loop's calls: whether `watch.step` comes once for each optimizer step, and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import torch


if TYPE_CHECKING:
    from collections.abc import Callable

TWICE, EARLY = "step_twice", "step_early"


class CallOrder:
    """Follows forward and backward passes, optimizer steps and records, and names a record in the wrong place.

    A record belongs after a step, or, while gradients are accumulated, after a backward pass. `step_twice`: nothing
    happened since the last one. `step_early`: the records come before their steps, which shows at the third: the first
    saw no step, and the next two saw one, but also the next pass after it.

    Example:
        >>> order, found = CallOrder(), []
        >>> for loss in (3.0, 2.0, 1.0):
        ...     order.passed()
        ...     found.append(order.close(loss, watched=True))
        ...     order.stepped()
        >>> found
        [None, None, 'step_early']
    """

    def __init__(self) -> None:
        self._active = self._stepped = self._after = False
        self._records = self._early = 0
        self._first_stepped = self._ever_passed = False
        self._repeated = self._accumulates = False
        self._last: Callable[[], Any] = lambda: None

    def passed(self) -> None:
        """Note a forward or backward pass."""
        self._active = self._ever_passed = True
        self._after = self._stepped

    def stepped(self) -> None:
        """Note an optimizer step."""
        self._active = self._stepped = True
        self._after = False

    def close(self, loss: Any, *, watched: bool) -> str | None:
        """Note a record.

        Args:
            loss: what was recorded.
            watched: whether passes were noted since the last record.

        Returns:
            `step_twice`, `step_early` or None; a `step_twice` is to be ignored.
        """
        if self._records and not self._stepped and self._repeats(loss, watched=watched):
            self._repeated = True
            return TWICE
        self._accumulates |= self._records > 0 and not self._stepped
        if not self._records:
            self._first_stepped = self._stepped
        elif self._records <= 2 and not self._first_stepped and self._stepped and self._after:
            self._early += 1
        self._records += 1
        self._last = ref(loss) if isinstance(loss, torch.Tensor) else lambda: None
        self._active = self._stepped = self._after = False
        return EARLY if self._early == 2 and self._records == 3 else None

    def _repeats(self, loss: Any, *, watched: bool) -> bool:
        if isinstance(loss, torch.Tensor) and loss is self._last():
            return True
        if watched:
            return self._ever_passed and not self._active
        return self._repeated and not self._accumulates  # as it was where passes were noted

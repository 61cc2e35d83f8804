"""What dropout costs: short runs of two copies, one without dropout, both judged without it.

They run from the present weights and from new ones: a network that dropout has taught to ignore its inputs does not
recover in a few steps.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

STEPS, STEPS_ANEW = 60, 200
_DROPPING = {
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "feature_dropout",
}


class _AtDropout(TorchFunctionMode):
    """A context that sees every call of a dropout, module or function."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__name__", "").rstrip("_") in _DROPPING:
            return self.dropped(func, args, given)
        return func(*args, **given)

    def dropped(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """What the call of a dropout returns."""
        raise NotImplementedError


class WithoutDropout(_AtDropout):
    """A context in which every dropout, module or function, lets all values pass.

    Example:
        >>> with WithoutDropout():
        ...     bool((nn.Dropout(0.9)(torch.ones(100)) == 1).all())
        True
    """

    def dropped(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:  # noqa: ARG002
        """The values themselves."""
        return args[0] if args else given["input"]


class _Dropping(_AtDropout):
    """A context that notes the largest probability of a dropout that is at work."""

    def __init__(self) -> None:
        super().__init__()
        self.strongest = 0.0

    def dropped(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """What the dropout makes of the values."""
        named = dict(zip(("input", "p", "training"), args, strict=False)) | given
        if named.get("training", named.get("train", True)):
            self.strongest = max(self.strongest, float(named.get("p", 0.5)))
        return func(*args, **given)


def dropout_left_on(model: nn.Module, batch: Batch) -> dict[str, float]:
    """Measure whether dropout works in evaluation mode, as `functional.dropout(x)` does without `training=`.

    Args:
        model: is left in evaluation mode.
        batch: for one pass.

    Returns:
        `dropout_left_on`: the largest probability of a dropout that is at work in evaluation mode, in [0, 1].
    """
    model.eval()
    with torch.no_grad(), _Dropping() as dropping:
        batch.outputs(model)
    return {"dropout_left_on": dropping.strongest}


def dropout_strengths(model: nn.Module) -> list[float]:
    """The probability `p` of each dropout module, in the order of the modules."""
    return [module.p for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]  # noqa: SLF001


def dropout_measures(gains: Gains) -> dict[str, float]:
    """Measure how much more a copy without dropout learns.

    Args:
        gains: the model, its optimizer, the loss and the batches, and how long short runs may take.

    Returns:
        `gain_no_dropout_more`: the gain without dropout less that with it, both judged in evaluation mode; nothing
        for a model without dropout modules, or whose steps take too long.
    """
    if not gains.model.training or max(dropout_strengths(gains.model), default=0.0) <= 0:
        return {}
    affordable = gains.affordable()
    if 2 * (STEPS + STEPS_ANEW) * affordable // RUN_STEPS * gains.a_step > gains.seconds:
        return {}
    more = []
    for anew, wanted in ((False, STEPS), (True, STEPS_ANEW)):
        steps = wanted * affordable // RUN_STEPS
        kept, dropped = (_after(gains, steps, way, anew=anew) for way in (WithoutDropout(), nullcontext()))
        more.append((dropped - kept) / gains.scale)
    known = [gain for gain in more if math.isfinite(gain)]
    return {"gain_no_dropout_more": max(known)} if affordable and known else {}


def _after(gains: Gains, steps: int, way: AbstractContextManager[Any], *, anew: bool) -> float:
    """Train a copy, from new weights or the present ones, and return its loss in evaluation mode."""
    copied = gains.copied()
    if anew:
        with own_randomness(1):
            copied.restart()
    with own_randomness(0), torch.enable_grad(), way:
        for step in range(steps):
            batch = gains.batches[step % len(gains.batches)]
            if not copied.step(partial(batch.loss, copied.model, copied.loss_fn)).requires_grad:
                return math.nan
    copied.model.eval()
    with own_randomness(0):
        return mean_loss(copied.model, copied.loss_fn, gains.batches)

"""The wiring of a training loop: which parameters it can reach, and whether it clears gradients at each step."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.nn.parameter import is_lazy


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Wiring:
    """Shares of a model's values that training cannot reach, each in [0, 1].

    Attributes:
        parameters: number of values that the model learns or could learn.
        missing: of the values that require a gradient, the share that no group of the optimizer has. A frozen network
            with a new classifier has few of them.
        frozen: share that requires no gradient (`requires_grad=False`).
        stopped: of the values that require a gradient, the share in groups whose learning rate is zero.
        foreign: share of the optimizer's values that do not belong to the model.
        names: names of some missing or frozen parameters, for the message.
    """

    parameters: int
    missing: float
    frozen: float
    stopped: float
    foreign: float
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer, *, reached: Collection[int] = ()) -> Self:
        """Inspect a model and its optimizer without running anything.

        Args:
            model: whose parameters are looked at; a lazy one without a shape yet counts as nothing.
            optimizer: that trains it.
            reached: the `id` of each parameter that is known to be trained, whatever it looks like now.

        Example:
            >>> import torch
            >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
            >>> Wiring.of(model, torch.optim.SGD(model[1].parameters(), lr=0.1)).missing
            0.6923076923076923
        """
        named = [(name, p) for name, p in model.named_parameters() if not is_lazy(p)]
        in_optimizer = {id(p): rate_of(group) for group in optimizer.param_groups for p in group["params"]}
        own = {id(parameter) for parameter in model.parameters()}
        total = sum(parameter.numel() for _, parameter in named)
        asking = sum(parameter.numel() for _, parameter in named if parameter.requires_grad)
        rest = [(name, p) for name, p in named if id(p) not in reached]
        missing = [(name, p) for name, p in rest if p.requires_grad and id(p) not in in_optimizer]
        frozen = [(name, p) for name, p in rest if not p.requires_grad]
        stopped = [p for _, p in rest if p.requires_grad and in_optimizer.get(id(p)) == 0.0]
        held = [p for group in optimizer.param_groups for p in group["params"] if not is_lazy(p)]
        foreign = sum(p.numel() for p in held if id(p) not in own)
        return cls(
            parameters=total,
            missing=_share((p.numel() for _, p in missing), asking),
            frozen=_share((p.numel() for _, p in frozen), total),
            stopped=_share((p.numel() for p in stopped), asking),
            foreign=foreign / max(1, sum(p.numel() for p in held)),
            names=tuple(name for name, _ in [*missing, *frozen][:4]),
        )

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class Reach:
    """Which parameters a training was seen to reach: what is frozen, stopped or missing only for a while is not lost.

    A parameter is reached if it requires a gradient at a look while its group has a learning rate, or if its values
    change though the optimizer does not hold it: another optimizer trains it.

    Args:
        model: the model in training.
        optimizer: its optimizer.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self._reached: set[int] = set()
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self._marks = {id(p): _mark(p) for p in model.parameters() if id(p) not in held and not is_lazy(p)}

    def look(self) -> None:
        """Note the parameters that the next step of the optimizer reaches."""
        for group in self._optimizer.param_groups:
            if rate_of(group) != 0.0:
                self._reached.update(id(p) for p in group["params"] if p.requires_grad)

    def wiring(self) -> Wiring:
        """Return the wiring, without the parameters that were reached at any time."""
        for parameter in self._model.parameters():
            mark = self._marks.get(id(parameter))
            if mark is not None and mark != _mark(parameter):
                self._reached.add(id(parameter))
        return Wiring.of(self._model, self._optimizer, reached=self._reached)


FEWEST_LOOKS = 3
MOST_OBSERVED = 1 << 16  # values of a matrix that is observed rather than a vector


class ClearingCheck:
    """Tells exactly, from one small tensor, whether gradients were cleared between two steps.

    Let g be the addition of a backward pass to the tensor's gradient, G the gradient after the last optimizer step or
    pass, and G' the gradient after this pass. Cleared: G' = g. Not cleared: G' = G + g. Both are read right after each
    pass, before anything clips or unscales them. All passes of a step count: in a GAN, the generator's pass leaves
    gradients in the critic, which are cleared before the critic's own. After a record without a step, the same
    comparison tells accumulation from a gradient that no step will use.

    Args:
        parameters: all trained parameters; a small matrix is observed, if there is one, else the smallest with more
            than one value: the bias of an encoder that makes both sides of a difference has no gradient.

    Attributes:
        passes: number of backward passes since `prepare`.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = parameters
        self._parameter: Tensor | None = None
        self._hooks = ExitStack()
        self._incoming: Tensor | None = None
        self._before: Tensor | None = None
        self._lengths: list[Tensor] = []  # of each pass: the norms of G' - g, G, g, and G' - g - G
        self._waiting: Tensor | None = None  # the gradient that no step has used yet
        self._dropped: Tensor | None = None  # number of such gradients that were cleared, of so many looked at
        self._looks = 0
        self.passes = 0
        self._arrival: tuple[Tensor, int] | None = None  # the gradient's norm after the last pass; the tensor's version

    @property
    def dropped(self) -> float:
        """Share of the gradients without a step that were cleared unused; NaN: fewer than three were looked at."""
        if self._dropped is None or self._looks < FEWEST_LOOKS:
            return float("nan")
        return float(self._dropped) / self._looks

    def prepare(self, *, after_step: bool) -> bool:
        """Observe the next step.

        Args:
            after_step: whether the optimizer has stepped since the last call; if not, accumulation is intended.

        Returns:
            Whether backward passes can be observed.
        """
        self.forget()
        self._incoming = self._before = self._waiting = None
        self._lengths = []
        passed, self.passes, self._arrival = self.passes, 0, None
        if self._parameter is None or not _is_plain(self._parameter):
            self._parameter = min(filter(_is_plain, self._parameters), key=_dear, default=None)
        parameter: Any = self._parameter
        if parameter is None:
            return False
        if after_step and parameter.grad is not None and not parameter.grad.is_sparse:
            self._before = parameter.grad.detach().clone()
        if not after_step and passed and parameter.grad is None:
            self._drop(torch.ones((), device=parameter.device))
        elif not after_step and parameter.grad is not None and not parameter.grad.is_sparse:
            self._waiting = parameter.grad.detach().clone()
        self._hooks.callback(parameter.register_hook(self._arrive).remove)
        self._hooks.callback(parameter.register_post_accumulate_grad_hook(self._arrived).remove)
        return True

    def _arrive(self, gradient: Tensor) -> None:
        if self._before is not None or self._waiting is not None:
            self._incoming = gradient.detach().clone()

    def _arrived(self, parameter: Tensor) -> None:
        self.passes += 1
        if parameter.grad is not None and not parameter.grad.is_sparse:
            self._arrival = torch.linalg.vector_norm(parameter.grad.detach()), parameter._version  # noqa: SLF001
        before, incoming, self._incoming = self._before, self._incoming, None
        waiting, self._waiting = self._waiting, None
        if waiting is not None and incoming is not None and parameter.grad is not None:
            rest = parameter.grad.detach() - incoming
            self._drop((rest.norm() <= 1e-3 * waiting.norm()) & (incoming.norm() > 0))
        if before is None or incoming is None or parameter.grad is None:
            return
        now = parameter.grad.detach()
        rest = now - incoming
        compared = torch.stack([rest, before, incoming, rest - before]).flatten(start_dim=1)
        self._lengths.append(torch.linalg.vector_norm(compared, dim=1))
        self._before = now.clone()

    @property
    def arrived(self) -> Tensor | None:
        """The norm of the tensor's gradient after the last pass; None: unknown, or the tensor was written to since."""
        if self._arrival is None or self._parameter is None:
            return None
        length, version = self._arrival
        return length if version == self._parameter._version else None  # noqa: SLF001 - torch has no public name

    def _drop(self, dropped: Tensor) -> None:
        """Count a look; no host sync waits for it."""
        self._looks += 1
        self._dropped = dropped.float() if self._dropped is None else self._dropped.to(dropped.device) + dropped

    def verdict(self) -> Callable[[], float] | None:
        """What tells, once read, 1.0 if all passes added to the last step's gradient; None, NaN: unknown."""
        return partial(_all_added, self._lengths) if self._lengths else None

    def unused(self) -> Callable[[], float] | None:
        """What tells 1.0 if a pass of this step was cleared before the optimizer used it, else 0.0; None: unknown."""
        return partial(_any_cleared, self._lengths[1:]) if self._lengths else None

    def forget(self) -> None:
        """Stop listening."""
        self._hooks.close()


def _all_added(lengths: Sequence[Tensor]) -> float:
    read = [length.tolist() for length in lengths]
    if not any(before > 0 for _, before, _, _ in read):
        return math.nan  # this tensor has no gradient, cleared or not
    return float(all(_is_none(added, before, given) for _, before, given, added in read))


def _any_cleared(lengths: Sequence[Tensor]) -> float:
    return float(any(_is_none(rest, before, given) for rest, before, given, _ in map(torch.Tensor.tolist, lengths)))


def _is_none(gap: float, before: float, incoming: float) -> bool:
    """Whether a gap is none beside the gradient before a pass, where that is beyond the rounding error of the pass."""
    return gap < 1e-3 * before and before > 1e-4 * incoming


def is_able(parameter: Tensor) -> bool:
    """Whether a hook on a parameter can see its gradient."""
    return parameter.requires_grad and parameter.is_leaf and not is_lazy(parameter) and parameter.numel() > 1


def _is_plain(parameter: Tensor) -> bool:
    gradient = parameter.grad
    return is_able(parameter) and (gradient is None or not gradient.is_sparse)


def _dear(parameter: Tensor) -> tuple[bool, int]:
    """A small matrix comes first, then the smallest."""
    count = parameter.numel()
    return parameter.ndim < 2 or count > MOST_OBSERVED, count


def rate_of(group: dict[str, Any]) -> float:
    """Return a group's learning rate without waiting for a GPU: NaN if it is a tensor there, or if there is none."""
    rate = group.get("lr", float("nan"))
    if isinstance(rate, torch.Tensor):
        return float(rate) if rate.device.type == "cpu" else float("nan")
    return float(rate)


def momentum_of(group: dict[str, Any]) -> float:
    """The share of its last steps that an optimizer keeps: SGD's `momentum`, or Adam's first beta."""
    betas = group.get("betas")
    kept = betas[0] if isinstance(betas, tuple | list) and betas else group.get("momentum")
    return float(kept) if isinstance(kept, int | float | torch.Tensor) else 0.0


def _mark(parameter: Tensor) -> tuple[int, float]:
    """A number that changes with the values, whichever way they are written."""
    return parameter._version, float(parameter.detach().double().abs().sum())  # noqa: SLF001 - torch has no public name


def _share(sizes: object, total: int) -> float:
    return sum(sizes) / total if total else 0.0  # type: ignore[call-overload] - any iterable of sizes

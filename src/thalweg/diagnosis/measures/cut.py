"""Whether the gradient is cut on its way back through a sequence: early steps move the outputs and get none.

A loop that detaches its state at every step, or takes it through `.data` or NumPy, computes the same values as one that
does not, and every weight gets a gradient: that of the last step alone.

A zero gradient at one point is no cut: another unit may have won a maximum. So the values there go in four equal parts
to those of another sample. Where the outputs move in every part and no gradient arrives at either end of any, no
function that has this gradient gives these outputs.

Shape suffixes: N samples, T steps of a sequence, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST = 4  # steps of a loop
PARTS = 4
_CHANGED = 1e-3  # of the outputs' spread between samples
_MOSTLY = 0.5  # of the samples


def cut_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of a sequence's steps that move the outputs though no gradient flows back to them.

    Only networks that call a layer with trained weights four times or more are asked; the others pass once. Where there
    is an output for each step, the last one counts, and a cut before the last two steps is taken for a truncation.

    Args:
        copied: gets evaluation mode.
        batch: whose first tensor of four steps or more is the sequence: numbers, or tokens that an embedding looks up,
            all at once or step by step.

    Returns:
        `steps_cut`, in [0, 1], of the steps at which samples differ; 0 for other networks. Nothing for outputs without
        a row for each sample, or if no gradient reaches any step: then a part is frozen.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> class Steps(nn.Module):
        ...     def __init__(self, cut):
        ...         super().__init__()
        ...         self.cell, self.cut = nn.RNNCell(2, 3), cut
        ...     def forward(self, sequences):
        ...         state = torch.zeros(len(sequences), 3)
        ...         for step in sequences.unbind(1):
        ...             state = self.cell(step, state.detach() if self.cut else state)
        ...         return state
        >>> def of(model):
        ...     copied = Copy.of(model, torch.optim.SGD(model.parameters()), nn.MSELoss())
        ...     return cut_measures(copied, Batch(torch.randn(8, 5, 2), torch.zeros(8, 3)))
        >>> of(Steps(cut=True)), of(Steps(cut=False))
        ({'steps_cut': 0.8}, {'steps_cut': 0.0})
    """
    found = next(((one, time) for one in tensors_in(batch.inputs) if (time := _time_of(one))), None)
    if found is None:
        return {"steps_cut": 0.0}
    asked = _Asked(copied.model.eval(), batch, *found)
    differ_T = _by_step(found[0] != found[0][:1], found[1])
    first = asked.passed(torch.zeros_like(differ_T), 0.0)
    if first is None or not first.seen_T.any():
        return {}
    if not first.taken:
        return {"steps_cut": 0.0}
    cut_T = differ_T & ~first.seen_T
    truncated = first.stepwise and int(first.seen_T.sum()) > 1
    if not cut_T.any() or truncated or not _moves(asked, cut_T, first):
        return {"steps_cut": 0.0}
    return {"steps_cut": float(cut_T.sum()) / float(differ_T.sum())}


def _time_of(inputs: Tensor) -> int:
    """The first dimension, after that of the samples, of four steps or more; 0: none."""
    return next((dim for dim, size in enumerate(inputs.shape) if dim and size >= FEWEST), 0)


def _by_step(flags: Tensor, time: int) -> Tensor:
    """Whether any flag of a step is set, (T,)."""
    return flags.movedim(time, 0).flatten(start_dim=1).any(dim=1)


def _moves(asked: _Asked, cut_T: Tensor, first: _Pass) -> bool:
    """Whether most outputs move in each part of the way to another sample's values, and no gradient arrives.

    What a layer gets that passes a gradient on must change, too: two views of a sample pass side by side.
    """
    spread = float((first.outputs_NK - first.outputs_NK.mean(dim=0)).square().mean().sqrt())
    before, moved_N = first, torch.ones(len(first.outputs_NK), dtype=torch.bool, device=cut_T.device)
    for part in range(1, PARTS + 1):
        after = asked.passed(cut_T, part / PARTS)
        if after is None or bool((after.seen_T & cut_T).any()):
            return False
        moved_N &= (after.outputs_NK - before.outputs_NK).abs().amax(dim=1) > _CHANGED * spread
        before = after
    others = any(not torch.equal(one, other) for one, other in zip(first.taken, before.taken, strict=False))
    return others and float(moved_N.float().mean()) > _MOSTLY


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a pass shows.

    Attributes:
        outputs_NK: all numbers of each sample's outputs, those of the last step if there are some for each.
        seen_T: the steps that a gradient reached.
        stepwise: whether the outputs have a row for each step.
        taken: what the calls that a gradient reached were given, of layers that are called in a loop.
    """

    outputs_NK: Tensor
    seen_T: Tensor
    stepwise: bool
    taken: list[Tensor]


@dataclass(frozen=True, slots=True)
class _Call:
    """What a layer was given, and what it gave."""

    taken: list[Tensor]
    given: Tensor


@dataclass(frozen=True, slots=True)
class _Asked:
    """A network, and the tensor of its inputs that is a sequence, with the dimension of its steps."""

    model: nn.Module
    batch: Batch
    sequence: Tensor
    time: int

    def passed(self, other_T: Tensor, share: float) -> _Pass | None:
        """Pass the batch, with a share of the next sample's values at some steps; None if it cannot be asked."""
        starts = _Starts(self.sequence, self.time, other_T, share)
        numbers = self.sequence.is_floating_point()
        given = starts.begin(self.sequence) if numbers else self.sequence
        inputs = mapped(self.batch.inputs, lambda leaf: given if leaf is self.sequence else leaf)
        calls: dict[nn.Module, list[_Call]] = {}

        def note(module: nn.Module, taken: tuple[Any, ...], made: Any) -> None:
            first = next((one for one in tensors_in(made) if one.requires_grad), None)
            if first is not None:
                calls.setdefault(module, []).append(_Call([one.detach() for one in tensors_in(taken)], first))

        modules = list(self.model.modules())
        tables = [one for one in modules if isinstance(one, nn.Embedding) and not numbers]
        hooks = [one.register_forward_hook(starts.look_up) for one in tables]
        hooks += [one.register_forward_hook(note) for one in modules if one not in tables and _is_trained(one)]
        try:
            with own_randomness(0), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
                outputs = list(tensors_in(replace(self.batch, inputs=inputs).outputs(self.model)))
                again = [one for many in calls.values() if len(many) >= FEWEST for one in many]
                return starts.read(outputs, again)
        finally:
            for hook in hooks:
                hook.remove()


def _is_trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters(recurse=False))


class _Starts:
    """The tensors of one pass at which its gradients end: the sequence, or what an embedding gives for its tokens."""

    def __init__(self, sequence: Tensor, time: int, other_T: Tensor, share: float) -> None:
        self._sequence, self._time, self._other_T, self._share = sequence, time, other_T, share
        self._begun: list[tuple[Tensor, int | None]] = []

    def begin(self, values: Tensor, step: int | None = None) -> Tensor:
        """Values of all steps, or of one, from which on gradients are asked for."""
        if step is None:
            shape = [-1 if dim == self._time else 1 for dim in range(values.ndim)]
            other = self._other_T.reshape(shape)
        else:
            other = self._other_T[step]
        mixed = torch.where(other, torch.lerp(values, values.roll(1, dims=0), self._share), values)
        self._begun.append((mixed.detach().requires_grad_(), step))
        return self._begun[-1][0]

    def look_up(self, _table: nn.Module, taken: tuple[Any, ...], vectors: Tensor) -> Tensor | None:
        """Hook: what an embedding gives for all tokens, or for those of the next step."""
        tokens, step = next(tensors_in(taken), self._other_T), len(self._begun)
        if tokens.shape == self._sequence.shape and torch.equal(tokens, self._sequence):
            return self.begin(vectors)
        if step < len(self._other_T) and self._time == 1:
            column = self._sequence[:, step]
            if tokens.numel() == column.numel() and torch.equal(tokens.reshape(column.shape), column):
                return self.begin(vectors, step)
        return None

    def read(self, outputs: list[Tensor], calls: list[_Call]) -> _Pass | None:
        """Ask for the gradients of a random sum of the outputs; None if none reaches a call of a loop that there is."""
        if not calls:
            return _Pass(torch.empty(0), torch.ones_like(self._other_T), stepwise=False, taken=[])
        count, steps = len(self._sequence), len(self._other_T)
        made = [one for one in outputs if one.requires_grad and one.is_floating_point()]
        if not made or not self._begun or any(not one.ndim or len(one) != count for one in made):
            return None
        stepwise = [one.ndim > 1 and one.shape[1] == steps for one in made]
        made = [one[:, -1] if has else one for one, has in zip(made, stepwise, strict=True)]
        outputs_NK = torch.cat([one.reshape(count, -1).float() for one in made], dim=1)
        starts = [start for start, _ in self._begun]
        drawn = (outputs_NK * torch.randn_like(outputs_NK)).sum()
        asked = torch.autograd.grad(drawn, [*starts, *(call.given for call in calls)], allow_unused=True)
        reached = [one is not None and bool(one.any()) for one in asked]
        if not any(reached[len(starts) :]) or not bool(torch.isfinite(outputs_NK).all()):
            return None
        seen_T = torch.zeros_like(self._other_T)
        for gradient, (_, step) in zip(asked, self._begun, strict=False):
            if gradient is not None and step is None:
                seen_T |= _by_step(gradient != 0, self._time)
            elif gradient is not None:
                seen_T[step] |= bool(gradient.any())
        live = [call for call, has in zip(calls, reached[len(starts) :], strict=True) if has]
        return _Pass(outputs_NK.detach(), seen_T, any(stepwise), [one for call in live for one in call.taken])

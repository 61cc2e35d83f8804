"""What a program hands to torch's own losses, seen in the calls themselves.

Each of these losses says what it takes: log-probabilities, logits, or labels and lengths. A call whose result the loss
of the training depends on is held against that, wherever it stands: in the loss function, or in the network.

Shape suffixes: N samples, T times, C classes, S labels of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from thalweg.diagnosis.measures.head import (
    from_layer,
    head_of,
    log_normalized_over,
    normalized_over,
    of_log_sigmoid,
)
from thalweg.diagnosis.measures.signs import zeros_among
from thalweg.probes.batches import Batch, mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from thalweg.probes.batches import LossFunction
    from thalweg.probes.copies import Copy

_CTC = ("log_probs", "targets", "input_lengths", "target_lengths", "blank", "reduction", "zero_infinity")
_SIGNED = {  # take labels of −1 and 1
    "cosine_embedding_loss": ("input1", "input2", "target"),
    "hinge_embedding_loss": ("input", "target"),
    "margin_ranking_loss": ("input1", "input2", "target"),
    "soft_margin_loss": ("input", "target"),
}
_TAKES = {  # name of a loss to the names of its arguments, in `torch.nn.functional` and in `torch`
    "binary_cross_entropy_with_logits": ("input", "target"),
    "cross_entropy": ("input", "target"),
    "ctc_loss": _CTC,
    "kl_div": ("input", "target"),
    "multilabel_margin_loss": ("input", "target"),
    "multilabel_soft_margin_loss": ("input", "target"),
    "nll_loss": ("input", "target"),
    **_SIGNED,
}
_FEWEST_LABELS = 8
_SMALLEST, _LEAST = 1e-30, 1e-6  # of a probability whose logarithm, or whose logit, is taken
_CLOSE = 1e-4  # of the largest number: outputs of the same sample in another place of the batch


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of torch's losses.

    Attributes:
        name: of the loss.
        given: its arguments by name; keywords are as they were given.
        result: what it returned.
    """

    name: str
    given: dict[str, Any]
    result: Tensor

    @property
    def first(self) -> Tensor:
        """The argument that the network's outputs belong to."""
        return self.given[_TAKES[self.name][0]]

    @property
    def class_dim(self) -> int:
        """The dimension that the loss takes for that of the classes."""
        last = self.first.ndim - 1
        return last if self.name == "ctc_loss" else min(1, last)


def called_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure what the loss of a batch hands to torch's losses.

    Args:
        copied: the model and its loss.
        batch: of inputs and targets.

    Returns:
        What was found, 1 for each flag: `log_missing`, `log_of_each`, `squashed_twice` and `softmax_misplaced`, as
        `of_batch` finds them from outside; `samples_as_times`: CTC takes the samples of the batch for times;
        `blank_in_targets`: the share of CTC's labels that are the blank; `targets_too_long`: the share of its samples
        without an alignment, because they have more labels than times; `targets_unread`: the share of labels of 0 for
        a loss that takes −1 and 1; `targets_multi_hot`: the share of samples with a 0 or 1 for each class, where
        `multilabel_margin_loss` takes the numbers of their classes. Nothing for a loss that cannot run, or that calls
        none of these.
    """
    found: dict[str, float] = {}
    for call in calls_of(copied, batch):
        given = _of_labels(call)
        if (mismatch := _mismatch(call)) is not None:
            given[mismatch] = 1.0
        if mismatch == "log_of_each" and not _only_raises(copied, batch):
            del given[mismatch]
        if call.name == "ctc_loss" and _swapped(copied, batch, call):
            given["samples_as_times"] = 1.0
        found = {name: max(found.get(name, 0.0), given.get(name, 0.0)) for name in {**found, **given}}
    return {name: value for name, value in found.items() if value}


def calls_of(copied: Copy, batch: Batch) -> list[Call]:
    """The calls of torch's losses that the loss of a batch depends on; none if the loss cannot run."""
    try:
        with own_randomness(0), torch.enable_grad(), _Calls() as noted:
            loss = batch.loss(copied.model, copied.loss_fn)
        calls = [call for call in noted.calls if call.first.requires_grad and call.result.requires_grad]
        if not calls:
            return []
        pulled = torch.autograd.grad(loss, [call.result for call in calls], allow_unused=True)
    except Exception:  # noqa: BLE001 - code of a user's; `of_batch` reports a loss that fails
        return []
    return [call for call, by in zip(calls, pulled, strict=True) if by is not None and bool((by != 0).any())]


def mended(loss_fn: LossFunction, otherwise: LossFunction | None = None) -> LossFunction:
    """A loss whose calls of torch's losses get what they take, where they got probabilities or raw outputs.

    Args:
        loss_fn: the loss, which has one of the flags of `called_measures`, or of `of_loss`.
        otherwise: the loss where no call is to be mended; None: the loss as it is.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> logits_NC, labels_N = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
        >>> twice = mended(lambda outputs, targets: cross_entropy(outputs.softmax(dim=1), targets))
        >>> bool(twice(logits_NC, labels_N).isclose(cross_entropy(logits_NC, labels_N)))
        True
    """

    def right(outputs: Any, targets: Any) -> Tensor:
        with _Calls(mend=True) as calls:
            loss = loss_fn(outputs, targets)
        return loss if otherwise is None or calls.mended else otherwise(outputs, targets)

    return right


class _Calls(TorchFunctionMode):
    """Notes the calls of torch's losses, or gives them what they take."""

    def __init__(self, *, mend: bool = False) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.mended = False
        self._mend = mend

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        names = _TAKES.get(getattr(func, "__name__", ""))
        if names is None or not isinstance(result, Tensor):
            return result
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if not isinstance(given.get(names[0]), Tensor):
            return result
        call = Call(func.__name__, given, result)
        self.calls.append(call)
        if not self._mend or (right := _right(call)) is None:
            return result
        self.mended = True
        return func(right, *args[1:], **kwargs) if args else func(**{**kwargs, names[0]: right})


def _right(call: Call) -> Tensor | None:
    """What the call ought to have got, by the values alone: a loss may be asked without a graph."""
    first, values = call.first, call.first.detach().float()
    if call.name in ("nll_loss", "ctc_loss"):
        if log_normalized_over(values, call.class_dim):
            return None
        likely = normalized_over(values, call.class_dim)
        return first.clamp_min(_SMALLEST).log() if likely else first.log_softmax(call.class_dim)
    if call.name not in _QUESTIONS:
        return None
    if _QUESTIONS[call.name](call, values) is not None and call.name in ("kl_div", "cross_entropy"):
        return first.clamp_min(_SMALLEST).log()
    if call.name != "kl_div" and bool(((values >= 0) & (values <= 1)).all()):
        return first.clamp(_LEAST, 1 - _LEAST).logit()
    return None


def _mismatch(call: Call) -> str | None:
    """The flag of a first argument that the loss does not take."""
    first = call.first.detach().float()
    if call.name not in _QUESTIONS or first.ndim == 0 or not first.numel() or bool(first.isnan().any()):
        return None
    return _QUESTIONS[call.name](call, first)


def _of_sigmoid(call: Call, _values: Tensor) -> str | None:
    return "squashed_twice" if head_of(call.first) in ("sigmoid", "softmax") else None


def _of_softmax(call: Call, values: Tensor) -> str | None:
    squashed = normalized_over(values, call.class_dim) or head_of(call.first) == "sigmoid"
    return "squashed_twice" if squashed and values.shape[call.class_dim] > 1 else None


def _of_divergence(_call: Call, values: Tensor) -> str | None:
    """No logarithms of probabilities are positive; the classes may be in any dimension."""
    sums = any(values.shape[dim] > 1 and normalized_over(values, dim) for dim in range(values.ndim))
    return "log_missing" if sums else None


def _of_likelihood(call: Call, values: Tensor) -> str | None:
    if values.shape[call.class_dim] < 2 or log_normalized_over(values, call.class_dim):
        return None
    if normalized_over(values, call.class_dim):
        return "log_missing"
    if of_log_sigmoid(call.first):
        return "log_of_each"
    if not from_layer(call.first):  # weighted or corrected logarithms: a focal loss, an advantage, a prior
        return None
    others = [dim for dim in range(values.ndim) if dim != call.class_dim and values.shape[dim] > 1]
    if any(normalized_over(values, dim) or log_normalized_over(values, dim) for dim in others):
        return "softmax_misplaced"
    return "log_missing" if head_of(call.first) != "log_softmax" else None  # else some classes are left out


_QUESTIONS = {
    "binary_cross_entropy_with_logits": _of_sigmoid,
    "cross_entropy": _of_softmax,
    "ctc_loss": _of_likelihood,
    "kl_div": _of_divergence,
    "multilabel_soft_margin_loss": _of_sigmoid,
    "nll_loss": _of_likelihood,
}


def _only_raises(copied: Copy, batch: Batch) -> bool:
    """Whether no part of the loss lowers an output: one that does compares classes, as negative samples do."""
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
        if not isinstance(outputs, Tensor) or outputs.ndim == 0:
            return False
        leaf = outputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(copied.loss_fn(leaf, batch.targets), leaf)
    return not bool((gradient > 0).any())


def _of_labels(call: Call) -> dict[str, float]:
    """What a loss cannot read of the labels that it is given."""
    if call.name == "ctc_loss":
        return _of_ctc(call)
    targets = call.given.get("target")
    if not isinstance(targets, Tensor) or targets.numel() < _FEWEST_LABELS:
        return {}
    if call.name in _SIGNED:
        return {"targets_unread": zeros_among(targets)}
    if call.name == "multilabel_margin_loss" and targets.ndim == 2 and targets.shape[1] > 2 and zeros_among(targets):
        return {"targets_multi_hot": 1.0}  # of three labels of 0 and 1, two are one class
    return {}


def _of_ctc(call: Call) -> dict[str, float]:
    """The share of labels that are the blank, and of samples that have more labels than times."""
    names = ("targets", "input_lengths", "target_lengths")
    targets, times_N, lengths_N = (torch.as_tensor(call.given[name]).long().cpu() for name in names)
    times_N, lengths_N = times_N.reshape(-1), lengths_N.reshape(-1)
    if len(times_N) != len(lengths_N) or not bool((lengths_N > 0).any()):
        return {}
    if targets.ndim == 2:
        rows = [row_S[:length] for row_S, length in zip(targets, lengths_N.tolist(), strict=True)]
    else:
        rows = list(targets[: int(lengths_N.sum())].split(lengths_N.tolist()))
    labels = torch.cat(rows)
    # two equal labels in succession need a blank between them
    needed_N = torch.tensor([len(row_S) + int((row_S[1:] == row_S[:-1]).sum()) for row_S in rows])
    return {
        "blank_in_targets": float((labels == int(call.given.get("blank", 0))).float().mean()),
        "targets_too_long": float((times_N < needed_N).float().mean()),
    }


def _swapped(copied: Copy, batch: Batch, call: Call) -> bool:
    """Whether CTC's times are the samples: with the samples in another order, so are its times, and only these.

    CTC accepts that only if there are as many times as samples. A network without a memory treats times as it does
    samples: then nobody can tell.
    """
    if call.first.ndim != 3 or call.first.shape[0] != call.first.shape[1] or call.first.shape[0] < 2:
        return False

    def moved(dim: int) -> Tensor | None:
        inputs = mapped(batch.inputs, lambda one: one.roll(1, dim) if one.ndim > dim else one)
        calls = [one for one in calls_of(copied, Batch(inputs, batch.targets)) if one.name == "ctc_loss"]
        return calls[0].first.detach() if calls else None

    now, of_samples, of_others = call.first.detach(), moved(0), moved(1)
    if of_samples is None or of_others is None:
        return False
    return (
        _same(of_samples, now.roll(1, 0))
        and not _same(of_samples, now.roll(1, 1))
        and not any(_same(of_others, now.roll(1, dim)) for dim in (0, 1))
    )


def _same(one: Tensor, other: Tensor) -> bool:
    return float((one - other).abs().max()) <= _CLOSE * float(other.abs().max())

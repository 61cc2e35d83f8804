"""Tensors held against a network: which fit, which do not, and loading them whole or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from thalweg import models
from thalweg.errors import UsageError
from thalweg.i18n import joined, t
from thalweg.models import efficientnet_lite0
from thalweg.models.outputs import features


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.weights.weights import Weights

FEWEST: Final = 0.95  # fraction of the network's values, the classifier apart, that must fit
_SHOWN: Final = 3  # names in a message
_COUNTS: Final = "num_batches_tracked"  # a counter that nothing reads, and that older files do not have


@dataclass(frozen=True, slots=True)
class Match:
    """How tensors fit a network.

    Attributes:
        matched: names of tensors that fit, by number of values.
        reshaped: name, shape in the weights, shape in the network, of tensors with another shape or kind of number.
        missing: names in the network only, by number of values.
        left_over: names in the weights only.
        head: names of the classifier's tensors.
        keeps_head: whether the classifier's tensors are loaded, too.
        share: fraction of the network's values, the classifier apart, that fit.
    """

    matched: dict[str, int]
    reshaped: tuple[tuple[str, str, str], ...]
    missing: dict[str, int]
    left_over: tuple[str, ...]
    head: tuple[str, ...]
    keeps_head: bool
    share: float

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], model: nn.Module, *, keeps_head: bool = False) -> Match:
        """Hold tensors against a network.

        Args:
            tensors: by name, as the network names them.
            model: the network.
            keeps_head: load the classifier, too; it must fit.

        Example:
            >>> model = models.build("resnet-small", classes=3, size=28)
            >>> Match.of({"classifier.bias": torch.zeros(7)}, model).share
            0.0
        """
        ours = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith(_COUNTS)}
        head = tuple(name for name in ours if name in head_names(model))
        body = {name: tensor for name, tensor in ours.items() if keeps_head or name not in head}
        fits = {name: tensor.numel() for name, tensor in body.items() if _fits(name, tensor, tensors)}
        reshaped = tuple(
            (name, _kind(tensors[name]), _kind(tensor))
            for name, tensor in body.items()
            if name in tensors and name not in fits
        )
        missing = {name: tensor.numel() for name, tensor in body.items() if name not in tensors}
        left = tuple(name for name in tensors if name not in ours and not name.endswith(_COUNTS))
        whole = sum(tensor.numel() for tensor in body.values())
        share = sum(fits.values()) / whole if whole else 0.0
        return cls(fits, reshaped, missing, left, head, keeps_head, share)

    @property
    def mismatches(self) -> list[str]:
        """The first tensors that do not fit, each in a few words."""
        found = [t("weights.other_shape", name=name, theirs=theirs, ours=ours) for name, theirs, ours in self.reshaped]
        found += [t("weights.is_missing", name=name) for name in self.missing]
        found += [t("weights.is_left_over", name=name) for name in self.left_over]
        return found[:_SHOWN]

    def describe(self) -> str:
        """The table of what fits: a row for each kind, with the number of tensors, of values, and the first names."""
        rows: list[tuple[str, list[str], int | None]] = [
            ("matched", list(self.matched), sum(self.matched.values())),
            ("reshaped", [name for name, *_ in self.reshaped], None),
            ("missing", list(self.missing), sum(self.missing.values())),
            ("left_over", list(self.left_over), None),
        ]
        lines = []
        for kind, names, values in rows:
            key = f"weights.row_{kind}" if values is None else f"weights.row_{kind}_values"
            some = "" if kind == "matched" or not names else t("weights.such_as", names=joined(names[:_SHOWN]))
            lines.append(t(key, count=len(names), values=values or 0, such_as=some))
        lines.append(t("weights.head_kept" if self.keeps_head else "weights.head_new", names=joined(self.head)))
        return "\n".join(f"  {line}" for line in lines)


def load_weights(model: nn.Module, weights: Weights, *, name: str, classes: Sequence[str], size: int) -> Match:
    """Load weights into a network, after every check, so that nothing is loaded by halves.

    The classifier stays new unless the weights were trained on classes of the same names in the same order.

    Args:
        model: the network, on the CPU.
        weights: where to start from.
        name: of the network.
        classes: names of the classes.
        size: side of the photos in pixels.

    Returns:
        What fitted.

    Raises:
        UsageError: the weights belong to another network, or hold NaN or infinite values.
    """
    tensors = in_our_names(weights.tensors)
    ours = model.state_dict()
    head = [key for key in ours if key in head_names(model)]
    same_head = all(_fits(key, ours[key], tensors) for key in head)
    match = Match.of(tensors, model, keeps_head=same_head and weights.classes == tuple(classes))
    _check_channels(weights, tensors, model)
    if match.share < FEWEST or any(key.endswith(("running_mean", "running_var")) for key in match.missing):
        raise _mismatch(weights, match, name, tensors)
    found = {key: tensors[key] for key in match.matched}
    broken = [key for key, tensor in found.items() if not bool(torch.isfinite(tensor.float()).all())]
    broken += [key for key, tensor in found.items() if key.endswith("running_var") and bool((tensor < 0).any())]
    if broken:
        raise UsageError("weights.not_finite", source=weights.source, names=joined(broken[:_SHOWN]))
    before = {key: tensor.clone() for key, tensor in ours.items()}
    found |= {key: tensors[key] for key in ours if key.endswith(_COUNTS) and _fits(key, ours[key], tensors)}
    model.load_state_dict({**ours, **found})
    if not _computes(model, size):
        model.load_state_dict(before)
        raise UsageError("weights.overflow", source=weights.source, name=name)
    return match


def in_our_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of published weights as this package's network names them; others stay."""
    return efficientnet_lite0.renamed(tensors)


def head_names(model: nn.Module) -> set[str]:
    """Names of the tensors of the last layer."""
    classifier = models.classifier_of(model)
    top = next(name for name, module in model.named_modules() if module is classifier)
    return {f"{top}.{name}" if top else name for name in classifier.state_dict()}


def nearest(tensors: Mapping[str, Tensor], size: int = 128) -> tuple[str, Match]:
    """The network of this package that the tensors fit best: by names, and if none fits, by shapes alone.

    Args:
        tensors: by name, as this package's networks name them.
        size: side of the photos in pixels, for networks that depend on it.

    Example:
        >>> nearest(models.build("resnet18-half", classes=4, size=64).state_dict())[0]
        'resnet18-half'
    """
    shapes = Counter(tuple(tensor.shape) for tensor in tensors.values())
    best: tuple[tuple[float, float], str, Match] | None = None
    for name in models.names():
        model = _outline(name, max(size, models.smallest_size(name)))
        match = Match.of(tensors, model)
        theirs = Counter(tuple(tensor.shape) for tensor in model.state_dict().values())
        alike = (shapes & theirs).total() / (shapes | theirs).total()
        if best is None or (match.share, alike) > best[0]:
            best = ((match.share, alike), name, match)
    assert best is not None, "there are networks"  # noqa: S101 - for the type checker
    return best[1], best[2]


@cache
def _outline(name: str, size: int) -> nn.Module:
    """A network without memory: names and shapes."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return models.build(name, classes=2, size=size)


def _mismatch(weights: Weights, match: Match, name: str, tensors: Mapping[str, Tensor]) -> UsageError:
    """The error for weights of another network: the share, the first mismatches, and what would fit."""
    values: dict[str, Any] = {
        "source": weights.source,
        "name": name,
        "share": match.share,
        "fewest": FEWEST,
        "mismatches": joined(match.mismatches, long=True),
    }
    if match.share >= FEWEST:  # only statistics are missing
        return UsageError("weights.no_statistics", **values)
    if weights.network is not None and weights.network != name:
        return UsageError("weights.made_for", **values, network=weights.network)
    other, found = nearest(tensors)
    if other != name and found.share >= FEWEST:
        return UsageError("weights.made_for", **values, network=other)
    if match.share > found.share:
        other, found = name, match
    key = "weights.no_fit" if found.share else "weights.no_network"
    return UsageError(key, **values, nearest=other, nearest_share=found.share)


def _check_channels(weights: Weights, tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    """Refuse a first convolution for photos of another number of channels; all the rest may fit."""
    first = next(((key, part) for key, part in model.named_modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or f"{first[0]}.weight" not in tensors:
        return
    theirs, ours = tensors[f"{first[0]}.weight"].shape, first[1].weight.shape
    if len(theirs) == 4 and theirs[1] != ours[1] and (theirs[0], *theirs[2:]) == (ours[0], *ours[2:]):
        raise UsageError("weights.other_channels", source=weights.source, found=theirs[1], wanted=ours[1])


def _fits(name: str, ours: Tensor, tensors: Mapping[str, Tensor]) -> bool:
    """Whether there is a tensor to replace ours: of the same shape, and real numbers for real numbers."""
    theirs = tensors.get(name)
    if theirs is None or theirs.shape != ours.shape:
        return False
    return theirs.dtype.is_floating_point == ours.dtype.is_floating_point and not theirs.is_complex()


@torch.inference_mode()
def _computes(model: nn.Module, size: int) -> bool:
    """Whether the network's features of a photo of noise are finite."""
    mode = model.training
    image_NCHW = torch.linspace(-2, 2, 3 * size * size).view(1, 3, size, size)
    try:
        found = features(model.eval(), image_NCHW)
    finally:
        model.train(mode)
    return all(bool(torch.isfinite(found[tap]).all()) for tap in ("mid", "top"))


def _kind(tensor: Tensor) -> str:
    """A tensor's shape, and the type of its numbers if it is not a real one."""
    shape = "×".join(map(str, tensor.shape)) or "1"
    return shape if tensor.dtype.is_floating_point else f"{shape} {str(tensor.dtype).removeprefix('torch.')}"

"""How photos must be prepared for weights: said by the file, the network's card or the run, or found by a test.

Shape suffixes: N photos, C channels, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from torch import Tensor, nn


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Known = Literal["card", "file", "run", "test", "photos"]

IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: Final = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
# The usual means and deviations, on a scale where white is 1.
USUAL: Final = {
    "imagenet": IMAGENET,
    "half": ((0.5,) * 3, (0.5,) * 3),
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "bytes": ((0.0,) * 3, (1 / 255,) * 3),
    "clip": CLIP,
}
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How photos are prepared for weights.

    Attributes:
        size: side of the photos in pixels that the weights were trained at; None: unknown.
        mean: subtracted per channel, on a scale where white is 1.
        std: divided by, per channel.
        interpolation: how their training resized photos; empty: unknown. This package decodes bicubic.
        crop: fraction of the short side that their evaluation showed; None: unknown.
        known: how it is known: from the network's `card`, the `file`, a `run`, the `test` of the batch norms, or not at
            all, so that it is that of the `photos`.
    """

    size: int | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = ""
    crop: float | None = None
    known: Known = "card"

    def to_facts(self) -> dict[str, Any]:
        """The entries that are known, for the run's facts."""
        facts = {name: value for name, value in asdict(self).items() if value is not None and value != ""}
        return facts | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_config(cls, found: Mapping[str, Any]) -> Preprocessing | None:
        """Read what libraries write beside their weights: timm's `pretrained_cfg`, or transformers' processor.

        Args:
            found: the parsed table; entries of other kinds are ignored.

        Returns:
            None if it does not say mean and deviation.

        Example:
            >>> Preprocessing.from_config({"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 224, 224]}).size
            224
        """
        mean, std = (_triple(found.get(name, found.get(f"image_{name}"))) for name in ("mean", "std"))
        if mean is None or std is None or min(std) <= 0:
            return None
        size = _side(found.get("input_size", found.get("crop_size", found.get("size"))))
        crop = found.get("crop_pct")
        right = isinstance(crop, int | float) and not isinstance(crop, bool) and 0 < crop <= 1
        interpolation = found.get("interpolation")
        return cls(
            size, mean, std, interpolation if isinstance(interpolation, str) else "", crop if right else None, "file"
        )


def found_by_test(model: nn.Module, images_NCHW: Tensor) -> tuple[Preprocessing, float] | None:
    """Find which of the usual preparations gives the statistics that the weights' batch norms have kept.

    Args:
        model: the network with its weights; unchanged.
        images_NCHW: training photos, in [0, 1].

    Returns:
        The preparation, and how many times worse the second best fits; None if there are no batch norms.
    """
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d) and part.track_running_stats]
    if not norms:
        return None
    errors = {}
    for name, (mean, std) in USUAL.items():
        shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        errors[name] = _statistics_error(model, norms, (images_NCHW - shift) / scale)
    best, second = sorted(errors, key=lambda name: errors[name])[:2]
    if not math.isfinite(errors[best]):
        return None
    mean, std = USUAL[best]
    return Preprocessing(None, mean, std, known="test"), errors[second] / max(errors[best], 1e-12)


@torch.inference_mode()
def _statistics_error(model: nn.Module, norms: Iterable[nn.BatchNorm2d], images_NCHW: Tensor) -> float:
    """The mean distance between a layer's statistics on these photos and those it has kept, in its own deviations."""
    distances: list[float] = []

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101 - for the type checker
        kept_C, kept_variance_C = norm.running_mean, norm.running_var
        if kept_C is None or kept_variance_C is None:
            return
        variance_C, mean_C = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
        kept_variance_C = kept_variance_C.clamp_min(_LEAST_VARIANCE)
        shifts_C = (mean_C - kept_C).square() / kept_variance_C
        scales_C = (variance_C.clamp_min(_LEAST_VARIANCE) / kept_variance_C).log().square()
        distances.append(float((shifts_C.clamp_max(100) + scales_C).mean()))

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    mode = model.training
    try:
        model.eval()(images_NCHW)
    finally:
        model.train(mode)
        for hook in hooks:
            hook.remove()
    return sum(distances) / len(distances) if distances else math.inf


def of_photos(mean: Sequence[float], std: Sequence[float]) -> Preprocessing:
    """The preparation with the photos' own mean and deviation, for weights that say nothing."""
    return Preprocessing(None, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), known="photos")


def _triple(value: Any) -> tuple[float, float, float] | None:
    right = isinstance(value, list | tuple) and len(value) == 3
    if not right or not all(isinstance(part, int | float) and math.isfinite(part) for part in value):
        return None
    return (float(value[0]), float(value[1]), float(value[2]))


def _side(value: Any) -> int | None:
    if isinstance(value, dict):
        value = value.get("shortest_edge", value.get("height"))
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096 else None

"""A deep unit looks at a large square of the photo: computed in closed form, and measured by gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from thalweg.figures.style import QUIET, label_axes
from thalweg.lessons._drawing import LINES, frame, show_pixels
from thalweg.lessons._photos import SIDE, photo
from thalweg.lessons._torch import one_thread, require_torch, seeded
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor, nn


class Field(NamedTuple):
    """The square of pixels that a unit sees.

    Attributes:
        start: first row and column; negative in the padding.
        side: pixels.
        stride: pixels between neighboring units of the layer.
    """

    start: int
    side: int
    stride: int = 1


@dataclass(frozen=True)
class ReceptiveField(Lesson):
    """The homework's five blocks of convolution and pooling, untrained; the unit in the middle of every layer.

    Args:
        model: a network of `thalweg.models` whose stages are sequences of layers.
        side: of the photo, in pixels.
        seed: of the weights and the noise.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Convolutional neural networks", https://speech.ee.ntu.edu.tw/~hylee/;
        Luo et al., Understanding the Effective Receptive Field in Deep Convolutional Neural Networks, 2016,
        https://arxiv.org/abs/1701.04128
    """

    name: ClassVar[str] = "receptive-field"
    size: ClassVar[tuple[float, float]] = (15.0, 5.2)

    model: str = "cnn"
    side: int = 128
    seed: int = 0

    def run(self) -> Evidence:
        """Compute the field of each layer, and find by gradients which pixels its middle unit depends on."""
        layers, outputs = self._layers()
        fields = fields_of(layers)
        gradients = [_gradient(image_1CHW, output) for image_1CHW, output in outputs]
        middles = [output.shape[-1] // 2 for _, output in outputs]
        computed = [
            Field(field.start + field.stride * middle, field.side)
            for field, middle in zip(fields, middles, strict=True)
        ]
        measured = [extent(gradient_HW) for gradient_HW in gradients]
        convolutions = [layer for layer in layers if _is_convolution(layer)]
        last = computed[-1]
        inside_HW = gradients[-1][last.start : last.start + last.side, last.start : last.start + last.side]
        quarter = last.side // 4
        middle_HW = inside_HW[quarter : last.side - quarter, quarter : last.side - quarter]
        return Evidence(
            {
                "layers": len(layers),
                "convolutions": len(convolutions),
                "first": fields[0].side,
                "second": fields[1].side,
                "third": fields[2].side,
                "side": last.side,
                "photo": self.side,
                "units": int(outputs[-1][1].shape[-1]),
                "stride": fields[-1].stride,
                "without": fields_of(convolutions)[-1].side,
                "gap": max(
                    max(abs(a.start - b.start), abs(a.side - b.side)) for a, b in zip(computed, measured, strict=True)
                ),
                "outside": float(gradients[-1].sum() - inside_HW.sum()),
                "middle_area": 100 * middle_HW.size / inside_HW.size,
                "middle": 100 * float(middle_HW.sum() / inside_HW.sum()),
            },
            {
                "fields": computed,
                "measured": measured,
                "gradient": gradients[-1],
                "pooled": [not _is_convolution(layer) for layer in layers],
                "without": [field.side for field in fields_of(convolutions)],
            },
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """What is computed is what is measured, at every layer; pooling enlarges the field; its middle counts most."""
        numbers = evidence.numbers
        return (
            Check("gap", numbers["gap"], "=", 0),
            Check("outside", numbers["outside"], "=", 0),
            Check("growth", numbers["side"] / numbers["without"], ">", 5),
            Check("middle", numbers["middle"] / numbers["middle_area"], ">", 1.5),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The fields on a photo, the gradient that measures the last, and the side of the field against the layer."""
        left, middle, right = figure.subplots(1, 3, width_ratios=(5, 5, 6))
        fields = evidence.data["fields"]
        times = -(-self.side // SIDE)
        large_HW = photo(9, 0).repeat(times, axis=0).repeat(times, axis=1)[: self.side, : self.side]
        show_pixels(left, large_HW, title=self.say("photo_title"))
        for block, (field, style) in enumerate(zip(fields[1::2], LINES, strict=False), start=1):
            frame(
                left,
                field.start,
                field.start,
                field.side,
                style.color,
                name=self.say("block", number=block, side=field.side),
            )
        left.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="none")
        gradient_HW = evidence.data["gradient"]
        with np.errstate(divide="ignore"):
            shades_HW = np.log10(gradient_HW / gradient_HW.max())
        shades_HW[~np.isfinite(shades_HW)] = np.nan
        show_pixels(middle, np.zeros_like(gradient_HW), title=self.say("gradient_title"))
        shown = middle.imshow(shades_HW, cmap="viridis", vmin=-2, vmax=0, interpolation="nearest")
        frame(middle, fields[-1].start, fields[-1].start, fields[-1].side, LINES[1].color)
        figure.colorbar(shown, ax=middle, shrink=0.75, label=self.say("gradient_scale"))
        self._sides(right, evidence)

    def _sides(self, axes: Axes, evidence: Evidence) -> None:
        sides = [field.side for field in evidence.data["fields"]]
        layers = np.arange(1, len(sides) + 1)
        axes.plot(layers, sides, color=LINES[0].color, linewidth=2, label=self.say("computed"))
        measured = [field.side for field in evidence.data["measured"]]
        axes.plot(
            layers,
            measured,
            LINES[1].marker,
            color=LINES[1].color,
            markersize=9,
            fillstyle="none",
            label=self.say("measured"),
        )
        plain = np.flatnonzero(~np.array(evidence.data["pooled"])) + 1
        axes.plot(
            plain,
            evidence.data["without"],
            LINES[2].marker,
            linestyle=LINES[2].dashes,
            color=LINES[2].color,
            label=self.say("without"),
        )
        axes.axhline(self.side, color=QUIET, linewidth=0.8)
        axes.annotate(self.say("whole"), (1, self.side), xytext=(0, 4), textcoords="offset points", color=QUIET)
        axes.set_xticks(
            layers, [self.say("pool" if pooled else "conv") for pooled in evidence.data["pooled"]], rotation=45
        )
        axes.set_ylim(0, 1.12 * self.side)
        axes.legend(loc="center left")
        label_axes(axes, title=self.say("sides_title"), x=self.say("layer_axis"), y=self.say("side_axis"))

    def _layers(self) -> tuple[list[nn.Module], list[tuple[Tensor, Tensor]]]:
        """The layers that look at several pixels, and for each the photo and its output, with the graph between."""
        require_torch()
        import torch
        from torch import nn

        from thalweg import models

        with seeded(self.seed):
            network = models.build(self.model, classes=11, size=self.side).eval()  # batch norm would mix all pixels
            image_1CHW = torch.rand(1, 3, self.side, self.side, requires_grad=True)
        layers: list[nn.Module] = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
        found: dict[nn.Module, Tensor] = {}

        def keep(layer: nn.Module, _: object, output: Tensor) -> None:
            found[layer] = output

        hooks = [layer.register_forward_hook(keep) for layer in layers]
        with one_thread():
            network(image_1CHW)
        for hook in hooks:
            hook.remove()
        return layers, [(image_1CHW, found[layer]) for layer in layers]


def fields_of(layers: Iterable[nn.Module]) -> list[Field]:
    """The field of the first unit after each layer, in closed form.

    With K the kernel's side, S its stride and P its padding: side += (K − 1)·stride, start −= P·stride, stride *= S.

    Args:
        layers: convolutions and poolings, one after another.

    Example:
        >>> from torch import nn
        >>> [field.side for field in fields_of([nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3)])]
        [3, 4, 8]
    """
    fields = [Field(0, 1)]
    for layer in layers:
        start, side, stride = fields[-1]
        kernel, step, padding = (_one(getattr(layer, name)) for name in ("kernel_size", "stride", "padding"))
        fields.append(Field(start - padding * stride, side + (kernel - 1) * stride, stride * step))
    return fields[1:]


def extent(gradient_HW: NDArray[np.float64]) -> Field:
    """The smallest square from equal first row and column that holds all pixels that are not zero."""
    rows, columns = np.nonzero(gradient_HW)
    start = int(min(rows.min(), columns.min()))
    return Field(start, int(max(rows.max(), columns.max())) + 1 - start)


def _gradient(image_1CHW: Tensor, output_1CHW: Tensor) -> NDArray[np.float64]:
    """The size of the gradient of the middle unit of all channels, for each pixel."""
    import torch

    row, column = (side // 2 for side in output_1CHW.shape[-2:])
    signs_C = torch.tensor([1.0, -1.0]).repeat(output_1CHW.shape[1])[
        : output_1CHW.shape[1]
    ]  # so that none cancel alike
    with one_thread():
        middle = (output_1CHW[0, :, row, column] * signs_C).sum()
        (gradient_1CHW,) = torch.autograd.grad(middle, image_1CHW, retain_graph=True)
    return gradient_1CHW[0].abs().sum(dim=0).double().numpy()


def _is_convolution(layer: nn.Module) -> bool:
    from torch import nn

    return isinstance(layer, nn.Conv2d)


def _one(value: int | tuple[int, ...] | str) -> int:
    return int(value[0] if isinstance(value, tuple) else value)

"""A convolution is a full layer with most weights zero and the others shared: millions of times fewer to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import LINES
from thalweg.lessons._torch import require_torch, seeded
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_COUNTS = ("full", "local", "shared")
_SHOWN = 8  # side of the photo whose matrix is drawn


@dataclass(frozen=True)
class FullOrConvolved(Lesson):
    """The homework's first layer in three kinds, a small convolution as a matrix, and where its network's weights are.

    Args:
        side: of the photo, in pixels.
        channels: of the photo.
        outputs: maps of the layer.
        kernel: side of the kernel.
        small: side of the photo on which matrix and convolution are compared.
        model: a network of `thalweg.models`.
        seed: of the kernel and the photos of the comparison.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Convolutional neural networks",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "full-or-convolved"
    size: ClassVar[tuple[float, float]] = (15.0, 5.4)

    side: int = 128
    channels: int = 3
    outputs: int = 64
    kernel: int = 3
    small: int = 28
    model: str = "cnn"
    seed: int = 0

    def run(self) -> Evidence:
        """Count in closed form and in torch; compare a convolution with its matrix; count the network's weights."""
        require_torch()
        import torch
        from torch import nn

        pixels = self.side**2
        counts = {
            "full": (pixels * self.channels + 1) * pixels * self.outputs,
            "local": (self.kernel**2 * self.channels + 1) * pixels * self.outputs,
            "shared": (self.kernel**2 * self.channels + 1) * self.outputs,
        }
        with torch.device("meta"):  # a layer without memory: the full one would take 206 GB
            layers = {
                "full": nn.Linear(pixels * self.channels, pixels * self.outputs),
                "shared": nn.Conv2d(self.channels, self.outputs, self.kernel, padding=self.kernel // 2),
            }
        counted = {name: sum(part.numel() for part in layer.parameters()) for name, layer in layers.items()}
        gap, matrix_PP = self._compare()
        homes = self._network()
        numbers = {
            "side": self.side,
            "channels": self.channels,
            "outputs": self.outputs,
            "kernel": self.kernel,
            **counts,
            "gigabytes": 4e-9 * counts["full"],
            "saved_local": counts["full"] / counts["local"],
            "saved_shared": counts["local"] / counts["shared"],
            "saved": counts["full"] / counts["shared"],
            "count_gap": max(abs(counted[name] - counts[name]) for name in counted),
            "small": self.small,
            "entries": matrix_PP.size,
            "zero": 100 * float((matrix_PP == 0).mean()),
            "different": len(np.unique(matrix_PP[matrix_PP != 0])),
            "matrix_gap": gap,
            "network": sum(homes.values()),
            "convolved_share": 100
            * sum(n for name, n in homes.items() if name.startswith("conv"))
            / sum(homes.values()),
            "first_full": 100 * homes["linear1"] / sum(homes.values()),
        }
        return Evidence(numbers, {"counts": counts, "homes": homes, "matrix": matrix_of(self._kernel(), _SHOWN)})

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The closed forms are torch's counts, a convolution is that matrix, and the ratio is in the millions."""
        numbers = evidence.numbers
        return (
            Check("count", numbers["count_gap"], "=", 0),
            Check("saved", numbers["saved"], ">", 1e6),
            Check("matrix", numbers["matrix_gap"], "<", 1e-12),
            Check("different", numbers["different"], "=", self.kernel**2),
            Check("zero", numbers["zero"], ">", 98),
            Check("first_full", numbers["first_full"], ">", 50),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The three counts, the matrix of a small convolution, and the weights of each layer of the network."""
        left, middle, right = figure.subplots(1, 3, width_ratios=(4, 5, 6))
        counts = evidence.data["counts"]
        _bars(left, [self.say(name) for name in _COUNTS], [counts[name] for name in _COUNTS], LINES[0].color)
        left.set_yscale("log")
        left.set_ylim(10, 60 * counts["full"])
        label_axes(left, title=self.say("counts_title"), y=self.say("count_axis"))
        matrix_PP = np.where(evidence.data["matrix"] == 0, np.nan, evidence.data["matrix"])
        middle.imshow(matrix_PP, cmap="turbo", interpolation="nearest")
        middle.grid(visible=False)
        label_axes(
            middle, title=self.say("matrix_title", side=_SHOWN), x=self.say("input_axis"), y=self.say("output_axis")
        )
        homes = evidence.data["homes"]
        names = [
            self.say(name.rstrip("0123456789"), number=name.lstrip("abcdefghijklmnopqrstuvwxyz")) for name in homes
        ]
        _bars(right, names, [count / 1e6 for count in homes.values()], LINES[1].color, form="{:.3g}")
        right.tick_params(axis="x", rotation=45)
        label_axes(right, title=self.say("network_title"), y=self.say("millions_axis"))

    def _kernel(self) -> NDArray[np.float64]:
        return np.random.default_rng(self.seed).normal(size=(self.kernel, self.kernel))

    def _compare(self) -> tuple[float, NDArray[np.float64]]:
        """The largest difference of convolution and matrix over random photos; and the matrix."""
        import torch

        matrix_PP = matrix_of(self._kernel(), self.small)
        photos_NHW = np.random.default_rng([self.seed, 1]).normal(size=(4, self.small, self.small))
        by_matrix_NP = photos_NHW.reshape(4, -1) @ matrix_PP.T
        kernel_11KK = torch.from_numpy(self._kernel())[None, None]
        maps_N1HW = torch.nn.functional.conv2d(
            torch.from_numpy(photos_NHW)[:, None], kernel_11KK, padding=self.kernel // 2
        )
        return float(np.abs(by_matrix_NP - maps_N1HW.numpy().reshape(4, -1)).max()), matrix_PP

    def _network(self) -> dict[str, int]:
        """The weights of each convolution (with its norm) and each linear layer of the network."""
        import torch
        from torch import nn

        from thalweg import models

        with seeded(0), torch.device("meta"):
            network = models.build(self.model, classes=11, size=self.side)
        homes: dict[str, int] = {}
        kinds = {"conv": 0, "linear": 0}
        for layer in network.modules():
            count = sum(part.numel() for part in layer.parameters(recurse=False))
            kind = {nn.Conv2d: "conv", nn.Linear: "linear"}.get(type(layer))
            if kind:
                kinds[kind] += 1
                homes[f"{kind}{kinds[kind]}"] = count
            elif count:
                homes[next(reversed(homes))] += count
        return homes


def matrix_of(kernel_KK: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """The matrix that convolves a photo with zeros around it: row p holds the weights of output pixel p.

    Args:
        kernel_KK: of odd side K.
        side: of the photo.

    Returns:
        Of shape (side², side²).

    Example:
        >>> matrix_of(np.eye(3), 2).tolist()
        [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    """
    reach = len(kernel_KK) // 2
    matrix_HWHW = np.zeros((side,) * 4)
    for (row, column), weight in np.ndenumerate(kernel_KK):
        down, along = row - reach, column - reach
        rows, columns = np.mgrid[max(0, -down) : side - max(0, down), max(0, -along) : side - max(0, along)]
        matrix_HWHW[rows, columns, rows + down, columns + along] = weight
    return matrix_HWHW.reshape(side**2, side**2)


def _bars(axes: Axes, names: list[str], values: list[float], color: str, form: str = "{:,.0f}") -> None:
    """Bars with their values above them."""
    bars = axes.bar(names, values, color=color)
    axes.bar_label(bars, [form.format(value) for value in values], padding=2, fontsize=9)
    axes.grid(visible=False, axis="x")

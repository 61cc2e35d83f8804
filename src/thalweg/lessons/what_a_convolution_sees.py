"""A convolution multiplies every patch of a photo with one small kernel: it finds one pattern, wherever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from thalweg.figures.style import ORANGE, PURPLE, VERMILLION
from thalweg.lessons._drawing import frame, show_pixels
from thalweg.lessons._photos import photo
from thalweg.lessons._torch import require_torch
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

KERNELS: Final = {
    "upright": np.array([[-1.0, 0.0, 1.0]] * 3),
    "level": np.array([[-1.0, 0.0, 1.0]] * 3).T,
    "blur": np.full((3, 3), 1 / 9),
    "spot": np.array([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]]) / 8,
}
"""Left edges, upper edges, the mean of nine pixels, and what differs from its surroundings."""

_COLORS: Final = (VERMILLION, PURPLE, ORANGE)


@dataclass(frozen=True)
class WhatAConvolutionSees(Lesson):
    """One photo, four kernels of 3 × 3, and the photo moved to another place.

    Args:
        label: class of the photo; 8 is a bag.
        place: of the photo among those of its class.
        shift: how far the photo is moved to the right and down, in pixels.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Convolutional neural networks",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "what-a-convolution-sees"
    size: ClassVar[tuple[float, float]] = (15.0, 7.4)

    label: int = 8
    place: int = 0
    shift: int = 3

    def run(self) -> Evidence:
        """Convolve the photo with each kernel; do the strongest patch by hand; turn and move the photo."""
        photo_HW = photo(self.label, self.place)
        maps = {name: convolved(photo_HW, kernel) for name, kernel in KERNELS.items()}
        upright_HW = maps["upright"]
        row, column = np.unravel_index(np.argmax(upright_HW), upright_HW.shape)
        patch_33 = photo_HW[row : row + 3, column : column + 3]
        kernel_33 = KERNELS["upright"]
        by_hand_HW = _by_hand(photo_HW, kernel_33)
        still_HW = np.pad(photo_HW, self.shift + 2)  # a black margin, so that neither photo nor map leaves the frame
        moved_map_HW = convolved(self._moved(still_HW), kernel_33)
        turned_HW = convolved(np.ascontiguousarray(photo_HW.T), kernel_33).T
        return Evidence(
            {
                "side": len(photo_HW),
                "out_side": len(upright_HW),
                "weights": kernel_33.size,
                "places": upright_HW.size,
                "row": int(row),
                "column": int(column),
                "left_mean": float(patch_33[:, 0].mean()),
                "right_mean": float(patch_33[:, 2].mean()),
                "highest": float(upright_HW.max()),
                "typical": float(np.median(np.abs(upright_HW))),
                "contrast": float(upright_HW.max() / np.abs(upright_HW).mean()),
                "hand_gap": float(np.abs(by_hand_HW - upright_HW).max()),
                "shift": self.shift,
                "shift_gap": float(np.abs(self._moved(convolved(still_HW, kernel_33)) - moved_map_HW).max()),
                "turn_gap": float(np.abs(turned_HW - maps["level"]).max()),
                "level_here": float(maps["level"][row, column]),
                "alike": 100 * _alike(photo_HW, kernel_33, int(row), int(column)),
                "rough": _roughness(photo_HW[1:-1, 1:-1]),
                "blurred": _roughness(maps["blur"]),
            },
            {"photo": photo_HW, "maps": maps, "patch": patch_33},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The map is the sum by hand; it moves and turns with the photo; it is strong at an edge and weak elsewhere."""
        numbers = evidence.numbers
        return (
            Check("hand", numbers["hand_gap"], "<", 1e-12),
            Check("contrast", numbers["contrast"], ">", 3),
            Check("alike", numbers["alike"], ">", 90),
            Check("shift", numbers["shift_gap"], "<", 1e-12),
            Check("turn", numbers["turn_gap"], "<", 1e-12),
            Check("blur", numbers["blurred"] / numbers["rough"], "<", 0.95),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The photo with the kernel at three places, the products at one of them, and the maps of all kernels."""
        (first, patch, kernel, out), below = figure.subplots(2, 4)
        maps, photo_HW = evidence.data["maps"], evidence.data["photo"]
        show_pixels(first, photo_HW, title=self.say("photo_title"))
        show_pixels(out, maps["upright"], title=self.say("upright_title"), signed=True)
        strongest = (int(evidence.numbers["row"]), int(evidence.numbers["column"]))
        for (row, column), color in zip((strongest, *_others(maps["upright"])), _COLORS, strict=True):
            value = round(float(maps["upright"][row, column]), 2) + 0.0  # no minus zero
            frame(first, row, column, 3, color, name=f"{value:+.2f}")
            frame(out, row, column, 1, color)
        first.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="none", title=self.say("sum"))
        highest = evidence.numbers["highest"]
        _numbers(patch, evidence.data["patch"], title=self.say("patch_title"), form="{:.2f}")
        _numbers(kernel, KERNELS["upright"], title=self.say("kernel_title", value=f"{highest:+.2f}"), form="{:.0f}")
        for axes in (patch, kernel):
            axes.set(xlabel=self.axis("column"), ylabel=self.axis("row"), xticks=range(3), yticks=range(3))
        for axes, name in zip(below, ("level", "blur", "spot"), strict=False):
            show_pixels(axes, maps[name], title=self.say(f"{name}_title"), signed=name != "blur")
        moved_HW = np.pad(photo_HW, ((self.shift, 0), (self.shift, 0)))[: len(photo_HW), : len(photo_HW)]
        show_pixels(below[3], convolved(moved_HW, KERNELS["upright"]), title=self.say("moved_title"), signed=True)

    def _moved(self, pixels_HW: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.roll(pixels_HW, (self.shift, self.shift), axis=(0, 1))


def convolved(photo_HW: NDArray[np.float64], kernel_KK: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of kernel times patch at every place, by torch, without padding.

    Example:
        >>> convolved(np.eye(4), np.eye(3)).tolist()
        [[3.0, 0.0], [0.0, 3.0]]
    """
    require_torch()
    import torch

    photo_11HW, kernel_11KK = (torch.from_numpy(values)[None, None] for values in (photo_HW, kernel_KK.copy()))
    return torch.nn.functional.conv2d(photo_11HW, kernel_11KK)[0, 0].numpy()


def _by_hand(photo_HW: NDArray[np.float64], kernel_KK: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same in one sum for each patch."""
    patches_HWKK = np.lib.stride_tricks.sliding_window_view(photo_HW, kernel_KK.shape)
    return np.array([[float((patch * kernel_KK).sum()) for patch in row] for row in patches_HWKK])


def _alike(photo_HW: NDArray[np.float64], kernel_KK: NDArray[np.float64], row: int, column: int) -> float:
    """The share of patches that resemble the kernel less than this one, by the cosine of the angle between them."""
    patches_HWKK = np.lib.stride_tricks.sliding_window_view(photo_HW, kernel_KK.shape)
    centered_HWKK = patches_HWKK - patches_HWKK.mean(axis=(2, 3), keepdims=True)
    lengths_HW = np.sqrt((centered_HWKK**2).sum(axis=(2, 3)))
    cosines_HW = (centered_HWKK * kernel_KK).sum(axis=(2, 3)) / np.maximum(lengths_HW, 1e-9) / np.linalg.norm(kernel_KK)
    return float((cosines_HW < cosines_HW[row, column]).mean())


def _roughness(pixels_HW: NDArray[np.float64]) -> float:
    """The mean difference of neighbors in a row."""
    return float(np.abs(np.diff(pixels_HW, axis=1)).mean())


def _others(map_HW: NDArray[np.float64]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The place of the most negative value, and one where the map is nearest zero in the middle of the photo."""
    lowest = np.unravel_index(np.argmin(map_HW), map_HW.shape)
    inner_HW = np.abs(map_HW[8:18, 8:18])
    calm = np.unravel_index(np.argmin(inner_HW), inner_HW.shape)
    return (int(lowest[0]), int(lowest[1])), (int(calm[0]) + 8, int(calm[1]) + 8)


def _numbers(axes: Axes, values_KK: NDArray[np.float64], *, title: str, form: str) -> None:
    """Write each value into its cell."""
    show_pixels(axes, values_KK, title=title, signed=bool(values_KK.min() < 0))
    lowest, highest = values_KK.min(), values_KK.max()
    for (row, column), value in np.ndenumerate(values_KK):
        middle = abs(value) < 0.5 * max(abs(lowest), highest)
        dark = middle if lowest >= 0 else not middle
        axes.text(
            column, row, form.format(value), ha="center", va="center", color="white" if dark else "black", fontsize=13
        )

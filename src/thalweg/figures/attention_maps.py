"""Where a network looks: each photo with its maps over it, one photo a row.

Shape suffixes: H height, W width, S side, 3 colors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from thalweg.figures.style import QUIET, picture
from thalweg.i18n import percent, t


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SIDE: Final = 2.0  # inches of a photo
_LEFT: Final = 1.9  # inches for the names
_STRENGTH: Final = 0.55  # opacity of a map over its photo
_LAYERS: Final = ("mid", "top")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A photo, its answer, and where the network looked.

    Attributes:
        name: of the photo.
        pixels_SS3: what the network gets.
        answer: the most probable class.
        probability: of the answer.
        of: the class that the maps are of.
        maps: `mid` and `top`, each (H, W) in [0, 1]; one that the network does not have is missing.
    """

    name: str
    pixels_SS3: NDArray[np.uint8]
    answer: str
    probability: float
    of: str
    maps: Mapping[str, NDArray[np.float32]]


def draw_maps(path: Path | str, photos: Sequence[LookedAt]) -> None:
    """Draw each photo as the network gets it, and beside it with the map of each layer over it, in viridis.

    Args:
        path: the PNG file.
        photos: one for each row, at least one.

    Raises:
        StorageError: the file cannot be written.
    """
    with picture(path, width=_LEFT + 3 * _SIDE, height=1.0 + _SIDE * len(photos)) as figure:
        grid = figure.subplots(len(photos), 3, squeeze=False)
        for photo, (plain, *others) in zip(photos, grid, strict=True):
            plain.imshow(photo.pixels_SS3, interpolation="nearest")
            told = f"{_short(photo.answer)} {percent(photo.probability)}"
            of = "" if photo.of == photo.answer else f"\n{t('figures.maps_of', name=_short(photo.of))}"
            plain.set_ylabel(f"{_short(photo.name)}\n{told}{of}", rotation=0, ha="right", va="center", labelpad=8)
            for layer, axes in zip(_LAYERS, others, strict=True):
                axes.imshow(photo.pixels_SS3, interpolation="nearest")
                if layer in photo.maps:
                    smooth_SS = _enlarged(photo.maps[layer], len(photo.pixels_SS3))
                    axes.imshow(smooth_SS, cmap="viridis", vmin=0, vmax=1, alpha=_STRENGTH)
                else:
                    axes.text(0.5, 0.5, t("figures.maps_none"), transform=axes.transAxes, ha="center", va="center")
        for axes in grid.flat:
            axes.set_xticks([])
            axes.set_yticks([])
        for axes, name in zip(grid[0], ("photo", *_LAYERS), strict=True):
            axes.set_title(t(f"figures.maps_{name}"), fontsize=9)
        figure.suptitle(t("figures.maps_title"))
        figure.supxlabel(t("figures.maps_scale"), fontsize=8, color=QUIET)


def _enlarged(map_HW: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A map at the photo's side, smooth."""
    enlarged = Image.fromarray(map_HW.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(enlarged), 0, 1)


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"…{name[-21:]}"

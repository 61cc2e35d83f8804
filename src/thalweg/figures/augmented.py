"""Photos and what augmentation makes of them, one photo a row.

Shape suffixes: P photos, K copies of each, S side, 3 colors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.figures.style import picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SIDE = 1.25  # inches of an image
_LEFT = 1.3  # inches for the names


def draw_augmented(
    path: Path | str, names: Sequence[str], plain_PSS3: NDArray, copies_PKSS3: NDArray, *, title: str
) -> None:
    """Draw each photo as validation sees it, and beside it as training does.

    Args:
        path: the PNG file.
        names: of each photo, its class.
        plain_PSS3: colors in [0, 1].
        copies_PKSS3: colors in [0, 1].
        title: of the picture.

    Raises:
        StorageError: the file cannot be written.
    """
    count, copies = copies_PKSS3.shape[:2]
    with picture(path, width=_LEFT + _SIDE * (copies + 1), height=0.9 + _SIDE * count) as figure:
        grid = figure.subplots(count, copies + 1, squeeze=False)
        for row, name in enumerate(names):
            for column, axes in enumerate(grid[row]):
                axes.imshow(plain_PSS3[row] if column == 0 else copies_PKSS3[row, column - 1], interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
            shown = name if len(name) <= 16 else f"{name[:15]}…"
            grid[row][0].set_ylabel(shown, rotation=0, ha="right", va="center", labelpad=8)
        grid[0][0].set_title(t("figures.validation"), fontsize=9)
        for number, axes in enumerate(grid[0][1:], start=1):
            axes.set_title(t("figures.epoch_number", number=number), fontsize=9)
        figure.suptitle(title)

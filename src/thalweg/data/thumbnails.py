"""The thumbnails of a check: in memory, or of many photos in a file without a name, which ends with them.

A million photos have 3 GB of them. A file that is read and written, not mapped, adds nothing to the process's memory.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from thalweg._files import cache_folder, unnamed_file


if TYPE_CHECKING:
    from numpy.typing import NDArray

THUMBNAIL: Final = 32  # width and height, in pixels
MOST_IN_MEMORY: Final = 200_000_000  # bytes: 65,104 photos
_SHAPE: Final = (THUMBNAIL, THUMBNAIL, 3)
_BYTES: Final = THUMBNAIL * THUMBNAIL * 3


class Thumbnails(Protocol):
    """Thumbnails by row; an array is one, too."""

    def __len__(self) -> int:
        """Photos."""
        ...

    def __getitem__(self, rows_P: Any, /) -> NDArray[np.uint8]:
        """Those of some rows, of shape (p, 32, 32, 3)."""
        ...

    def __setitem__(self, row: int, thumbnail_HWC: NDArray[np.uint8], /) -> None:
        """Keep one."""
        ...


def room_for_thumbnails(photos: int) -> Thumbnails:
    """Room for the thumbnails of so many photos.

    Raises:
        StorageError: they are many, and the disk is full.

    Example:
        >>> found = room_for_thumbnails(2)
        >>> found[1] = np.full((32, 32, 3), 7, dtype=np.uint8)
        >>> found[np.array([1])].shape, int(found[np.array([1])].max())
        ((1, 32, 32, 3), 7)
    """
    return ThumbnailFile(photos) if photos * _BYTES > MOST_IN_MEMORY else np.empty((photos, *_SHAPE), dtype=np.uint8)


class ThumbnailFile:
    """Thumbnails in a file, for one thread; see `Thumbnails`.

    Args:
        photos: how many.
    """

    def __init__(self, photos: int) -> None:
        self._photos = photos
        folder = cache_folder()
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)  # the system's temporary files may lie in memory
        self._file = unnamed_file(folder, photos * _BYTES)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self._photos

    def __getitem__(self, rows_P: NDArray[np.int64]) -> NDArray[np.uint8]:
        found_PB = np.empty((len(rows_P), _BYTES), dtype=np.uint8)
        for place, row in enumerate(rows_P.tolist()):
            self._file.seek(row * _BYTES)
            self._file.readinto(found_PB[place].data)
        return found_PB.reshape(-1, *_SHAPE)

    def __setitem__(self, row: int, thumbnail_HWC: NDArray[np.uint8]) -> None:
        self._file.seek(row * _BYTES)
        self._file.write(thumbnail_HWC.tobytes())

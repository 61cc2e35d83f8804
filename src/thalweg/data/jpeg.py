"""Decoded photos kept as JPEG, where their pixels would take too much space.

The chroma has the full resolution (4:4:4) and the quality is 95: over photos of food at 192 px and of Imagenette at
160 px, that is 18 % of the bytes, at a peak signal-to-noise ratio of 46 dB, and 0.3 ms of a processor for a row.
`JpegPhotos` decodes the rows that will be asked for in threads, in bounded memory, while the network computes.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from thalweg.data.parallel import cores, in_order
from thalweg.data.segmented import RowReader
from thalweg.errors import StorageError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

QUALITY: Final = 95
VERSION: Final = f"jpeg {QUALITY} 4:4:4"  # part of a cache's name
AHEAD_BYTES: Final = 256 << 20  # of decoded photos, at most


def to_jpeg(image_HWC: NDArray[np.uint8]) -> bytes:
    """Encode a decoded photo.

    Args:
        image_HWC: RGB.
    """
    file = BytesIO()
    Image.fromarray(image_HWC).save(file, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return file.getvalue()


def from_jpeg(content: bytes | memoryview) -> NDArray[np.uint8]:
    """Decode what `to_jpeg` gave.

    Example:
        >>> float(from_jpeg(to_jpeg(np.full((16, 16, 3), 200, dtype=np.uint8))).mean())
        200.0
    """
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        return np.asarray(image)


class JpegPhotos(RowReader):
    """Photos kept as JPEG, read as an array of pixels; every row is decoded whenever it is read.

    Args:
        paths: files of JPEGs, one after another.
        lengths: bytes of each row, for each file.
        size: width and height, in pixels.
        ahead_bytes: most bytes of photos that are decoded before they are read.

    Attributes:
        capacity: rows that are decoded ahead, at most.

    Raises:
        OSError: a file is missing.
        ValueError: a file has another length.
    """

    def __init__(
        self, paths: Sequence[Path], lengths: Sequence[NDArray[np.int64]], size: int, ahead_bytes: float = AHEAD_BYTES
    ) -> None:
        super().__init__(sum(map(len, lengths)), size)
        self._paths = paths
        self._files = [_mapped(path, int(found.sum())) for path, found in zip(paths, lengths, strict=True)]
        self._numbers = np.repeat(np.arange(len(lengths)), [len(found) for found in lengths])
        self._ends = np.concatenate([np.cumsum(found) for found in lengths])
        self._lengths = np.concatenate(lengths)
        self.capacity = int(min(ahead_bytes, AHEAD_BYTES) // (3 * size**2))
        self._held: OrderedDict[int, Future[NDArray[np.uint8]]] = OrderedDict()
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of the photos that are decoded ahead now, or will be."""
        return len(self._held) * 3 * self.shape[1] ** 2

    def expect(self, rows_N: NDArray[np.int64]) -> None:
        """Decode rows in the background that will be read soon; as many as there is room for.

        Args:
            rows_N: in the order in which they will be read.
        """
        wanted = rows_N[: self.capacity].tolist()
        keep = set(wanted)
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="thalweg-ahead")
            for row in wanted:
                if row in self._held:
                    continue
                if len(self._held) >= self.capacity:
                    oldest = next(iter(self._held))  # not read in time: an epoch that ended early
                    if oldest in keep:
                        return
                    self._held.pop(oldest).cancel()
                self._held[row] = self._pool.submit(self._decoded, row)

    def read(self, rows_N: NDArray[np.int64]) -> NDArray[np.uint8]:
        """As in `RowReader`.

        Raises:
            StorageError: a photo of the cache is damaged.
        """
        rows = rows_N.tolist()
        with self._lock:
            futures = [self._held.pop(row, None) for row in rows]
        missing = [row for row, future in zip(rows, futures, strict=True) if future is None]
        workers = min(cores(), len(missing))
        others = in_order(self._decoded, missing, workers=workers) if workers > 1 else map(self._decoded, missing)
        found_NHWC = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for place, future in enumerate(futures):
            found_NHWC[place] = next(others) if future is None else future.result()
        return found_NHWC

    def _decoded(self, row: int) -> NDArray[np.uint8]:
        number, end = int(self._numbers[row]), int(self._ends[row])
        try:
            return from_jpeg(self._files[number][end - int(self._lengths[row]) : end].tobytes())
        except Exception as error:  # a damaged file makes Pillow raise anything
            path = self._paths[number]
            raise StorageError("data.cached_photo_damaged", path=path, row=row, folder=path.parent) from error


def _mapped(path: Path, count: int) -> NDArray[np.uint8]:
    if path.stat().st_size != count:
        raise ValueError(path)
    return np.memmap(path, np.uint8, mode="r", shape=(count,)) if count else np.empty(0, dtype=np.uint8)

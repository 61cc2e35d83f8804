"""Many arrays as one short text: little-endian, sorted by significance of their bytes, deflated, base64.

Bytes of the same significance lie together, as with HDF5's shuffle filter, because signs and exponents of neighbors
are alike: the block is much shorter, and every number comes back exactly.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TYPES: Final = ("f8", "f4", "u4", "u2", "u1")


class Slot(TypedDict):
    """Where one array lies in the block, in bytes before deflating."""

    type: str
    start: int
    count: int


def plain(name: str, array: NDArray[np.generic]) -> tuple[str, NDArray[np.generic]]:
    """An array's type, by its name in `TYPES`, and its numbers one after the other, the lowest byte first.

    Raises:
        TypeError: the array has another type.
    """
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    if kind not in TYPES:
        raise TypeError(f"{name} is {array.dtype}, not one of {', '.join(TYPES)}")
    return kind, np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[str, dict[str, Slot]]:
    """Pack arrays of the types in `TYPES`, flattened.

    Example:
        >>> block, slots = pack({"steps": np.arange(3.0)})
        >>> slots
        {'steps': {'type': 'f8', 'start': 0, 'count': 3}}
        >>> unpack(block, slots)["steps"].tolist()
        [0.0, 1.0, 2.0]
    """
    slots: dict[str, Slot] = {}
    planes: list[bytes] = []
    start = 0
    for name, array in arrays.items():
        kind, numbers = plain(name, array)
        planes.append(numbers.reshape(-1, 1).view(np.uint8).T.tobytes())
        slots[name] = Slot(type=kind, start=start, count=array.size)
        start += array.nbytes
    return base64.b64encode(zlib.compress(b"".join(planes), level=9)).decode(), slots


def unpack(block: str, slots: Mapping[str, Slot]) -> dict[str, NDArray[np.generic]]:
    """The arrays of `pack`, as the page's own script reads them."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(block)), dtype=np.uint8)
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, slot in slots.items():
        dtype = np.dtype(f"<{slot['type']}")
        planes = raw[slot["start"] : slot["start"] + slot["count"] * dtype.itemsize].reshape(dtype.itemsize, -1)
        arrays[name] = np.ascontiguousarray(planes.T).view(dtype).ravel()
    return arrays

"""Answers in numbers: the length of a JSON text, the text, then arrays as they lie in memory.

The text names each array's type, first byte and length, as `figures.player.packing` does; nothing is deflated, since
on one machine time is dearer than bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.figures.player.packing import Slot, plain


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ALIGNED = 8  # bytes: a typed array of the page must start at a multiple of its width


def frame(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Put a header and arrays of the types of `packing.TYPES` into one block.

    Example:
        >>> read_frame(frame({"run": "first"}, {"loss": np.array([2.5, 2.25])}))
        ({'run': 'first'}, {'loss': array([2.5 , 2.25])})
    """
    slots: dict[str, Slot] = {}
    parts: list[bytes] = []
    start = 0
    for name, array in arrays.items():
        kind, numbers = plain(name, array)
        content = numbers.tobytes()
        slots[name] = Slot(type=kind, start=start, count=array.size)
        parts.append(content + bytes(-len(content) % _ALIGNED))
        start += len(parts[-1])
    text = json.dumps({**header, "slots": slots}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % _ALIGNED)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def read_frame(block: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of `frame`, as the page's own script reads them."""
    length = int.from_bytes(block[:4], "little")
    header = json.loads(block[4 : 4 + length])
    arrays = {
        name: np.frombuffer(block, f"<{slot['type']}", slot["count"], 4 + length + slot["start"])
        for name, slot in header.pop("slots").items()
    }
    return header, arrays

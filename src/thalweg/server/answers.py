"""Answers: JSON that is always finite, pictures, errors as sentences, and frames of numbers.

A frame is the length of a JSON text, the text, then arrays as in memory. The text gives each array's type, first byte
and length, as `figures.player.packing` does. Nothing is compressed: on one machine, time costs more than bytes.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from starlette.responses import Response

from thalweg.errors import DataError, RunError, ThalwegError, UsageError
from thalweg.figures.player.packing import Slot, plain


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ALIGNED: Final = 8  # bytes; a typed array must start at a multiple of its item size
_STATUS: Final = ((UsageError, 400), (RunError, 404), (DataError, 422))
_OTHER_STATUS: Final = 409


def answer_of(found: Any) -> Response:
    """Turn a handler's result into a response: bytes are a PNG, a pair is a frame, anything else is JSON."""
    if isinstance(found, tuple):
        return Response(frame(*found), media_type="application/octet-stream")
    if isinstance(found, bytes):
        return Response(found, media_type="image/png", headers={"cache-control": "private, max-age=600"})
    return Response(json_text(found), media_type="application/json")


def refusal_of(error: ThalwegError) -> Response:
    """Turn an error into a response with its sentence and the HTTP status."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), _OTHER_STATUS)
    return Response(json_text(error_of(error)), status, media_type="application/json")


def error_of(error: ThalwegError) -> dict[str, Any]:
    """An error in the form that the page's script reads."""
    return {"error": {"code": error.key, "message": str(error)}}


def json_text(content: Any) -> str:
    """JSON for every browser: numbers that are not finite become null.

    Example:
        >>> json_text({"loss": [0.5, float("nan")], "rate": float("inf")})
        '{"loss": [0.5, null], "rate": null}'
    """
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False)


def frame(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack a header and arrays, of the types in `packing.TYPES`, into one block.

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
    text = json_text({**header, "slots": slots}).encode()
    text += b" " * (-(4 + len(text)) % _ALIGNED)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def read_frame(block: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a `frame`, as the page's script reads them."""
    length = int.from_bytes(block[:4], "little")
    header = json.loads(block[4 : 4 + length])
    arrays = {
        name: np.frombuffer(block, f"<{slot['type']}", slot["count"], 4 + length + slot["start"])
        for name, slot in header.pop("slots").items()
    }
    return header, arrays


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content

"""TensorBoard's event files: records with masked checksums, and in each a message of protobuf.

A record is a length of eight bytes, its checksum, the message, and the message's checksum. Of a message only the step
and the scalars are read: `Event{step=2, summary=5{value=1{tag=1, simple_value=2, tensor=8}}}`.

Source: TFRecord's format in the documentation of TensorFlow; CRC-32C, Castagnoli, Bräuer and Herrmann 1993.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST: Final = 1 << 16  # bytes; longer messages are pictures and graphs, and are passed over
_MASK: Final = 0xA282EAD8
# Of TensorProto: the type's number to its format, and the field that has such values.
_TYPES: Final = {1: ("<f4", 5), 2: ("<f8", 6), 3: ("<i4", 7), 9: ("<i8", 10), 19: ("<f2", 13), 14: ("<u2", 13)}
_BFLOAT16: Final = 14
_HALVES: Final = 13  # the field of numbers of sixteen bits
_VARINTS: Final = frozenset({7, 10, _HALVES})


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = (rest >> 1) ^ (0x82F63B78 if rest & 1 else 0)
        found.append(rest)
    return tuple(found)


_TABLE: Final = _table()


def masked_crc(content: bytes) -> int:
    """CRC-32C, rotated and shifted, so that a checksum of checksums is one, too.

    Example:
        >>> hex((masked_crc(b"123456789") - 0xA282EAD8) % 2**32)
        '0x2507c60d'
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


@dataclass(slots=True)
class Events:
    """The scalars of an event file.

    Attributes:
        scalars: tag to pairs of step and value, in the order of the file.
        whole: number of whole records.
        damaged: number of records whose checksum is wrong; they were left out.
        cut: whether the file ends within a record, or nothing can be read after one.
    """

    scalars: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    whole: int = 0
    damaged: int = 0
    cut: bool = False


@lru_cache(maxsize=1024)  # most records are equally long
def is_events(head: bytes) -> bool:
    """Whether a file begins as event files do.

    Args:
        head: its first 12 bytes.
    """
    return len(head) >= 12 and struct.unpack("<I", head[8:12])[0] == masked_crc(head[:8])


def read_events(path: Path) -> Events:
    """Read the scalars of an event file; what is whole before a damaged place is read.

    Raises:
        OSError: the file cannot be read.
    """
    found = Events()
    scalars: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    size = path.stat().st_size
    with path.open("rb") as file:
        while head := file.read(12):
            if not is_events(head):
                found.cut = True
                break
            length = int.from_bytes(head[:8], "little")
            if file.tell() + length + 4 > size:
                found.cut = True
                break
            if length > _LONGEST:
                file.seek(length + 4, 1)
                found.whole += 1
                continue
            message, tail = file.read(length), file.read(4)
            try:
                read = list(_scalars(message)) if int.from_bytes(tail, "little") == masked_crc(message) else None
            except ValueError:
                read = None
            found.whole += read is not None
            found.damaged += read is None
            for tag, step, value in read or ():
                scalars[tag].append((step, value))
    found.scalars = dict(scalars)
    return found


def _scalars(message: bytes) -> Iterator[tuple[str, float, float]]:
    event = _fields(message)
    step = _signed(next((value for number, value in event if number == 2 and isinstance(value, int)), 0))
    for number, summary in event:
        if number != 5 or not isinstance(summary, bytes):
            continue
        for kind, one in _fields(summary):
            if kind == 1 and isinstance(one, bytes):
                parts = dict(_fields(one))
                value = _value(parts)
                tag = parts.get(1, b"")
                if value is not None and isinstance(tag, bytes):
                    yield tag.decode("utf-8", "replace"), step, value


def _value(parts: dict[int, int | bytes]) -> float | None:
    """The number of a summary's value; None if it has none, or many."""
    simple = parts.get(2)
    if isinstance(simple, bytes) and len(simple) == 4:
        return struct.unpack("<f", simple)[0]
    return _of_tensor(dict(_fields(_bytes(parts.get(8)))))


def _of_tensor(tensor: dict[int, int | bytes]) -> float | None:
    kind = tensor.get(1)
    sizes = [dict(_fields(_bytes(dim))).get(1) for number, dim in _fields(_bytes(tensor.get(2))) if number == 2]
    if not isinstance(kind, int) or kind not in _TYPES or any(size != 1 for size in sizes):
        return None
    form, place = _TYPES[kind]
    content = tensor.get(4) or tensor.get(place)  # bytes as in memory, or a field of its type
    if isinstance(content, bytes) and place in _VARINTS and not tensor.get(4):
        content = _varint(content, 0)[0]  # packed
    if isinstance(content, int):
        return _half(content, kind) if place == _HALVES else float(_signed(content))
    if not isinstance(content, bytes) or len(content) != np.dtype(form).itemsize:
        return None
    value = np.frombuffer(content, form)[0]
    return _half(int(value), kind) if kind == _BFLOAT16 else float(value)


def _half(bits: int, kind: int) -> float:
    """The number of sixteen bits."""
    if kind == _BFLOAT16:
        return float(np.uint32((bits & 0xFFFF) << 16).view(np.float32))
    return float(np.uint16(bits & 0xFFFF).view(np.float16))


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Number and value of each field: an int, or the bytes of all other types.

    Raises:
        ValueError: the message is none.
    """
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            found.append((key >> 3, value))
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in {1, 5}:
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(kind)
        if at + length > len(message):
            raise ValueError(length)
        found.append((key >> 3, message[at : at + length]))
        at += length
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError(at)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value

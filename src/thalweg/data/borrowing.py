"""The pixels of a Pillow picture where they are, without a copy: its memory, lent by Arrow's C data interface.

A copy of a photo costs little time, but it is made under the interpreter's lock, and memory that is taken and given
back for each photo is cleared page by page.

Source: https://arrow.apache.org/docs/format/CDataInterface.html.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import PIL
from PIL import Image


if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAME: Final = b"arrow_array"  # of the capsule
_LENT_SINCE: Final = (11, 3)  # Pillow 11.2 lends, and never frees what it has lent


class _Array(ctypes.Structure):
    """Arrow's struct, up to what is read here."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.POINTER(ctypes.c_void_p)),
    )


class _Lent:
    """Memory as NumPy takes it; the capsule keeps it."""

    def __init__(self, capsule: object, address: int, shape: tuple[int, ...]) -> None:
        self.capsule = capsule
        self.__array_interface__ = {"version": 3, "data": (address, True), "shape": shape, "typestr": "|u1"}


_address_of: Any = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def borrow(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a loaded RGB picture, read-only; a copy if Pillow does not lend them.

    Pillow lends pictures of up to 16 MB; versions before 11.3 do not, or leak.

    Args:
        image: RGB, loaded; not changed while the pixels are in use.

    Returns:
        Of shape (height, width, 4); the fourth byte has no meaning.

    Example:
        >>> borrow(Image.new("RGB", (2, 1), (3, 4, 5)))[..., :3].tolist()
        [[[3, 4, 5], [3, 4, 5]]]
    """
    shape = image.height, image.width, 4
    lent = _lent(image, shape)
    return np.frombuffer(image.tobytes("raw", "RGBX"), np.uint8).reshape(shape) if lent is None else lent


def _lent(image: Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8] | None:
    if tuple(map(int, PIL.__version__.split(".")[:2])) < _LENT_SINCE:
        return None
    if Image.core.get_alignment() > 1:  # rows may have gaps, of which Arrow's struct says nothing
        return None
    try:
        _, capsule = image.__arrow_c_array__()
    except ValueError:  # it lies in several blocks of memory
        return None
    array = _Array.from_address(_address_of(capsule, _NAME))
    pixels = _Array.from_address(array.children[0])
    if pixels.offset or pixels.length != shape[0] * shape[1] * shape[2]:
        return None
    return np.asarray(_Lent(capsule, pixels.buffers[1], shape))

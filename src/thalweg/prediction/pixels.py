"""Pictures that a program holds, to the square of RGB pixels that a run's network was trained on.

Shape suffixes: N pictures, H height, W width, C channels.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from thalweg.data.decoding import decode, to_pixels
from thalweg.errors import BadImageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from thalweg.runs import Run

_CHANNELS: Final = (1, 3, 4)
_DEEP: Final = {np.dtype(np.uint16): "I;16", np.dtype(np.int32): "I", np.dtype(np.float32): "F"}
_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}


def squares_of(images: Any, run: Run) -> tuple[list[str], NDArray[np.uint8]]:
    """Bring pictures to the pixels that the run keeps of its photos, as `thalweg predict` does with files.

    Args:
        images: one picture, or a sequence or batch of them. A picture is a path, the bytes of a file, a `PIL.Image`,
            an array (H, W) or (H, W, C), or a tensor (C, H, W); a batch is an array (N, H, W, C) or a tensor
            (N, C, H, W). C is 1, 3 or 4. Numbers are uint8, or floats in [0, 1]; gray arrays of uint16, int32 and
            float32 are scaled by the run's levels if its photos had such numbers.
        run: says side, resizing and rendering.

    Returns:
        Names, and pixels (N, S, S, 3) where S is the stored side. A picture without a path is called by its position,
        such as `#0`.

    Raises:
        BadImageError: a picture cannot be read.
        UsageError: it is none of these, or there is none.
    """
    names, pixels = [], []
    for position, (known, image) in enumerate(each_of(images)):
        names.append(known or f"#{position}")
        pixels.append(_square(image, names[-1], run))
    if not pixels:
        raise UsageError("prediction.no_pictures")
    return names, np.stack(pixels)


def each_of(images: Any) -> Iterator[tuple[str, Any]]:
    """Name and picture of each: bytes, an open picture, or an array (H, W[, C])."""
    if isinstance(images, str | os.PathLike):
        yield os.fspath(images), Path(images)
    elif isinstance(images, bytes | bytearray | memoryview):
        yield "", bytes(images)
    elif isinstance(images, Image.Image):
        yield "", images
    elif (array := _array_of(images)) is not None:
        if array.ndim == 4:
            yield from (("", one) for one in array)
        else:
            yield "", array
    elif hasattr(images, "__iter__"):
        for one in images:
            yield from each_of(one)
    else:
        raise UsageError("prediction.not_a_picture", got=type(images).__name__)


def _array_of(images: Any) -> NDArray[Any] | None:
    """An array or tensor with the channels last; None for anything else."""
    if isinstance(images, np.ndarray):
        return images
    if not (hasattr(images, "detach") and hasattr(images, "numpy")):
        return None
    tensor = images.detach().cpu()
    try:
        array = tensor.numpy()
    except TypeError:  # numbers that NumPy does not have, such as bfloat16
        array = tensor.float().numpy()
    return np.moveaxis(array, -3, -1) if array.ndim in (3, 4) else array


def _square(image: Any, name: str, run: Run) -> NDArray[np.uint8]:
    stored, resize, rendering = run.data["stored"], run.config.resize, run.rendering
    if isinstance(image, Path):
        return decode(_content(image), stored, resize, path=name, rendering=rendering)
    if isinstance(image, bytes):
        return decode(image, stored, resize, path=name, rendering=rendering)
    try:
        opened = image.copy() if isinstance(image, Image.Image) else _picture(image, name, run)
        return to_pixels(opened, stored, resize, rendering)
    except BadImageError as error:
        raise BadImageError(error.key, **{**error.values, "path": name}) from error
    except (OSError, ValueError, SyntaxError) as error:  # a lazy picture whose file is damaged or closed
        raise BadImageError("data.bad_broken", path=name, reason=str(error)[:120] or type(error).__name__) from error


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise UsageError("prediction.folder_for_predict", path=path)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError("data.not_there", path=path) from error
    except OSError as error:
        raise BadImageError("data.bad_broken", path=str(path), reason=error.strerror or type(error).__name__) from error


def _picture(array: NDArray[Any], name: str, run: Run) -> Image.Image:
    """An array as a picture of Pillow."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    channels = 1 if array.ndim == 2 else array.shape[-1]
    if array.ndim not in (2, 3) or channels not in _CHANNELS or 0 in array.shape:
        raise UsageError("prediction.bad_shape", name=name, got="×".join(map(str, array.shape)))
    if array.ndim == 2 and _DEEP.get(array.dtype, "") in run.rendering.levels:
        return Image.fromarray(np.ascontiguousarray(array))
    return Image.fromarray(np.ascontiguousarray(_bytes(array, name)), _MODES[channels])


def _bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Numbers as bytes: they are, or they are floats in [0, 1]."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if low >= 0 and high <= 1:
            return np.rint(255 * array.astype(np.float64)).astype(np.uint8)
        raise UsageError("prediction.bad_range", name=name, low=low, high=high)
    raise UsageError("prediction.bad_numbers", name=name, got=str(array.dtype))

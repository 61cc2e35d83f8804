"""Make the built-in set from Fashion-MNIST's originals.

```
python -m thalweg.data.builtin.make /usr/share/datasets/fashion-mnist out.zip
```

The folder holds the four `.gz` files as published by Zalando and installed by Debian's package
`dataset-fashion-mnist`. The pictures for training and validation are drawn, class by class, from the original training
set without overlap, those for testing from the original test set; a picture with the same pixels as an earlier one is
skipped. The same Pillow with the same zlib makes the same archive, byte for byte; its comment names both.
"""

from __future__ import annotations

import gzip
import struct
import sys
import zipfile
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, __version__, features

from thalweg._files import replacing


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

SEED = 20170825  # the day Fashion-MNIST was published
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Original set: split folders that draw from it, with the pictures of each class.
DRAWS = {"train": {"training": 600, "validation": 100}, "t10k": {"testing": 100}}

_LICENSE = Path(__file__).with_name("LICENSE")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # zip knows no earlier time; a fixed one makes archives equal


def make(originals: Path, archive: Path) -> None:
    """Draw the pictures and write the archive, whole or not at all.

    Args:
        originals: the folder of `train-images-idx3-ubyte.gz` and its three companions.
        archive: the `.zip` to write.
    """
    members = [("LICENSE", _LICENSE.read_bytes()), ("classes.txt", "".join(f"{name}\n" for name in CLASSES).encode())]
    members += draw(originals)
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        packed.comment = encoder().encode()
        for name, content in members:
            info = zipfile.ZipInfo(name, _EARLIEST)
            info.create_system = 3  # Unix, also where this runs elsewhere
            info.external_attr = 0o644 << 16
            packed.writestr(info, content)


def draw(originals: Path) -> Iterator[tuple[str, bytes]]:
    """The pictures drawn: name and PNG."""
    seen: set[bytes] = set()
    for original, shares in DRAWS.items():
        images_NHW = read_idx(originals / f"{original}-images-idx3-ubyte.gz")
        labels_N = read_idx(originals / f"{original}-labels-idx1-ubyte.gz")
        drawn = [_fresh(images_NHW, _shuffled(np.flatnonzero(labels_N == label)), seen) for label in range(10)]
        for split, count in shares.items():
            for label, positions in enumerate(drawn):
                for number in range(count):
                    yield f"{split}/{label}_{number}.png", _png(images_NHW[next(positions)])


def encoder() -> str:
    """What the bytes of the PNG files depend on besides the pictures."""
    zlib = "zlib-ng" if features.check("zlib_ng") else "zlib"
    return f"Pillow {__version__}, {zlib} {features.version('zlib_ng') or features.version('zlib')}"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a file of the idx format: a magic number, the shape, bytes."""
    content = gzip.decompress(path.read_bytes())
    zero, kind, dimensions = struct.unpack_from(">HBB", content)
    if (zero, kind) != (0, 8):
        raise ValueError(f"{path}: not an idx file of bytes")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _shuffled(positions: Iterable[int]) -> list[int]:
    """In an order that looks random and is the same in every version of every library."""
    return sorted(positions, key=lambda position: blake2b(f"{SEED}:{position}".encode()).digest())


def _fresh(images_NHW: NDArray[np.uint8], positions: Iterable[int], seen: set[bytes]) -> Iterator[int]:
    """The positions of pictures that were not drawn before."""
    for position in positions:
        pixels = images_NHW[position].tobytes()
        if pixels not in seen:
            seen.add(pixels)
            yield position


def _png(image_HW: NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    Image.fromarray(image_HW).save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))

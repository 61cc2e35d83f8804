"""The folder of decoded pixels on the disk: how it is named, made whole, and found again.

It is named after what is in it: the digests of the photos in the order of their paths, the size, the fit, the
decoder's version. It is made under another name and renamed when it is whole; of two processes that make the same one
the second keeps the first one's, and a killed one leaves a `.part` folder, which a later build removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from thalweg.data.decoding import DECODER_VERSION, Fit, decode, quiet
from thalweg.data.parallel import in_order
from thalweg.errors import BadImageError, StorageError


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thalweg.data.photos import Photo
    from thalweg.data.sources import Source

PIXELS = "pixels.u8"
SUMS = "sums.npy"
MANIFEST = "manifest.json"

# What says nothing about a content that was read once: a drive that was away, a memory that was full.
_MAY_PASS = {"data.bad_missing", "data.bad_unreadable", "data.bad_memory"}
_ABANDONED_S = 3600.0  # a build writes all the time: a `.part` untouched for an hour was killed


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """What is to be decoded, and how.

    Attributes:
        source: reads the files.
        photos: one a row, in the order of the rows.
        digests: of their contents, `None` where a file cannot be read.
        size: width and height of the result, in pixels.
        fit: how a photo that is not square becomes square.
        stop: raise at the first photo that cannot be used, instead of leaving it out.
        progress: called with (photos done, photos).
        workers: threads; one a core by default.
    """

    source: Source
    photos: Sequence[Photo]
    digests: Sequence[str | None]
    size: int
    fit: Fit
    stop: bool
    progress: Callable[[int, int], None] | None
    workers: int | None


def name_of(digests: Sequence[str | None], size: int, fit: Fit) -> str:
    """The name of the folder that holds these photos at this size."""
    content = json.dumps([DECODER_VERSION, size, fit, digests])
    return blake2b(content.encode(), digest_size=16).hexdigest()


def read_manifest(home: Path, size: int, *, again: bool) -> dict[str, Any] | None:
    """What a whole folder says of itself: `rows`, and `bad` as (position, key, values); `None` if it is not whole.

    A damaged folder is removed; so is, with `again`, one that lacks photos for a reason that may have passed.
    """
    if not home.exists():
        return None
    try:
        manifest = json.loads((home / MANIFEST).read_bytes())
        whole = (home / PIXELS).stat().st_size == manifest["rows"] * size * size * 3 and (home / SUMS).exists()
        if whole and not (again and manifest.get("may_pass")):
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    shutil.rmtree(home, ignore_errors=True)
    return None


def decode_into(home: Path, job: Decoding) -> None:
    """Decode into a folder beside `home`, then rename it.

    Raises:
        BadImageError: a photo cannot be used, and the job says to stop.
        StorageError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(home.parent)
        part = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{home.name}.", suffix=".part"))
        try:
            _decode(part, job)
            _publish(part, home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise StorageError("data.cannot_write_cache", path=home, reason=error.strerror or error) from error


def _decode(part: Path, job: Decoding) -> None:
    def decode_one(photo: Photo) -> tuple[bytes, NDArray[np.float64]] | BadImageError:
        try:
            image_HWC = decode(job.source.read(photo.path), job.size, job.fit, path=photo.path)
        except BadImageError as error:
            return error
        return image_HWC.tobytes(), _channel_sums(image_HWC)

    bad: list[tuple[int, str, dict[str, int | str]]] = []
    may_pass = False
    sums: list[NDArray[np.float64]] = []
    with quiet(), (part / PIXELS).open("wb") as file:
        for position, result in enumerate(in_order(decode_one, job.photos, workers=job.workers)):
            if not isinstance(result, BadImageError):
                file.write(result[0])
                sums.append(result[1])
            elif job.stop:
                raise result
            else:
                bad.append((position, result.key, {name: _plain(value) for name, value in result.values.items()}))
                may_pass |= result.key in _MAY_PASS and job.digests[position] is not None
            if job.progress:
                job.progress(position + 1, len(job.photos))
        file.flush()
        os.fsync(file.fileno())
    np.save(part / SUMS, np.array(sums).reshape(-1, 2, 3))
    manifest = {
        "decoder": DECODER_VERSION,
        "size": job.size,
        "fit": job.fit,
        "rows": len(sums),
        "bad": bad,
        "may_pass": may_pass,
    }
    (part / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def _plain(value: Any) -> int | str:
    """What JSON keeps of a value that a message names."""
    return value if isinstance(value, int) else str(value)


def _publish(part: Path, home: Path) -> None:
    part.chmod(0o755)  # mkdtemp makes folders private; caches may be shared
    try:
        part.rename(home)
    except OSError:
        if not home.exists():  # else another process was first, with the same content
            raise


def _channel_sums(image_HWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sum and sum of squares of each channel, exactly, of shape (2, 3): of any split, the deviation follows."""
    counts_CV = np.array(Image.fromarray(image_HWC).histogram(), dtype=np.float64).reshape(3, 256)
    values_V = np.arange(256.0)
    return np.stack([counts_CV @ values_V, counts_CV @ values_V**2])


def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - max(path.stat().st_mtime for path in (part, *part.iterdir())) > _ABANDONED_S:
                shutil.rmtree(part, ignore_errors=True)

"""Photos copied or linked into one folder for each predicted class."""

from __future__ import annotations

import re
from collections import Counter
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from thalweg.data.sources import is_picture
from thalweg.errors import StorageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thalweg.data import ImageSet
    from thalweg.prediction.predictions import Predictions

# Windows opens a device for these, whatever follows a dot.
_DEVICES: Final = re.compile(r" *(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)
_NOT_IN_NAMES: Final = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')  # what one of the systems does not take in a file's name


def sort_photos(
    predictions: Predictions, images: ImageSet, folder: Path | str, *, link: bool = False
) -> dict[str, int]:
    """Put each photo into a folder with the name of its most probable class; the photos themselves stay.

    Args:
        predictions: of the photos.
        images: the photos, as they were classified.
        folder: a new or empty folder.
        link: make symbolic links instead of copies; not for photos in an archive.

    Returns:
        The name of each class with photos to their number. Photos that could not be read are left out.

    Raises:
        StorageError: a file cannot be written.
        UsageError: the folder has files, photos in an archive are to be linked, or photos may have several labels.
    """
    folder = Path(folder)
    if predictions.thresholds_C is not None:
        raise UsageError("prediction.sort_several")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("prediction.sort_not_empty", path=folder)
    base = images.source.path
    if link and not (base.is_dir() or is_picture(base.name)):
        raise UsageError("prediction.sort_no_links", path=base)
    bad = {photo.path for photo in predictions.bad}
    chosen = [pair for pair in zip(predictions.photos, predictions.names, strict=True) if pair[0].path not in bad]
    times = Counter((folder_name(name), _file_name(PurePosixPath(photo.path).name)) for photo, name in chosen)
    placed: Counter[str] = Counter()
    for photo, name in chosen:
        file = _file_name(PurePosixPath(photo.path).name)
        if times[folder_name(name), file] > 1:
            file = _file_name(photo.path)
        target = folder / folder_name(name) / file
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if link:
                _link(target, (base / photo.path if base.is_dir() else base).resolve())
            else:
                _write(target, images.read(photo))
        except OSError as error:
            raise StorageError("errors.cannot_write", path=target, reason=error.strerror or error) from error
        placed[name] += 1
    return dict(placed)


def _write(target: Path, content: bytes) -> None:
    for path in _names(target):
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        return


def _link(target: Path, photo: Path) -> None:
    for path in _names(target):
        try:
            path.symlink_to(photo)
        except FileExistsError:
            continue
        return


def _names(target: Path) -> Iterator[Path]:
    """A path, then others beside it: only the file system knows which names it takes as one."""
    yield target
    for number in count(2):
        yield target.with_name(f"{target.stem}_{number}{target.suffix}")


def _file_name(path: str) -> str:
    name = _NOT_IN_NAMES.sub("_", path).rstrip(" .") or "_"
    return f"_{name}" if _DEVICES.match(name) else name


def folder_name(name: str) -> str:
    """A name that every system takes for a folder.

    Example:
        >>> folder_name("fish/chips"), folder_name(".."), folder_name("面条"), folder_name("Con")
        ('fish_chips', '_', '面条', '_Con')
    """
    return _file_name(_NOT_IN_NAMES.sub("_", name).strip(" ."))

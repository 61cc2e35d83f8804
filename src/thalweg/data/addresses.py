"""What names a set of photos: a path, a pattern of shards, an address on the web or in a storage, or `builtin`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from thalweg.data.builtin import ARCHIVE, BUILTIN


_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://.+")
_BRACES: Final = re.compile(r"\{[^{}]*(?:,|\.\.)[^{}]*\}")
_ODD: Final = re.compile(r"[^\w.\-]+")
_PASSWORD: Final = re.compile(r"(?<=://)([^/?#:@]*):[^/?#]*@")


def is_url(photos: Path | str) -> bool:
    """Whether a set is given by an address.

    Example:
        >>> is_url("hf://datasets/food101"), is_url("photos/train"), is_url("C://photos")
        (True, False, False)
    """
    return isinstance(photos, str) and bool(_URL.fullmatch(photos))


def without_password(url: str) -> str:
    """An address as people may see it.

    Example:
        >>> without_password("sftp://ann:secret@host/photos"), without_password("https://host:8000/photos")
        ('sftp://ann:***@host/photos', 'https://host:8000/photos')
    """
    return _PASSWORD.sub(r"\1:***@", url)


def is_pattern(photos: Path | str) -> bool:
    """Whether a path means several files by braces and is not the name of one.

    Example:
        >>> is_pattern("train-{0..3}.tar"), is_pattern("{draft}.tar")
        (True, False)
    """
    return bool(_BRACES.search(str(photos))) and not Path(photos).exists()


def address_of(photos: Path | str) -> str:
    """What a run keeps of where its photos are: an address, or an absolute path.

    Example:
        >>> address_of("s3://photos/food")
        's3://photos/food'
    """
    if isinstance(photos, str) and is_url(photos):
        return photos
    return str(ARCHIVE if photos == BUILTIN else Path(photos).resolve())


def may_be_there(address: Path | str) -> bool:
    """Whether a set can be opened as far as one can tell without doing so."""
    return is_url(address) or is_pattern(address) or Path(address).exists()


def short_name(photos: Path | str) -> str:
    """A name for a folder: the last part that is no pattern, without its ending.

    Example:
        >>> short_name("/photos/food.tar.gz"), short_name("s3://bucket/pets/train-{000..012}.tar")
        ('food', 'pets')
        >>> short_name("https://example.org/food-11.zip?download=1")
        'food-11'
    """
    if isinstance(photos, str) and is_url(photos):
        parts = re.split(r"[?#]", photos.partition("://")[2])[0].rpartition("@")[2].split("/")
    else:
        parts = str(Path(photos).resolve()).split("/") if is_pattern(photos) else [Path(photos).resolve().name]
    plain = [part for part in parts if part and not _BRACES.search(part)]
    return _ODD.sub("_", plain[-1].split(".")[0]) if plain else ""

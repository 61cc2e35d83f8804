"""Digests of contents: they identify a photo regardless of its name and place.

Digests are stored with path and stamp, so an unchanged folder is not read again. A stamp holds size, both dates of the
last change and the number of the file: whoever unpacks other photos with equal sizes and dates changes the rest.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from thalweg._files import cache_folder, write_text
from thalweg.data.parallel import in_order
from thalweg.errors import BadImageError, StorageError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thalweg.data.sources import Source

# Traits: perhaps more than 8 bits for a number, perhaps transparent.
DEEP: Final = "d"
CLEAR: Final = "c"

DIGEST_BYTES = 16
_PNG_WITH_ALPHA = (4, 6)  # color types of the header
_PARTS = 4  # of a file's stamp: size, date of the content, date of the entry, number of the file


class Content(NamedTuple):
    """What is known about the content of a file.

    Attributes:
        digest: of all bytes.
        traits: from `traits_of`.
    """

    digest: str
    traits: str


def digest(content: bytes) -> str:
    """The 128-bit BLAKE2b digest of a content, as hexadecimal text."""
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def digest_file(path: Path) -> str:
    """The digest of a file of any length."""
    running = blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            running.update(block)
    return running.hexdigest()


def digests_of(
    source: Source, names: Sequence[str], *, folder: Path | None = None, workers: int | None = None
) -> list[str | None]:
    """The digest of each file; `None` for a file that cannot be read.

    Args:
        source: where the files are.
        names: which files.
        folder: the cache folder that stores digests; the user's by default.
        workers: threads; one per core by default.
    """
    found = contents_of(source, names, folder=folder, workers=workers)
    return [content and content.digest for content in found]


def contents_of(
    source: Source, names: Sequence[str], *, folder: Path | None = None, workers: int | None = None
) -> list[Content | None]:
    """What is known about the content of each file; `None` for a file that cannot be read."""
    memory = (folder or cache_folder()) / "digests" / f"{digest(str(source.path.resolve()).encode())}.json"
    known = _recall(memory)
    stamps = _trusted([source.stamp(name) for name in names])

    def look(position: int) -> Content | None:
        name, stamp = names[position], stamps[position]
        if stamp is not None and name in known and known[name][0] == stamp:
            return known[name][1]
        try:
            content = source.read(name)
        except BadImageError:
            return None
        return Content(digest(content), traits_of(content))

    found = list(in_order(look, range(len(names)), workers=workers))
    fresh = {
        name: (stamp, content)
        for name, stamp, content in zip(names, stamps, found, strict=True)
        if stamp is not None and content is not None
    }
    if any(known.get(name) != entry for name, entry in fresh.items()):
        _remember(memory, known | fresh)
    return found


def traits_of(content: bytes) -> str:
    """What the first bytes of a file say that pixels depend on: `DEEP`, `CLEAR`, both, or neither.

    Example:
        >>> traits_of(bytes.fromhex("ffd8ffe0")), traits_of(b"GIF89a"), traits_of(b"P5 2 2 4095 ")
        ('', 'c', 'd')
    """
    if content.startswith(b"\xff\xd8\xff"):
        return ""
    if content.startswith(b"\x89PNG"):
        bits, color = content[24:26].ljust(2, b"\0")
        clear = color in _PNG_WITH_ALPHA or content.find(b"tRNS", 0, max(content.find(b"IDAT"), 0)) >= 0
        return DEEP * (bits > 8) + CLEAR * clear
    if content.startswith(b"RIFF"):
        return CLEAR * (content[12:16] != b"VP8 ")
    if content.startswith(b"GIF8"):
        return CLEAR
    if content.startswith((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")):
        return DEEP
    return DEEP + CLEAR


def _trusted(stamps: list[str | None]) -> list[str | None]:
    """The stamps, or none at all where every file has one date in whole seconds, as in an image of a disk.

    Such dates say nothing: a file that was exchanged there has the stamp of the other.
    """
    dates: list[str] = []
    for stamp in stamps:
        if stamp is not None:
            parts = stamp.split("-")
            if len(parts) != _PARTS or (dates and parts[1:3] != dates):
                return stamps  # an archive's, or dates that differ: nearly always the second one does
            dates = parts[1:3]
    if len(stamps) > 1 and dates and dates[0] == dates[1] and dates[0].endswith("0" * 9):
        return [None] * len(stamps)
    return stamps


def _recall(memory: Path) -> dict[str, tuple[str, Content]]:
    try:
        entries = json.loads(memory.read_bytes())
        found = {name: (stamp, Content(known, traits)) for name, (stamp, known, traits) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # never written, of an older version, or damaged
    return found if all(_is_sound(*entry) for entry in found.values()) else {}


def _is_sound(stamp: object, content: Content) -> bool:
    digests = isinstance(content.digest, str) and len(content.digest) == 2 * DIGEST_BYTES
    return isinstance(stamp, str) and digests and content.traits in {"", DEEP, CLEAR, DEEP + CLEAR}


def _remember(memory: Path, entries: dict[str, tuple[str, Content]]) -> None:
    stored = {name: (stamp, *content) for name, (stamp, content) in entries.items()}
    try:
        write_text(memory, json.dumps(stored, ensure_ascii=False))
    except StorageError:
        return  # storing digests only saves time

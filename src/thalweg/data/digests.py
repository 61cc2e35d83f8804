"""Digests of contents: they identify a photo regardless of its name and place.

Digests are stored with path and stamp, so an unchanged folder is not read again. A stamp holds size, both dates of the
last change and the number of the file: whoever unpacks other photos with equal sizes and dates changes the rest.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from thalweg._files import cache_folder, replacing
from thalweg.data.parallel import in_order
from thalweg.errors import BadImageError, StorageError


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from thalweg.data.sources import Source
    from thalweg.data.walking import Progress

    _Entry = tuple[str | None, ...]  # stamp, digest, traits

# Traits: perhaps more than 8 bits for a number, perhaps transparent.
DEEP: Final = "d"
CLEAR: Final = "c"

DIGEST_BYTES = 16
_PNG_WITH_ALPHA = (4, 6)  # color types of the header
_AT_ONCE = 16  # files that a thread reads before it reports
_A_LINE = 4096  # files in a line of what is stored: a million at once take a gigabyte
_DAMAGE = (OSError, ValueError, TypeError, AttributeError, RecursionError)
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
    source: Source,
    names: Sequence[str],
    *,
    folder: Path | None = None,
    workers: int | None = None,
    stamps: Sequence[str | None] | None = None,
    progress: Progress | None = None,
) -> list[str | None]:
    """The digest of each file; `None` for a file that cannot be read.

    Args:
        source: where the files are.
        names: which files.
        folder: the cache folder that stores digests; the user's by default.
        workers: threads; one per core by default.
        stamps: of the files, from a look just before; taken here by default.
        progress: called with (files read, files to read).
    """
    memory = (folder or cache_folder()) / "digests" / f"{digest(str(source.path.resolve()).encode())}.json"
    return _look_up(source, names, memory, workers=workers, stamps=stamps, progress=progress)[0]


def contents_of(
    source: Source, names: Sequence[str], *, folder: Path | None = None, workers: int | None = None
) -> list[Content | None]:
    """What is known about the content of each file; `None` for a file that cannot be read."""
    memory = (folder or cache_folder()) / "digests" / f"{digest(str(source.path.resolve()).encode())}.json"
    digests, traits = _look_up(source, names, memory, workers=workers)
    return [None if one is None else Content(one, of_it) for one, of_it in zip(digests, traits, strict=True)]


def _look_up(
    source: Source,
    names: Sequence[str],
    memory: Path,
    *,
    workers: int | None,
    stamps: Sequence[str | None] | None = None,
    progress: Progress | None = None,
) -> tuple[list[str | None], list[str]]:
    """Digests and traits: those that are stored for files that have not changed since, else from reading the files."""
    stamps = _trusted([source.stamp(name) for name in names] if stamps is None else stamps)
    digests, traits = _recall(memory, names, stamps)
    unknown = [place for place, text in enumerate(digests) if text is None]

    def look(places: Sequence[int]) -> list[Content | None]:
        return [_content_of(source, names[place]) for place in places]

    read = 0
    parts = [unknown[start : start + _AT_ONCE] for start in range(0, len(unknown), _AT_ONCE)]
    for part, contents in zip(parts, in_order(look, parts, workers=workers), strict=True):
        for place, content in zip(part, contents, strict=True):
            if content is not None:
                digests[place], traits[place] = content.digest, content.traits
        read += len(part)
        if progress:
            progress(read, len(unknown))
    fresh = [place for place in unknown if stamps[place] is not None and digests[place] is not None]
    if fresh:
        entries = ((names[place], (stamps[place], digests[place], traits[place])) for place in fresh)
        _remember(memory, entries, {names[place] for place in fresh} if memory.exists() else set())
    return digests, traits


def _content_of(source: Source, name: str) -> Content | None:
    try:
        content = source.read(name)
    except BadImageError:
        return None
    return Content(digest(content), traits_of(content))


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


def _trusted(stamps: Sequence[str | None]) -> Sequence[str | None]:
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


def _recall(memory: Path, names: Sequence[str], stamps: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """Digests and traits that are stored for files that have not changed since; `None` for the others."""
    places = {name: place for place, name in enumerate(names)} if memory.exists() else {}
    digests: list[str | None] = [None] * len(names)
    traits = [""] * len(names)
    try:
        for known in _stored(memory):
            for name, (stamp, text, of_it) in known.items():
                place = places.get(name)
                if place is not None and stamps[place] == stamp:
                    digests[place], traits[place] = text, of_it or ""
    except _DAMAGE:  # never written, of an older version, or damaged
        with suppress(OSError):
            memory.unlink(missing_ok=True)
        return [None] * len(names), [""] * len(names)
    return digests, traits


def _stored(memory: Path) -> Iterator[dict[str, _Entry]]:
    """What is stored, some thousand files at a time: each line is an object of JSON.

    Raises:
        OSError, ValueError, TypeError, AttributeError, RecursionError: there is nothing, or it is damaged.
    """
    with memory.open("rb") as file:
        for line in file:
            known = json.loads(line)
            if not all(_is_sound(*entry) for entry in known.values()):
                raise ValueError(memory)
            yield known


def _is_sound(stamp: object, text: object, traits: object) -> bool:
    digests = isinstance(text, str) and len(text) == 2 * DIGEST_BYTES
    return isinstance(stamp, str) and digests and traits in ("", DEEP, CLEAR, DEEP + CLEAR)


def _remember(memory: Path, fresh: Iterator[tuple[str, _Entry]], replaced: Collection[str]) -> None:
    """Store what was read, behind what is stored of other files; `replaced` are the names of the files read."""
    try:
        with replacing(memory) as temporary, temporary.open("w", encoding="utf-8") as file:
            for known in _stored(memory) if memory.exists() else ():
                _write(file, {name: entry for name, entry in known.items() if name not in replaced})
            while some := dict(islice(fresh, _A_LINE)):
                _write(file, some)
    except (StorageError, *_DAMAGE):
        return  # storing digests only saves time


def _write(file: IO[str], entries: Mapping[str, _Entry]) -> None:
    if entries:
        file.write(f"{json.dumps(entries, ensure_ascii=False)}\n")

"""Digests of contents: they identify a photo regardless of its name and place.

Digests are stored with path and stamp (size and time of change), so an unchanged folder is not read again.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

from thalweg._files import cache_folder, write_text
from thalweg.data.parallel import in_order
from thalweg.errors import BadImageError, StorageError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thalweg.data.sources import Source

_DIGEST_BYTES = 16


def digest(content: bytes) -> str:
    """The 128-bit BLAKE2b digest of a content, as hexadecimal text."""
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def digest_file(path: Path) -> str:
    """The digest of a file of any length."""
    running = blake2b(digest_size=_DIGEST_BYTES)
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
    memory = (folder or cache_folder()) / "digests" / f"{digest(str(source.path.resolve()).encode())}.json"
    known = _recall(memory)
    stamps = [source.stamp(name) for name in names]

    def digest_now(position: int) -> str | None:
        name, stamp = names[position], stamps[position]
        if stamp is not None and known.get(name, ("", ""))[0] == stamp:
            return known[name][1]
        try:
            return digest(source.read(name))
        except BadImageError:
            return None

    found = list(in_order(digest_now, range(len(names)), workers=workers))
    fresh = {
        name: (stamp, content)
        for name, stamp, content in zip(names, stamps, found, strict=True)
        if stamp is not None and content is not None
    }
    if any(known.get(name) != entry for name, entry in fresh.items()):
        _remember(memory, known | fresh)
    return found


def _recall(memory: Path) -> dict[str, tuple[str, str]]:
    try:
        return {name: (stamp, content) for name, (stamp, content) in json.loads(memory.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # never written, or damaged


def _remember(memory: Path, entries: dict[str, tuple[str, str]]) -> None:
    try:
        write_text(memory, json.dumps(entries, ensure_ascii=False))
    except StorageError:
        return  # storing digests only saves time

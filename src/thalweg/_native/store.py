"""Bitcode and object files on disk, each named after what it was compiled from, each with its checksum.

They hold code, so only files that belong to the user who runs this are read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from thalweg._files import cache_folder, write_bytes
from thalweg.errors import StorageError


if TYPE_CHECKING:
    from pathlib import Path

KEPT = 2_000
"""Number of files kept; past it the oldest half goes."""

_MAGIC = b"thalweg-kernel-1\n"


def folder() -> Path:
    """Where kernels are kept, in the user's folder of caches."""
    return cache_folder() / "kernels"


def read(key: str) -> bytes | None:
    """The content of a file; `None` when there is none, it is damaged, or it is another user's."""
    path = folder() / key
    try:
        content = path.read_bytes() if _is_ours(path) else b""
    except OSError:
        return None
    head = len(_MAGIC) + sha256().digest_size
    body = content[head:]
    return body if content[:head] == _MAGIC + sha256(body).digest() else None


def write(key: str, body: bytes) -> None:
    """Keep a file; where the folder cannot be written, nothing is kept and nothing fails."""
    with suppress(StorageError):
        write_bytes(folder() / key, _MAGIC + sha256(body).digest() + body)
    with suppress(OSError):
        _drop_the_oldest()


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _drop_the_oldest() -> None:
    files = list(folder().iterdir())
    if len(files) > KEPT:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) // 2]:
            path.unlink(missing_ok=True)

"""Object files on disk, each named after what it was compiled from, each with its checksum."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from thalweg._files import write_bytes
from thalweg.errors import StorageError


KEPT = 2_000
"""Number of files kept; past it the oldest half goes."""

_MAGIC = b"thalweg-kernel-1\n"


def folder() -> Path:
    """Where kernels are kept: `$THALWEG_KERNELS`, else the user's cache folder."""
    chosen = os.environ.get("THALWEG_KERNELS")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "thalweg" / "kernels"


def read(key: str) -> bytes | None:
    """The object file of a key; `None` when there is none, or it is damaged."""
    try:
        content = (folder() / key).read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + sha256().digest_size
    body = content[head:]
    return body if content[:head] == _MAGIC + sha256(body).digest() else None


def write(key: str, body: bytes) -> None:
    """Keep an object file; where the folder cannot be written, nothing is kept and nothing fails."""
    with suppress(StorageError):
        write_bytes(folder() / key, _MAGIC + sha256(body).digest() + body)
    with suppress(OSError):
        _drop_the_oldest()


def _drop_the_oldest() -> None:
    files = list(folder().iterdir())
    if len(files) > KEPT:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) // 2]:
            path.unlink(missing_ok=True)

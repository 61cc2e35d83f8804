"""Atomic writes, locks that end with their process, and the cache folder."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from thalweg.errors import StorageError


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Iterator

CAN_HOLD = fcntl is not None  # whether this system has locks that end with their process
_ATTEMPTS = 20


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed over `path`, else removed.

    A reader sees the old file or the new one, never part of one, even if the writing process is killed.

    Raises:
        StorageError: the folder is not writable, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise StorageError("errors.cannot_write", path=path, reason=error.strerror or error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; ours are ordinary
        temporary.replace(path)
    except OSError as error:
        raise StorageError("errors.cannot_write", path=path, reason=error.strerror or error) from error
    finally:
        temporary.unlink(missing_ok=True)


def hold(file: IO[bytes]) -> bool:
    """Lock an open file for this process until the file is closed or the process dies.

    Returns:
        False if another process holds the lock. Always True on a system without such locks.
    """
    for _ in range(_ATTEMPTS):
        if _lock(file, shared=False):
            return True
        time.sleep(0.01)  # `is_held` of another process takes the lock for a moment
    return False


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on a file."""
    try:
        with path.open("rb") as file:
            return not _lock(file, shared=True)
    except OSError:
        return False


def _lock(file: IO[bytes], *, shared: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EAGAIN, errno.EACCES}  # others: a file system without locks
    return True


def cache_folder() -> Path:
    """The folder of caches: `THALWEG_CACHE`, else `thalweg` in `XDG_CACHE_HOME`, else in `~/.cache`."""
    own = os.environ.get("THALWEG_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thalweg"


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, content: str) -> None:
    """Write `content` as UTF-8 to `path` whole or not at all."""
    write_bytes(path, content.encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

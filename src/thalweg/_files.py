"""Atomic writes, locks that end with their process, and the cache folder."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from thalweg.errors import StorageError


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

CAN_HOLD = fcntl is not None  # whether this system has locks that end with their process
_ATTEMPTS = 20
# What `replacing` leaves when its process is killed: `.NAME.` and eight characters of `mkstemp`.
_PART: Final = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part")
_JUST_MADE_S: Final = 1.0  # an empty part may not be locked yet
_ABANDONED_S: Final = 3600.0  # where locks do not tell: a part untouched for so long


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed over `path`, else removed.

    A reader sees the old file or the new one, never part of one, even if the writing process is killed. What a killed
    process left of the same file is removed.

    Raises:
        StorageError: the folder is not writable, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, path.name)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise StorageError("errors.cannot_write", path=path, reason=error.strerror or error) from error
    temporary = Path(name)
    _lock(handle, shared=True)  # until the end: whoever finds the part knows that it is being written
    if fcntl is None:
        os.close(handle)  # Windows replaces no open file
    try:
        yield temporary
        with temporary.open("r+b") as written:  # Windows syncs only what is open for writing
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; ours are ordinary
        _put(temporary, path)
    except OSError as error:
        raise StorageError("errors.cannot_write", path=path, reason=error.strerror or error) from error
    finally:
        if fcntl is not None:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """Rename a file over another; where a reader's open file is in the way, as on Windows, wait for it a moment."""
    for attempt in range(_ATTEMPTS):
        try:
            temporary.replace(path)
        except PermissionError:
            if fcntl is not None or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.01)
        else:
            return


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the parts that killed processes left in a folder; those that a process still writes stay.

    Args:
        folder: the folder; folders below it are not searched.
        name: only parts of this file; None: of any.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            part = _PART.fullmatch(entry.name)
            if part and name in {None, part["name"]} and entry.is_file(follow_symlinks=False) and _is_abandoned(entry):
                with suppress(OSError):
                    os.unlink(entry)  # noqa: PTH108 - scandir gives no Path


def is_part(name: str) -> bool:
    """Whether a file has the name of a part.

    Example:
        >>> is_part(".summary.json.x3k_9a2b.part"), is_part("movie.part")
        (True, False)
    """
    return bool(_PART.fullmatch(name))


def _is_abandoned(part: os.DirEntry[str]) -> bool:
    status = part.stat()
    if not status.st_size and time.time() - status.st_mtime < _JUST_MADE_S:
        return False
    if fcntl is not None:
        with suppress(OSError), Path(part.path).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in {errno.EAGAIN, errno.EACCES}:
                    return False  # being written
            else:
                return True
    return time.time() - status.st_mtime > _ABANDONED_S


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


def can_hold(path: Path) -> bool:
    """Whether a lock on a file tells who holds it: Windows has none that do, nor have some file systems of networks."""
    if fcntl is None:
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in {errno.EAGAIN, errno.EACCES}
    return True


def _lock(file: IO[bytes] | int, *, shared: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EAGAIN, errno.EACCES}  # others: a file system without locks
    return True


def cache_folder() -> Path:
    """The folder of caches.

    `THALWEG_CACHE`, else `thalweg` in `XDG_CACHE_HOME`, else in `~/.cache`; for a user without a home, as containers
    have them, a folder of its own among the temporary ones.

    Raises:
        StorageError: there is no home, and another user has taken that folder's name.
    """
    own = os.environ.get("THALWEG_CACHE")
    try:
        if own:
            return Path(own).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thalweg"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return _cache_without_home()


def _cache_without_home() -> Path:
    """A folder that only this user can write: compiled kernels are loaded from it."""
    folder = Path(tempfile.gettempdir()) / f"thalweg-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StorageError("errors.no_cache", path=folder, reason=error.strerror or error) from error
    is_own = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
    if not (stat.S_ISDIR(status.st_mode) and is_own):
        raise StorageError("errors.cache_taken", path=folder)
    return folder


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, content: str) -> None:
    """Write `content` as UTF-8 to `path` whole or not at all."""
    write_bytes(path, content.encode())


def unnamed_file(folder: Path, size: int) -> FileIO:
    """A file without a name and without a buffer, which ends when it is closed.

    Args:
        folder: where it is; the system's folder for temporary files if nothing can be written there.
        size: bytes that it will have; they are reserved where the system can.

    Raises:
        StorageError: the disk is full.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - the caller closes it
    except OSError:
        folder = Path(tempfile.gettempdir())
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - as above
    try:
        if hasattr(os, "posix_fallocate"):  # a hole that the disk cannot fill later would kill who has mapped it
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        file.close()
        reason = error.strerror or error
        raise StorageError("errors.no_room_for_array", path=folder, needed=size / 1e9, reason=reason) from error
    return file


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

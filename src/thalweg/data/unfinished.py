"""The folder in which a cache is built, beside its place; of a build that was cut off, it waits for the next one."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from thalweg._files import CAN_HOLD, can_hold, hold, is_held
from thalweg.data.segments import records_in


if TYPE_CHECKING:
    from collections.abc import Iterator

_ABANDONED_S = 3600.0  # a build writes all the time: a `.part` untouched for an hour was killed
_FORGOTTEN_S = 7 * 86_400.0  # nobody comes back for its finished segments
_LOCK: Final = "lock"  # the file that a build holds
_UNHELD: Final = "lock.new"  # before it does


def left_overs(home: Path) -> list[Path]:
    """The folders of builds of this cache that were cut off; where locks do not tell, those untouched for an hour."""
    return [part for part in sorted(home.parent.glob(f".{home.name}.*.part")) if _is_left(part)]


def bytes_left(home: Path) -> int:
    """What builds of this cache that were cut off take on the disk."""
    return sum(_bytes_of(path) for part in left_overs(home) for path in part.glob("*"))


def remove_left_overs(home: Path) -> None:
    """Remove what builds of this cache that were cut off have left: nobody will go on with them."""
    for part in left_overs(home):
        if lock := _taken(part):
            with lock:
                _release(lock)
                shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def claimed(home: Path) -> Iterator[Path]:
    """A folder to build in, at its place afterwards: that of a build that was cut off, or a new one.

    It is locked until it is at its place or gone, so that no other process takes it. After a failure it stays if a
    segment is finished.
    """
    part, lock = _left_over(home) or _new(home)
    with lock:
        try:
            yield part
            _release(lock)
            _publish(part, home)
        finally:
            if not records_in(part):
                _release(lock)
                shutil.rmtree(part, ignore_errors=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what builds of any cache have left that nobody goes on with: after an hour, or a week for segments."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if _age_s(part) > (_FORGOTTEN_S if records_in(part) else _ABANDONED_S) and not is_held(part / _LOCK):
                shutil.rmtree(part, ignore_errors=True)


def _left_over(home: Path) -> tuple[Path, IO[bytes]] | None:
    """The folder of a build of the same cache that was cut off: of several, the one with the most segments."""
    taken = ((part, _taken(part)) for part in sorted(left_overs(home), key=records_in, reverse=True))
    return next(((part, lock) for part, lock in taken if lock is not None), None)


def _new(home: Path) -> tuple[Path, IO[bytes]]:
    part = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{home.name}.", suffix=".part"))
    made = part / (_UNHELD if CAN_HOLD else _LOCK)
    lock = made.open("xb")
    hold(lock)
    if CAN_HOLD:
        made.rename(part / _LOCK)  # once it is held: whoever finds a free lock may take the folder
    return part, lock


def _is_left(part: Path) -> bool:
    """Whether nobody builds in a folder; one without a lock is being made, or about to be at its place."""
    lock = part / _LOCK
    with contextlib.suppress(OSError):  # it may go away meanwhile
        return lock.exists() and (not is_held(lock) if can_hold(lock) else _age_s(part) > _ABANDONED_S)
    return False


def _taken(part: Path) -> IO[bytes] | None:
    """Lock the folder of a build that was cut off; None if another process has it."""
    with contextlib.suppress(OSError):
        lock = (part / _LOCK).open("r+b")
        if hold(lock) and (part / _LOCK).exists():
            return lock
        lock.close()
    return None


def _release(lock: IO[bytes]) -> None:
    """Close the lock where a folder with an open file can neither move nor go."""
    if not CAN_HOLD:
        lock.close()


def _publish(part: Path, home: Path) -> None:
    part.chmod(0o755)  # mkdtemp creates private folders; caches may be shared
    (part / _LOCK).unlink(missing_ok=True)
    try:
        part.rename(home)
    except OSError:
        if not home.exists():  # else another process was faster, with the same content
            raise


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # taken by another build meanwhile
        return 0


def _age_s(part: Path) -> float:
    """Seconds since something was written."""
    return time.time() - max(path.stat().st_mtime for path in (part, *part.rglob("*")))

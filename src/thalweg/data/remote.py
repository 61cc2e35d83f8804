"""Sets of photos at an address: copied once into the cache, file by file, and checked.

`http` and `https` need nothing else; every other address (`hf://`, `s3://`, …) is read by fsspec and the package for
that storage. A copy is a folder with a list of its files, their versions, sizes and checksums: a copy that was cut is
continued, a file that changed there is copied again, and one that changed here is noticed.
Source: https://filesystem-spec.readthedocs.io.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from thalweg._files import cache_folder, hold, write_text
from thalweg.data.addresses import short_name, without_password
from thalweg.data.digests import digest
from thalweg.data.download import Total, name_in, worth_fetching
from thalweg.data.parallel import in_order
from thalweg.data.shards import COMPANIONS, expanded
from thalweg.data.sources import Note, points_outside
from thalweg.data.transfer import Patience, download, sha256_of
from thalweg.errors import DataError, MissingExtraError, StorageError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WEB: Final = ("http://", "https://")
_LIST: Final = "files.json"
_LOCK: Final = "lock"
_CONNECTIONS: Final = 4
_KEPT_FREE: Final = 1 << 30  # bytes of the disk that a copy leaves
_BLOCK: Final = 1 << 20
_AHEAD: Final = 8 << 20  # bytes for each request
_WAIT_S: Final = 0.2
_EVERY_S: Final = 1.0  # between two writings of the list
_ROW: Final = {"path", "size", "version", "sha256", "stamp"}  # of the list


# What `bring` has copied, until it is opened.
_brought: dict[tuple[Path, str], Copy] = {}


class Copy(NamedTuple):
    """A copy of a set in the cache.

    Attributes:
        path: the folder or the file, for `open_images`.
        notes: what the user should know about it.
    """

    path: Path
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class _File:
    """A file of the set.

    Attributes:
        path: within the set.
        url: its address.
        size: in bytes, if known.
        version: the storage's mark of its content, if it has one.
        sha256: of the content, if the storage states it.
        place: its name in the storage.
    """

    path: str
    url: str
    size: int | None = None
    version: str | None = None
    sha256: str | None = None
    place: str = ""


@dataclass(frozen=True)
class _Stream:
    """Reads a file of a storage from any place; see `transfer.Stream`."""

    system: Any
    file: _File

    @property
    def version(self) -> str | None:
        return self.file.version

    @property
    def size(self) -> int | None:
        return self.file.size

    def blocks(self, start: int) -> Iterator[bytes]:
        with _telling(self.file.url):
            opened = self.system.open(self.file.place, "rb", block_size=_AHEAD)
            opened.seek(start)
        with opened:
            while block := self._block(opened):
                yield block

    def _block(self, opened: Any) -> bytes:
        with _telling(self.file.url):
            return opened.read(_BLOCK)


def local_copy(
    url: str, *, progress: Callable[[int, int], None] | None = None, patience: Patience | None = None
) -> Copy:
    """Copy a set of photos into the cache, or continue to, or find what is there.

    Args:
        url: of a file, of a folder (not by `http`), or a pattern of shards with braces.
        progress: called with (bytes done, bytes in total).
        patience: how long to keep trying when a connection breaks.

    Returns:
        The copy. If the storage cannot be reached but the copy is whole, a note says so.

    Raises:
        DataError: there is nothing at the address, it cannot be reached, or a size or checksum is wrong.
        MissingExtraError: fsspec, or the package for this storage, is not installed.
        StorageError: the cache cannot be written, or the set does not fit on the disk.
    """
    home = cache_folder() / "remote" / digest(url.encode())[:16]
    with _locked(home):
        known = _remembered(home, url)
        notes: tuple[Note, ...] = ()
        try:
            system, files = _listed(url)
        except DataError as error:
            if not known or not all(_is_same(home, one) for one in known.values()):
                raise
            notes = (Note("data.note_remote_offline", {"url": without_password(url), "reason": error}),)
            return Copy(_opens(home, url, list(known)), notes)
        _fetch(home, url, system, files, known, progress=progress, patience=patience)
    return Copy(_opens(home, url, [file.path for file in files]), notes)


def bring(url: str, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy a set as `local_copy` does, for `take` to find: a storage of a million files is slow to list."""
    _brought[cache_folder(), url] = local_copy(url, progress=progress)


def take(url: str) -> Copy:
    """Return what `bring` has copied just before, once; else copy it."""
    return _brought.pop((cache_folder(), url), None) or local_copy(url)


def _fetch(
    home: Path,
    url: str,
    system: Any,
    files: list[_File],
    known: dict[str, dict[str, Any]],
    *,
    progress: Callable[[int, int], None] | None,
    patience: Patience | None,
) -> None:
    wanted = [file for file in files if not _is_fresh(home, file, known.get(file.path))]
    needed = sum(file.size or 0 for file in wanted)
    if wanted and needed + _KEPT_FREE > shutil.disk_usage(home).free:
        raise StorageError("data.remote_fills_disk", url=without_password(url), path=home, size=-(-needed >> 20))
    watch = Total(progress, needed)
    base = home / _name(url)
    stale = {file.path for file in wanted} | (known.keys() - {file.path for file in files})
    ledger = _Ledger(home, url, {path: row for path, row in known.items() if path not in stale})
    for path in stale:
        (base / path).unlink(missing_ok=True)  # of another version, damaged, or gone there

    def fetch(file: _File) -> None:
        path = base / file.path
        stream = None if system is None else _Stream(system, file)
        told = watch.of(file.path)
        stated = file.sha256
        download(file.url, path, sha256=stated, size=file.size, progress=told, patience=patience, stream=stream)
        sha256 = stated.lower() if stated else sha256_of(path)
        ledger.enter(file.path, size=path.stat().st_size, version=file.version, sha256=sha256, stamp=_stamp(path))

    try:
        for _ in in_order(fetch, wanted, workers=_CONNECTIONS):
            pass
    finally:
        if stale:
            ledger.write()


class _Ledger:
    """The list of the files of a copy, written now and then, so that a cut keeps what is whole."""

    def __init__(self, home: Path, url: str, rows: dict[str, dict[str, Any]]) -> None:
        self._path, self._url, self._rows = home / _LIST, url, rows
        self._lock = threading.Lock()
        self._written = 0.0

    def enter(self, path: str, **row: Any) -> None:
        """Note a whole file."""
        with self._lock:
            self._rows[path] = {"path": path, **row}
            if time.monotonic() - self._written > _EVERY_S:
                self.write()

    def write(self) -> None:
        """Write the list."""
        stored = [{name: row[name] for name in sorted(_ROW)} for row in self._rows.values()]
        write_text(self._path, json.dumps({"url": self._url, "files": stored}, indent=1))
        self._written = time.monotonic()


def _is_fresh(home: Path, file: _File, row: dict[str, Any] | None) -> bool:
    """Whether the copy of a file is whole and of the version that the storage has now."""
    if row is None or not _is_same(home, row):
        return False
    if file.size not in (None, row["size"]) or (file.sha256 and file.sha256.lower() != row["sha256"]):
        return False
    return file.version is None or file.version == row["version"]


def _is_same(home: Path, row: dict[str, Any]) -> bool:
    """Whether a file of the copy is the one that was copied; a changed date is looked into by the checksum."""
    path = home / row["name"] / row["path"]
    try:
        if path.stat().st_size != row["size"]:
            return False
        return _stamp(path) == row["stamp"] or sha256_of(path) == row["sha256"]
    except OSError:
        return False


def _listed(url: str) -> tuple[Any, list[_File]]:
    """The storage (`None`: the web) and the files at an address that hold photos or say something about them.

    Raises:
        DataError: there are none, or they cannot be listed.
    """
    urls = expanded(url)
    if url.lower().startswith(_WEB):
        return None, _told_apart([_on_the_web(one) for one in urls])
    shown = without_password(url)
    try:
        with _telling(url):
            system = _storage(urls[0])
        files = [file for one in urls for file in _found(system, one)]
    except OSError as error:
        raise DataError("data.remote_unreachable", url=shown, reason=error) from error
    outside = next((file for file in files if points_outside(file.path)), None)
    if outside:
        raise DataError("data.get_bad_name", url=shown, name=outside.path)
    taken = worth_fetching(files)
    if not taken:
        raise DataError("data.remote_nothing", url=shown)
    there = {file.path for file in taken}
    taken += [file for file in files if file.path in COMPANIONS and file.path not in there]
    return system, _told_apart(taken)


def _storage(url: str) -> Any:
    """What reads the files of an address.

    Raises:
        DataError: there is no such kind of address, or its package is missing.
        MissingExtraError: fsspec is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError("fsspec", "remote") from error
    try:
        return url_to_fs(url)[0]
    except ImportError as error:
        raise DataError("data.remote_package", url=without_password(url), reason=error) from error
    except ValueError as error:
        raise DataError("data.remote_unknown", url=without_password(url), reason=error) from error


def _on_the_web(url: str) -> _File:
    """The file at a URL.

    Raises:
        DataError: it has no host, or no name of a file.
    """
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port or 0) >= 0  # a port that is no number raises
        name = name_in(url) or "photos"
    except ValueError:
        is_whole, name = False, ""
    if not is_whole or points_outside(name):
        raise DataError("data.get_bad_url", url=without_password(url))
    return _File(name, url)


def _found(system: Any, url: str) -> list[_File]:
    """The files below an address."""
    with _telling(url):
        root = system._strip_protocol(url)  # noqa: SLF001 - fsspec has no other name for it
        system.invalidate_cache()  # a long-lived process sees what is there now
        found = system.find(root, detail=True)
        if not found:
            raise DataError("data.remote_gone", url=without_password(url))
        return [
            _file(place, facts if "size" in facts else system.info(place), root, url) for place, facts in found.items()
        ]


def _told_apart(files: list[_File]) -> list[_File]:
    """The files of a pattern of folders with a number before each name, where two would have one."""
    if len({file.path for file in files}) == len(files):
        return files
    return [replace(file, path=f"{number}/{file.path}") for number, file in enumerate(files)]


def _file(place: str, facts: dict[str, Any], root: str, url: str) -> _File:
    path = place[len(root) :].lstrip("/") if place != root else PurePosixPath(place).name
    lfs = facts.get("lfs") or {}
    sha256 = facts.get("sha256") or (lfs.get("sha256") or lfs.get("oid") if isinstance(lfs, dict) else lfs.sha256)
    marks = (facts.get(name) for name in ("ETag", "etag", "blob_id", "md5Hash", "mtime", "LastModified", "created"))
    version = next((str(mark) for mark in marks if mark is not None), None)
    whole = url if place == root else f"{url.rstrip('/')}/{path}"
    return _File(path, whole, facts.get("size"), version, sha256, place)


@contextmanager
def _telling(url: str) -> Iterator[None]:
    """Turn whatever a storage raises into an error of two kinds: definite, or a connection that broke.

    Raises:
        DataError: there is no such file, or no right to read it.
        OSError: anything else.
    """
    try:
        yield
    except (DataError, MissingExtraError, StorageError):
        raise
    except Exception as error:  # each storage has errors of its own
        raise _told(error, url) from error


def _told(error: Exception, url: str) -> DataError | OSError:
    """The error of a storage as one of ours; many hide the answer of a server in one of a kind of their own."""
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status", None)
    reason = " ".join(str(error).split()) or type(error).__name__  # some have lines of advice
    if isinstance(error, FileNotFoundError) or status in {404, 410}:
        return DataError("data.remote_gone", url=without_password(url))
    if isinstance(error, PermissionError) or status in {401, 403}:
        return DataError("data.remote_denied", url=without_password(url), reason=reason)
    return OSError(reason)


def _name(url: str) -> str:
    return short_name(url) or "photos"


def _opens(home: Path, url: str, paths: list[str]) -> Path:
    base = home / _name(url)
    return base / paths[0] if len(paths) == 1 and "/" not in paths[0] else base


def _stamp(path: Path) -> str:
    return f"{path.stat().st_size}-{path.stat().st_mtime_ns}"


def _remembered(home: Path, url: str) -> dict[str, dict[str, Any]]:
    """The files of an earlier copy, by path."""
    try:
        notes = json.loads((home / _LIST).read_bytes())
        rows = {row["path"]: row | {"name": _name(url)} for row in notes["files"] if not points_outside(row["path"])}
        return rows if notes["url"] == url and all(row.keys() >= _ROW for row in rows.values()) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Let one process copy at a time; the others wait for its copy."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / _LOCK).open("ab")
    except OSError as error:
        raise StorageError("errors.cannot_write", path=home, reason=error.strerror or error) from error
    with lock:
        while not hold(lock):
            time.sleep(_WAIT_S)
        yield

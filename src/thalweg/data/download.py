"""Download a set of photos: the homework's, from ModelScope or from a URL that the user gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from thalweg.data.parallel import in_order
from thalweg.data.shards import is_shard
from thalweg.data.sources import is_picture, points_outside
from thalweg.data.transfer import Patience, download
from thalweg.errors import DataError, UnknownNameError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODELSCOPE = "https://www.modelscope.cn"
# Data sets by name: their owner and name on ModelScope.
SETS = {"food11": "Datawhale/LeeDL-HW3-CNN"}

_PAGE = 200
_CONNECTIONS = 8  # photos are small: most of the time is waiting for the server
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Fetched:
    """The files of a download.

    Attributes:
        folder: the folder of the files.
        files: the files.
        opens: the path for `open_images`: the archive if there is one, else the folder.
    """

    folder: Path
    files: tuple[Path, ...]
    opens: Path

    def to_json(self) -> dict[str, Any]:
        """The paths as JSON types."""
        return {"folder": str(self.folder), "files": [str(file) for file in self.files], "opens": str(self.opens)}


class _Named(Protocol):
    @property
    def path(self) -> str: ...


File = TypeVar("File", bound=_Named)


class RemoteFile(NamedTuple):
    """A file of a data set on a server.

    Attributes:
        path: within the data set.
        url: its address.
        size: in bytes, if known.
        sha256: hexadecimal, if known.
    """

    path: str
    url: str
    size: int | None
    sha256: str | None


def get_set(
    name: str,
    *,
    out: Path | str,
    url: str | None = None,
    sha256: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    server: str = MODELSCOPE,
    patience: Patience | None = None,
) -> Fetched:
    """Download a set of photos into a folder; existing files are kept, interrupted downloads are continued.

    Args:
        name: the set; only `food11` is known.
        out: the folder.
        url: download this file instead of those on ModelScope.
        sha256: the expected checksum of the file from `url`.
        progress: called with (bytes done, bytes in total).
        server: address of ModelScope.
        patience: how long to keep trying when a connection breaks.

    Raises:
        UnknownNameError: there is no such set.
        DataError: the server refuses or cannot be reached, or a checksum is wrong.
        StorageError: a file cannot be written.
    """
    if name not in SETS:
        raise UnknownNameError("data_set", name, SETS)
    out = Path(out)
    if url is not None:
        remote = [RemoteFile(name_in(url) or f"{name}.zip", url, None, sha256)]
    else:
        remote = worth_fetching(list(list_modelscope(SETS[name], server=server)))
        if not remote:
            raise DataError("data.get_nothing_there", url=f"{server}/datasets/{SETS[name]}")
    watch = Total(progress, sum(file.size or 0 for file in remote))

    def fetch(file: RemoteFile) -> Path:
        path = out / file.path
        download(file.url, path, sha256=file.sha256, size=file.size, progress=watch.of(file.path), patience=patience)
        return path

    files = tuple(in_order(fetch, remote, workers=_CONNECTIONS))
    return Fetched(out, files, files[0] if len(files) == 1 else out)


def list_modelscope(dataset: str, *, server: str = MODELSCOPE) -> Iterator[RemoteFile]:
    """The files of a data set on ModelScope, folder by folder.

    Args:
        dataset: `owner/name`.
        server: address of ModelScope.

    Raises:
        DataError: there is no such data set, or the answer is malformed.
    """
    folders = [""]
    while folders:
        for entry in _list_folder(dataset, folders.pop(), server):
            path = entry["Path"]
            if points_outside(path):
                raise DataError("data.get_bad_name", url=f"{server}/datasets/{dataset}", name=path)
            if entry.get("Type") == "tree":
                folders.append(path)
            else:
                query = urlencode({"Revision": "master", "FilePath": path}, quote_via=quote)
                url = f"{server}/api/v1/datasets/{dataset}/repo?{query}"
                yield RemoteFile(path, url, entry.get("Size") or None, entry.get("Sha256") or None)


def name_in(url: str) -> str:
    """The file name in a URL: its last part, or ModelScope's `FilePath`.

    Example:
        >>> name_in("https://example.org/sets/food-11.zip?download=1")
        'food-11.zip'
        >>> name_in("https://example.org/repo?Revision=master&FilePath=a/food.tar")
        'food.tar'
    """
    parts = urlsplit(url)
    named = parse_qs(parts.query).get("FilePath", [parts.path])[0]
    return PurePosixPath(named).name


def worth_fetching(files: list[File]) -> list[File]:
    """Of the files of a set, the archives and Parquet files; if there are none, the photos and tables."""
    packed = [file for file in files if file.path.lower().endswith(".zip") or is_shard(file.path)]
    return packed or [file for file in files if is_picture(file.path) or file.path.endswith((".csv", "classes.txt"))]


def _list_folder(dataset: str, folder: str, server: str) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    page = 1
    while True:
        query = urlencode({"Revision": "master", "Root": folder, "PageNumber": page, "PageSize": _PAGE})
        entries = _ask(f"{server}/api/v1/datasets/{dataset}/repo/tree?{query}")
        fresh = [entry for entry in entries if entry["Path"] not in seen]
        yield from fresh
        seen.update(entry["Path"] for entry in fresh)
        if len(entries) < _PAGE or not fresh:  # a server without pages sends the first one again
            return
        page += 1


def _ask(url: str) -> list[dict[str, Any]]:
    try:
        with urlopen(Request(url, headers={"User-Agent": "thalweg"}), timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http
            files = json.loads(answer.read())["Data"]["Files"] or []
            return [{"Path": str(entry["Path"]), **entry} for entry in files]
    except HTTPError as error:
        error.close()  # it holds the connection
        raise DataError("data.get_no_list", url=url, reason=f"{error.code} {error.reason}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError("data.get_no_list", url=url, reason=error) from error


class Total:
    """Adds up the progress of concurrent downloads.

    Args:
        progress: called with (bytes done, bytes in total).
        total: bytes in total; 0 if unknown.
    """

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done: dict[str, int] = {}
        self._lock = Lock()

    def of(self, path: str) -> Callable[[int, int], None] | None:
        """The callback for one file."""
        if self._progress is None:
            return None
        report = self._progress

        def advance(done: int, total: int) -> None:
            with self._lock:
                self._done[path] = done
                report(sum(self._done.values()), self._total or total)

        return advance

"""Download one file, over HTTP or as a stream of another storage; an interrupted download is continued.

Received bytes are kept in `<name>.part`, with the server's mark of the version (ETag or Last-Modified) in a file beside
it. The rest is requested on condition that the version is unchanged (RFC 9110, sections 13.1.5 and 14.2); a server
without this feature sends the whole file, which replaces the part. The file gets its name once it is whole and, where
a checksum is known, matches it.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from hashlib import sha256 as new_sha256
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from thalweg._files import write_text
from thalweg.data.addresses import without_password
from thalweg.errors import DataError, StorageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCK = 1 << 18
_TIMEOUT_S = 30.0
_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to keep trying.

    Attributes:
        attempts: consecutive failures without a byte in between, after which the download fails.
        pause_s: seconds before the second attempt; doubled for each further one.
    """

    attempts: int = 5
    pause_s: float = 1.0


class Stream(Protocol):
    """A file of another storage.

    Attributes:
        version: a mark of exactly these bytes; `None` if the storage has none, so that a cut starts over.
        size: in bytes, if known.
    """

    @property
    def version(self) -> str | None:
        """The mark."""
        ...

    @property
    def size(self) -> int | None:
        """The size."""
        ...

    def blocks(self, start: int) -> Iterator[bytes]:
        """The bytes from a place on.

        Raises:
            DataError: there is no such file, or no right to read it.
            OSError: the connection broke.
        """
        ...


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    patience: Patience | None = None,
    stream: Stream | None = None,
) -> None:
    """Download a file, unless it exists already.

    Args:
        url: `http` or `https`; with a stream, any name for errors.
        path: the target. An existing file is kept if its size and checksum match, as far as they are known.
        sha256: the expected checksum, hexadecimal.
        size: the expected size, in bytes.
        progress: called with (bytes done, bytes in total; 0 if unknown).
        patience: how long to keep trying when the connection breaks.
        stream: reads the file where the URL is not one of HTTP.

    Raises:
        DataError: the server refuses or cannot be reached, or the checksum is wrong. Unless the checksum is wrong, the
            received bytes are kept and the next call continues from there.
        StorageError: the file cannot be written.
        UsageError: the URL is not `http` or `https`.
    """
    if stream is None and urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError("data.get_bad_url", url=without_password(url))
    if path.exists() and size in {None, path.stat().st_size} and (sha256 is None or sha256_of(path) == sha256.lower()):
        if progress:
            progress(path.stat().st_size, path.stat().st_size)
        return
    part = _Part(path, url)
    ask = partial(_ask, part, url) if stream is None else partial(_copy, part, stream)
    _fetch(part, without_password(url), partial(ask, progress or _ignore), patience or Patience())
    expected, found = sha256 and sha256.lower(), sha256_of(part.path)
    if size not in {None, part.size()}:
        expected, found = f"{size:,} B", f"{part.size():,} B"
    if expected not in {None, found}:
        part.discard()
        raise DataError("data.get_checksum", url=without_password(url), expected=expected, found=found)
    part.finish()


class _Part:
    """The received part of a file, and its version."""

    def __init__(self, target: Path, url: str) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._notes = target.with_name(target.name + ".part.json")
        self._url = url

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> str | None:
        """The server's mark of the version; `None` if the download cannot be continued."""
        try:
            notes = json.loads(self._notes.read_bytes())
            return notes["version"] if notes["url"] == self._url and self.size() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def open(self, *, at: int, version: str | None) -> IO[bytes]:
        """Open for appending, or start over."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if at == 0:
                write_text(self._notes, json.dumps({"url": self._url, "version": version}))
            file = self.path.open("r+b" if at else "wb", buffering=0)  # a failed write must raise here, not on close
            file.seek(at)
        except OSError as error:
            raise self._cannot_write(error) from error
        return file

    def write(self, file: IO[bytes], block: bytes) -> None:
        """Write a block; separates a full disk from a broken connection."""
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise self._cannot_write(error) from error

    def finish(self) -> None:
        self.path.replace(self.target)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError("errors.cannot_write", path=self.target, reason=error.strerror or error)


def _fetch(part: _Part, url: str, ask: Callable[[], None], patience: Patience) -> None:
    """Send requests until the file is whole."""
    failures = 0
    while True:
        before = part.size()
        try:
            ask()
        except HTTPError as error:
            with error:  # it holds the connection
                if error.code == _RANGE_NOT_SATISFIABLE and before:
                    part.discard()  # the part is longer than the file
                elif error.code not in _MAY_PASS:
                    raise DataError("data.get_refused", url=url, status=error.code, reason=error.reason) from error
            reason: Any = error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
        else:
            return
        failures = 1 if part.size() > before else failures + 1
        if failures >= patience.attempts:
            raise DataError("data.get_broken", url=url, done=part.size(), reason=reason)
        time.sleep(patience.pause_s * 2 ** (failures - 1))


def _ask(part: _Part, url: str, progress: Callable[[int, int], None]) -> None:
    """Send one request, for the whole file or the rest of it.

    Raises:
        HTTPException: the connection ended before the file did.
    """
    request = _request(url)
    version = part.version()
    if version:
        request.add_header("Range", f"bytes={part.size()}-")
        request.add_header("If-Range", version)
    with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http or https, see `download`
        at = part.size() if answer.status == 206 else 0
        if at and not answer.headers.get("Content-Range", "").startswith(f"bytes {at}-"):
            raise HTTPException(f"requested bytes from {at:,}, received others")
        length = answer.headers.get("Content-Length")
        total = at + int(length) if length else 0
        done = at
        with part.open(at=at, version=_version(answer.headers)) as file:
            progress(done, total)
            while block := answer.read(_BLOCK):
                part.write(file, block)
                done += len(block)
                progress(done, total)
        if total and done < total:
            raise HTTPException(f"{done:,} of {total:,} bytes")


def _request(url: str) -> Request:
    """A request for a URL as people write it: with spaces or Chinese in its path, or with a name and a password."""
    split = urlsplit(url)
    user, at, host = split.netloc.rpartition("@")
    plain = split._replace(netloc=host.encode("idna").decode() if not host.isascii() else host)
    request = Request(quote(plain.geturl(), safe="%/:?#[]@!$&'()*+,;=~"))  # noqa: S310 - as in `_ask`
    request.add_header("User-Agent", "thalweg")
    request.add_header("Accept-Encoding", "identity")
    if at:  # not for a server that this one sends us to
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    return request


def _copy(part: _Part, stream: Stream, progress: Callable[[int, int], None]) -> None:
    """Read the whole stream, or the rest of it.

    Raises:
        DataError: there is no such file, or no right to read it.
        HTTPException: the stream ended before the file did.
    """
    at = part.size() if stream.version is not None and part.version() == stream.version else 0
    done = at = at if stream.size is None or at <= stream.size else 0
    with part.open(at=at, version=stream.version) as file:
        for block in stream.blocks(at):
            part.write(file, block)
            done += len(block)
            progress(done, stream.size or 0)
    if stream.size is not None and done < stream.size:
        raise HTTPException(f"{done:,} of {stream.size:,} bytes")


def _version(headers: Any) -> str | None:
    """A mark of exactly these bytes: a strong ETag, else the time of the last change."""
    etag = headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file of any length, as hexadecimal text."""
    running = new_sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            running.update(block)
    return running.hexdigest()


def _ignore(_done: int, _total: int) -> None:
    """Report nothing."""

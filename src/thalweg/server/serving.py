"""A server that runs until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from thalweg.errors import StorageError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PORT: Final = 8642

_LINGER: Final = 2  # seconds for open sockets when the server ends


@dataclass(frozen=True, slots=True)
class Address:
    """The address of the page.

    Attributes:
        host: the address that the server listens on.
        port: the port that it listens on.
        token: the token that visitors need; None on loopback.
    """

    host: str
    port: int
    token: str | None

    @property
    def url(self) -> str:
        """The address for the browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    photos: Sequence[Path] = (),
    trainings: int = 1,
    ready: Callable[[Address], None] = lambda _address: None,
) -> None:
    """Serve a folder of runs until Ctrl-C.

    Args:
        root: the folder.
        host: an address of this machine; beyond loopback, visitors need a token, which the server creates.
        port: None: 8642, or the next free one; 0: any free one.
        photos: folders on which a training run may be started, besides the built-in set and those of existing runs.
        trainings: number of training runs that the page may run at the same time.
        ready: is called with the address once the page can be opened.

    Raises:
        UsageError: the folder or the address does not exist.
        StorageError: the port is taken.
    """
    import uvicorn

    from thalweg.server.app import build_app
    from thalweg.server.middleware import is_loopback

    if not root.is_dir():
        raise UsageError("page.no_folder", path=root)
    token = None if is_loopback(host) else secrets.token_urlsafe(16)
    bound = bind(host, port)
    address = Address(host, bound.getsockname()[1], token)
    config = uvicorn.Config(
        build_app(root, token=token, host=host, photos=photos, trainings=trainings, warm=True),
        log_level="warning",
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=65_536,
        timeout_graceful_shutdown=_LINGER,
        server_header=False,
    )
    server = uvicorn.Server(config)
    bound.listen(128)  # the socket accepts early visitors, who wait until the server has started
    ready(address)
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:  # uvicorn has shut down cleanly and raises the interrupt again
        return


def bind(host: str, port: int | None) -> socket.socket:
    """Open a socket; without a port, on the first free port of ten.

    Raises:
        UsageError: this machine has no such address.
        StorageError: the port is taken.
    """
    wanted = range(PORT, PORT + 10) if port is None else [port]
    reason: OSError | None = None
    for number in wanted:
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            found = socket.socket(family, kind, protocol)
        except (socket.gaierror, OverflowError, UnicodeError) as error:
            raise UsageError("page.bad_address", host=host, port=number) from error
        if os.name == "posix":  # on other systems, this would let two servers share a port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(where)
        except OSError as error:
            found.close()
            reason = error
        else:
            return found
    assert reason is not None  # noqa: S101 - for the type checker
    raise StorageError("page.port_taken", host=host, port=wanted[0], reason=reason.strerror or reason)

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
    """Where the page is.

    Attributes:
        host: that is listened on.
        port: that is listened on.
        token: that visitors must know; None on loopback.
    """

    host: str
    port: int
    token: str | None

    @property
    def url(self) -> str:
        """What is opened in a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    photos: Sequence[Path] = (),
    ready: Callable[[Address], None] = lambda _address: None,
) -> None:
    """Serve a folder of runs until Ctrl-C.

    Args:
        root: the folder.
        host: an address of this machine; beyond loopback a token is made, and asked of everybody.
        port: None: 8642, or the next that is free; 0: any that is free.
        photos: folders that a training may be started on, besides `builtin` and those of the runs that are there.
        ready: told where the page is, once it is.

    Raises:
        UsageError: no such folder, or no such address.
        StorageError: the port is taken.
    """
    import uvicorn

    from thalweg.server.app import build_app
    from thalweg.server.safety import is_loopback

    if not root.is_dir():
        raise UsageError("page.no_folder", path=root)
    token = None if is_loopback(host) else secrets.token_urlsafe(16)
    bound = bind(host, port)
    address = Address(host, bound.getsockname()[1], token)
    config = uvicorn.Config(
        build_app(root, token=token, host=host, photos=photos, warm=True),
        log_level="warning",
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=65_536,
        timeout_graceful_shutdown=_LINGER,
        server_header=False,
    )
    server = uvicorn.Server(config)
    bound.listen(128)  # who comes before the server has started waits for it
    ready(address)
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:  # uvicorn has ended in order, and raises again what asked for it
        return


def bind(host: str, port: int | None) -> socket.socket:
    """A socket on a port of an address; without a port, the first of ten that is free.

    Raises:
        UsageError: no such address here.
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
        if os.name == "posix":  # elsewhere it would let two servers have one port
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

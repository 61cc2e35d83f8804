"""The folder of caches, shared by all runs of a user."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.errors import StorageError


if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_folder() -> Path:
    """Where caches go: `THALWEG_CACHE`, else `thalweg` in `XDG_CACHE_HOME`, else in `~/.cache`."""
    own = os.environ.get("THALWEG_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thalweg"


@contextmanager
def telling_where(path: Path) -> Iterator[None]:
    """Turn a failed write into the cache into a sentence that says how to move the cache.

    Raises:
        StorageError: in place of any `StorageError` raised inside.
    """
    try:
        yield
    except StorageError as error:
        raise StorageError("data.cannot_write_cache", path=path, reason=error.values.get("reason", error)) from error

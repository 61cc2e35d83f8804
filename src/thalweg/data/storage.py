"""What is said when the cache cannot be written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from thalweg.errors import StorageError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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

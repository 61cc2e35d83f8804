"""How the lessons use torch: whether it is there, from one seed, on one thread."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from thalweg.errors import ThalwegError


if TYPE_CHECKING:
    from collections.abc import Iterator


def require_torch() -> None:
    """Say so if torch is missing.

    Raises:
        ThalwegError: torch is not installed.
    """
    if find_spec("torch") is None:
        raise ThalwegError("lessons.needs_torch")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's random state of a seed inside, and restore the state outside."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: small products end before a second thread wakes up, and sums keep their order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

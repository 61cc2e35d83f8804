"""Threads that wait for work do not spin forever."""

from __future__ import annotations

import os


# How often a thread of GNU OpenMP looks for work before it sleeps. With as many threads as cores, its default is to
# spin forever. Then one other process on the machine makes training many times slower: threads spin while they wait
# for threads that cannot run. With this bound, other work costs its share of time, and an idle machine loses nothing
# measurable.
SPINS = "20000"


def bound_spinning() -> None:
    """Set the bound, unless the environment has one. Call this before torch is loaded: OpenMP then reads it once."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)

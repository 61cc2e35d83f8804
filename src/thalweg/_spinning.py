"""Threads that wait for work do not spin for ever."""

from __future__ import annotations

import os


# How often a thread of GNU's OpenMP looks for work before it sleeps. Its own default is endless where there are as many
# threads as cores, and then one other process on the machine makes a training many times slower: two threads spin for
# each other while neither runs. With this bound a busy machine costs its share, and a quiet one nothing measurable.
SPINS = "20000"


def bound_spinning() -> None:
    """Set the bound, unless the environment has one; it is read once, when torch is loaded, so to be called before."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)

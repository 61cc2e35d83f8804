"""Damage by a seed, and how much of it a quick test does."""

import os
import random

import pytest


def mutated(content, seed):
    """The bytes with one to four of: bits flipped, a piece cut, doubled, zeroed, or exchanged; or cut off."""
    draw = random.Random(seed)
    found = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        if not found:
            return bytes(found)
        start = draw.randrange(len(found))
        stop = min(len(found), start + draw.choice((1, 1, 2, 4, 8, 64)))
        kind = draw.randrange(6)
        if kind == 0:
            found[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del found[start:stop]
        elif kind == 2:
            found[start:start] = found[start:stop]
        elif kind == 3:
            found[start:stop] = bytes(stop - start)
        elif kind == 4:
            found[start:stop] = draw.randbytes(stop - start)
        else:
            del found[start:]
    return bytes(found)


def rounds(quick, full):
    """Seeds as parameters: the first `quick` in every run of the tests, the rest only in the slow ones.

    `THALWEG_FUZZ=N` makes the rest up to N, for a night's run.
    """
    full = int(os.environ.get("THALWEG_FUZZ", full))
    return [
        pytest.param(range(quick), id="quick"),
        pytest.param(range(quick, full), id="all", marks=pytest.mark.slow),
    ]

"""Independent random streams of one seed: what is drawn from (seed, stream, epoch, batch) comes back on a resume."""

from __future__ import annotations


ORDER = 0
VIEWS = 1
MIXES = 2

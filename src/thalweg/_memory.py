"""How much memory is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final


SHARE_OF_MEMORY: Final = 0.5  # fraction of the free memory: the rest is for the network and for other processes


def free_memory() -> float:
    """Return the bytes of available memory, within a container's limit.

    Where the system does not say what is available, as macOS, all its memory counts; infinity on Windows.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = _all_memory()
    return min(free, _left_in_group(Path("/sys/fs/cgroup")))


def _all_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return float("inf")


def _left_in_group(group: Path) -> float:
    """Return the bytes left in a control group, not counting cached files; infinity without a limit."""
    try:
        limit, used = ((group / name).read_text(encoding="utf-8") for name in ("memory.max", "memory.current"))
        lines = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
        files = next(float(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        return max(0.0, float(limit) - float(used) + files)
    except (OSError, StopIteration, ValueError):  # `max` means no limit
        return float("inf")

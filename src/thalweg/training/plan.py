"""What a configuration leaves open, settled by looking at the photos and at the machine."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thalweg.data.decoding import reading
from thalweg.data.parallel import cores
from thalweg.errors import BadImageError, UsageError
from thalweg.training.memory import keep_freed


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.data import ImageSet

PHOTOS_LOOKED_AT = 48
SHARE_OF_MEMORY = 0.5  # of what is free: the rest is for the network and for others


def typical_side(images: ImageSet) -> float:
    """The median short side, in pixels, of some photos of the training split; only their headers are read.

    Infinite if none of them can be read.
    """
    photos = images.split("train")
    sides = []
    for photo in photos[:: max(1, len(photos) // PHOTOS_LOOKED_AT)]:
        try:
            with reading(images.read(photo), photo.path) as header:
                sides.append(min(header.size))
        except BadImageError:
            continue  # the check names the bad ones
    return int(median(sides)) if sides else float("inf")


def settled_sizes(size: int | None, max_size: int, typical: float, enlarge: float) -> tuple[int, int]:
    """Sides, in pixels, of what the network sees and of what the cache keeps.

    Nothing is enlarged that the photos do not have.

    Example:
        >>> settled_sizes(None, 128, 400, 1.25), settled_sizes(None, 128, 28, 1.25), settled_sizes(64, 128, 70, 1.25)
        ((128, 160), (28, 28), (64, 70))
    """
    seen = size or int(min(max_size, typical))
    return seen, max(seen, int(min(round(seen * enlarge), typical)))


def fits_memory(images_NHWC: NDArray[np.uint8]) -> bool:
    """Whether all photos may be held in memory."""
    return images_NHWC.nbytes <= SHARE_OF_MEMORY * free_memory()


def in_memory(images_NHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photos in memory, if they fit there; else the map of their file as it is."""
    return np.array(images_NHWC) if fits_memory(images_NHWC) else images_NHWC


def fits_device(images_NHWC: NDArray[np.uint8], device: torch.device) -> bool:
    """Whether all photos may be held in a GPU's memory."""
    return device.type == "cuda" and images_NHWC.nbytes <= SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]


def free_memory() -> float:
    """Bytes that a process may still take without harm; infinite where the system does not say.

    In a container it is what its own limit leaves.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = float("inf")
    return min(free, _left_in_group(Path("/sys/fs/cgroup")))


def _left_in_group(group: Path) -> float:
    """Bytes that a control group may still take, files that it may forget not counted; infinite without a limit."""
    try:
        limit, used = ((group / name).read_text(encoding="utf-8") for name in ("memory.max", "memory.current"))
        lines = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
        files = next(float(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        return max(0.0, float(limit) - float(used) + files)
    except (OSError, StopIteration, ValueError):  # no limit is the word `max`
        return float("inf")


def matmul_gflops(device: torch.device, seconds: float = 0.05) -> dict[str, float]:
    """The speed of this machine's matrix product of 1,024 by 1,024, the best of those in some seconds a precision.

    Returns:
        GFLOP/s of `fp32` and `bf16`: what no network can exceed.
    """
    found = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        matrix = torch.ones(1024, 1024, dtype=kind, device=device)
        best, began = float("inf"), time.perf_counter()
        while best == float("inf") or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - start)
        found[name] = 2 * 1024**3 / best / 1e9
    return found


def settled_device(name: str) -> torch.device:
    """The device of a name; `auto` takes a GPU when there is one.

    Raises:
        UsageError: this torch has no such device.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available[name]:
        raise UsageError("training.no_device", device=name, available=", ".join(k for k, v in available.items() if v))
    return torch.device(name)


def ready_machine(threads: int) -> None:
    """Set what holds for the whole process: the threads of a step, and that what it frees is kept."""
    torch.set_num_threads(threads)
    keep_freed()


def usable_threads() -> int:
    """Threads for one step: as many as `OMP_NUM_THREADS` allows, else one a core that this process may use."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return int(allowed) if allowed.isdecimal() and int(allowed) else cores()


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Versions and machine, for the run and its report."""
    from thalweg import __version__

    return {
        "thalweg": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": platform.platform(terse=True),
        "processor": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "device": device.type,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())

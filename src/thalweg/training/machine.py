"""The machine: device, threads, memory and speed, and settings of the whole process."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import torch

from thalweg._memory import SHARE_OF_MEMORY, free_memory
from thalweg.data.parallel import cores
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from thalweg.data import Cache
    from thalweg.data.segmented import Pixels

# Windows has Ctrl-Break, too: it is how the page stops a training there.
_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]

# mallopt's parameters, from malloc.h
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = -1  # as mallopt(3) says; a number has at most 31 bits, and more memory than that may be free


def fits_memory(cache: Cache) -> bool:
    """Whether the decoded photos fit in memory, within the cache's limit."""
    return cache.images_NHWC.nbytes <= min(SHARE_OF_MEMORY * free_memory(), cache.limit)


def in_memory(cache: Cache) -> Pixels:
    """Load the photos into memory if they fit; otherwise return them unchanged, on disk."""
    return np.array(cache.images_NHWC) if fits_memory(cache) else cache.images_NHWC


def fits_device(images_NHWC: Pixels, device: torch.device) -> bool:
    """Whether the photos fit in a GPU's memory."""
    return device.type == "cuda" and images_NHWC.nbytes <= SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]


def matmul_gflops(device: torch.device, seconds: float = 0.05) -> dict[str, float]:
    """Measure the best speed of a 1,024 × 1,024 matrix product within `seconds` for each precision.

    Returns:
        GFLOP/s for `fp32` and `bf16`: an upper bound for every network.
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
    """Return a device by name; `auto` means CUDA if there is one, else the CPU: `mps` is untested.

    Raises:
        UsageError: this torch has no such device.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    if not available.get(name):
        raise UsageError("training.no_device", device=name, available=", ".join(k for k, v in available.items() if v))
    return torch.device(name)


def ready_machine(threads: int) -> None:
    """Set up the process: the threads of a step, and its memory allocator."""
    torch.set_num_threads(threads)
    keep_freed()


def usable_threads() -> int:
    """Return the threads for one step: `OMP_NUM_THREADS`, else one per core that this process may use."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return int(allowed) if allowed.isdecimal() and int(allowed) else cores()


def keep_freed() -> bool:
    """Let this process reuse the memory that a step frees.

    By default, glibc requests every large tensor from the system and returns it when it is freed; the system then
    clears each page again. A step of ResNet-18 at 128 px touches about 60,000 new pages in this way, which takes a
    tenth of its time. Call this before the first backward pass, because its thread shares the settings. It does nothing
    with another C library, or if the environment already decides (GLIBC_TUNABLES, MALLOC_...).

    Returns:
        Whether the settings were applied.

    Source: mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html.
    """
    decided = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") for name in os.environ
    )
    if decided or platform.libc_ver()[0] != "glibc":
        return False
    # One arena, so that the backward pass, which has its own thread, can reuse what the forward pass frees.
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
    library = ctypes.CDLL(None)
    return all(library.mallopt(number, value) for number, value in settings)


def give_back() -> None:
    """Return free memory to the system."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def gentle_interrupt(*, of_many: bool = False) -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C, Ctrl-Break or SIGTERM sets, to finish the step; a second one raises.

    Args:
        of_many: whether this is one of many processes: then the one that started them repeats signals, and none raises.

    Outside the main thread, where Python allows no handlers, no signal sets the event.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set() and not of_many:
            signal.default_int_handler(number, frame)
        asked.set()

    before = {number: signal.signal(number, ask) for number in _STOPS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Versions and machine, for the run and its report."""
    from thalweg import __version__

    return {
        "thalweg": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pillow": PIL.__version__,
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

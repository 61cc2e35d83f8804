"""That freed memory is kept, counted by the system: how many pages were touched for the first time."""

import os
import platform
import subprocess
import sys

import pytest


# Large arrays, made and dropped again and again, as the activations of a step are.
STEPS = """
import resource
import numpy as np
from thalweg.training import machine

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

print(machine.keep_freed() if {kept} else False)
np.ones(16_000_000)
before = faults()
for _ in range(10):
    np.ones(16_000_000)
print(faults() - before)
"""
PAGES = 16_000_000 * 8 // os.sysconf("SC_PAGE_SIZE")


def steps(*, kept, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX")}
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(kept=kept)],
        capture_output=True,
        text=True,
        check=True,
        env=clean | {"NUMPY_MADVISE_HUGEPAGE": "0"} | environment,
    )
    said, faults = done.stdout.split()
    return said == "True", int(faults)


# Memory that nobody touches, so that the test needs none.
MUCH = """
import ctypes
from thalweg.training.machine import keep_freed

def heap():
    with open("/proc/self/maps") as maps:
        begin, end = next(line for line in maps if line.rstrip().endswith("[heap]")).split()[0].split("-")
    return int(end, 16) - int(begin, 16)

keep_freed()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
block = library.malloc(3 * 2**30)
library.free(block)
print(block is not None, heap() > 3 * 2**30)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_more_than_two_gigabytes_are_kept_as_well():
    clean = {name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX")}
    done = subprocess.run([sys.executable, "-c", MUCH], capture_output=True, text=True, check=True, env=clean)
    got, kept = done.stdout.split()
    if got == "False":
        pytest.skip("the system grants no 3 GB")
    assert kept == "True"


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_pages_are_touched_once():
    assert steps(kept=True) == (True, pytest.approx(0, abs=PAGES // 100))
    said, faults = steps(kept=False)
    assert not said
    assert faults > 9 * PAGES  # or there would be nothing to keep


@pytest.mark.slow
def test_what_the_environment_says_stays():
    said, _ = steps(kept=True, MALLOC_ARENA_MAX="2")
    assert not said


@pytest.mark.parametrize("given", [None, "7"])
def test_threads_that_wait_do_not_spin_for_ever_unless_somebody_wants_it(given):
    """Before torch is loaded, from Python as from the command line."""
    code = "import sys, os, thalweg.training; print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if given:
        environment["GOMP_SPINCOUNT"] = given
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert found.stdout.split() == ["False", given or "20000"]

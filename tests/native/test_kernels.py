"""Compiled code on disk: found again, rebuilt when damaged, shared by processes, and never in need of Numba."""

import os
import subprocess
import sys
from weakref import WeakValueDictionary

import numpy as np
import pytest

from thalweg._native import Part, get_kernel, kernels
from thalweg.surfaces.kernels import slope_part
from thalweg.surfaces.loops import at_points


def double_all(n, x, out):
    for i in range(n):
        out[i] = 2.0 * x[i]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A folder of its own, and a process that has loaded nothing."""
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    monkeypatch.setattr(kernels, "_loaded", WeakValueDictionary())
    return tmp_path / "kernels"


def run(source="double"):
    """The kernel of a source, run; and whether it had to be compiled."""
    compiled = []

    def build():
        compiled.append(True)
        return double_all

    out = np.zeros(3)
    get_kernel(Part("double_all", "ipp", source, build))(3, np.array([1.0, 2.0, 3.0]), out)
    assert out.tolist() == [2.0, 4.0, 6.0]
    return bool(compiled)


def forget(monkeypatch):
    monkeypatch.setattr(kernels, "_loaded", WeakValueDictionary())


def test_compiled_once_then_loaded_then_remembered(empty, monkeypatch):
    assert run()
    assert not run()
    forget(monkeypatch)
    assert not run()
    assert sorted(path.suffix for path in empty.iterdir()) == [".bc", ".o"]


@pytest.mark.usefixtures("empty")
def test_an_array_may_be_given_by_its_address():
    numbers, out = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    kernel = get_kernel(Part("double_all", "ipp", "by address", lambda: double_all))
    kernel(3, numbers.ctypes.data, out)
    kernel(3, out.ctypes.data, out.ctypes.data)
    assert out.tolist() == [4.0, 8.0, 12.0]


def test_another_source_is_another_kernel(empty):
    assert run("one")
    assert run("two")
    assert len(list(empty.iterdir())) == 4


@pytest.mark.parametrize("suffixes", [(".o",), (".bc",), (".bc", ".o")])
@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_rebuilt(empty, monkeypatch, harm, suffixes):
    run()
    for path in [path for path in empty.iterdir() if path.suffix in suffixes]:
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[-100] ^= 1
        path.write_bytes({"cut": whole[:-50], "flip": bytes(flipped), "empty": b"", "other": b"x" * len(whole)}[harm])
    forget(monkeypatch)
    assert run() == (len(suffixes) == 2)  # with either of them whole, the compiler is not needed again
    forget(monkeypatch)
    assert not run()


def test_another_processor_or_compiler_is_another_kernel(empty, monkeypatch):
    assert run()
    forget(monkeypatch)
    monkeypatch.setattr(kernels, "fingerprint", lambda: "another machine")
    assert run()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner's number here")
def test_another_user_s_code_is_not_run(empty, monkeypatch):
    assert run()
    forget(monkeypatch)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert run()


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(kernels, "_loaded", WeakValueDictionary())
    assert run()


def test_the_oldest_make_room(empty, monkeypatch):
    monkeypatch.setattr(kernels, "KEPT", 4)
    for number in range(6):
        kernels._write(f"kernel-{number}", b"body")
        os.utime(empty / f"kernel-{number}", (number, number))
    assert kernels._read("kernel-5") == b"body"
    assert kernels._read("kernel-0") is None
    assert len(list(empty.iterdir())) <= 4


@pytest.mark.slow
def test_processes_that_compile_the_same_at_once_all_succeed(tmp_path):
    code = (
        "from thalweg import paths, surfaces;"
        "p = paths.trace(surfaces.parse('x**2 + 3.25*y**4'), 'lion', lr=0.01, steps=10);"
        "print(p.positions_S2[-1].tolist())"
    )
    environment = {**os.environ, "THALWEG_CACHE": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert len(set(answers)) == 1
    assert not list((tmp_path / "kernels").glob(".*"))


def test_parts_are_linked_into_one(empty):
    slope = slope_part("3*x**2 + y")
    other = slope_part("5*x**2 - y")
    for part, expected in ((slope, [4.0, 6.0, 1.0]), (other, [4.0, 10.0, -1.0])):
        loop = Part("at_points", "ippppp", "the loop", lambda: at_points)
        results = np.zeros((3, 2))
        get_kernel(loop, part)(2, np.ones(2), np.ones(2), *results)
        assert results.T.tolist() == [expected] * 2


def test_code_that_would_need_numba_to_run_is_refused(empty):
    def raises(n, x, out):
        if x[0] > n:
            raise ValueError("never in a kernel")
        out[0] = x[0]

    with pytest.raises(RuntimeError, match="run time"):
        get_kernel(Part("raises", "ipp", "raises", lambda: raises))

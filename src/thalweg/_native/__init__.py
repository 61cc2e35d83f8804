"""Functions of plain loops over float64 arrays, compiled by Numba once and kept on disk as machine code.

Numba's own cache is made of pickles, follows the time stamps of source files, and needs Numba itself (a quarter of a
second to import, half a second to warm up) to load what it holds. Here a kernel's file is named after what it was
compiled from, carries its checksum, and is loaded by llvmlite alone: a second process calls
its kernels within milliseconds, and never imports Numba.

A kernel takes integers, floats and pointers to float64, works without the interpreter's lock, and may be called from
several threads at once. There is no threading layer to choose: callers start threads over blocks of work.
"""

from thalweg._native.kernels import Kernel, Part, get_kernel


__all__ = ["Kernel", "Part", "get_kernel"]

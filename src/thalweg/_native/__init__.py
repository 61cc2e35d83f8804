"""Functions of plain loops over arrays, compiled once by Numba and kept on disk as machine code.

Numba's own cache consists of pickles, follows the time stamps of source files, and needs Numba itself to load (a
quarter of a second to import, half a second to warm up). Here each function is a `Part`, kept as LLVM's bitcode; parts
are linked into a `Kernel`, kept as an object file. Files are named after their source, carry a checksum, and are
loaded by llvmlite alone: a second process calls its kernels within milliseconds and never imports Numba. Because parts
are linked, R optimizers over S surfaces need R + S compilations, and each pair still runs as one function.

A kernel takes integers, floats and pointers to numbers, releases the interpreter's lock, and may be called from
several threads at once. There is no threading layer to choose: callers start threads over blocks of work.
"""

from thalweg._native.kernels import Kernel, Part, get_kernel


__all__ = ["Kernel", "Part", "get_kernel"]

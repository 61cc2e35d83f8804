"""Error surfaces of two weights: value, gradient, Hessian, critical points and their kind.

A surface comes from the catalogue, `get("rosenbrock")`, or from a formula, `parse("0.01*x**2 + 10*y**2")`; `read` takes
either as text. Its derivatives are exact: SymPy derives them from a tree that an allow-list has checked,
Numba compiles them when they are first needed, and a file keeps the result, so the next process loads neither.
"""

from thalweg.surfaces.catalogue import get, names, parse, read
from thalweg.surfaces.critical import CriticalPoint
from thalweg.surfaces.surface import Surface


__all__ = ["CriticalPoint", "Surface", "get", "names", "parse", "read"]

"""Error surfaces of two weights: value, gradient, Hessian, critical points and their kind.

A surface comes from the catalogue, `get("rosenbrock")`, or from a formula that a person typed,
`parse("0.01*x**2 + 10*y**2")`. Either way its derivatives are exact, made by SymPy from a tree that an allow-list has
checked, compiled by Numba when first needed, and kept on disk, so that the next process loads neither.
"""

from thalweg.surfaces.catalogue import get, names, parse
from thalweg.surfaces.critical import CriticalPoint
from thalweg.surfaces.surface import Surface


__all__ = ["CriticalPoint", "Surface", "get", "names", "parse"]

"""Update rules, one a file: a pure step of about ten lines, and its counterpart in torch.optim.

Every rule is θ ← θ − η_t m_t / σ_t: a direction m, a scale σ, a rate η. A rule says what m and σ are, coordinate by
coordinate, and paths keep them, so that a picture can show why a step was long. The same few lines are run as Python
(what a test compares with torch.optim) and compiled by Numba (what paths run).
"""

from thalweg.optimizers.catalogue import get, names
from thalweg.optimizers.rule import Rule


__all__ = ["Rule", "get", "names"]

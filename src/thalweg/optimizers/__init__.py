"""The optimizers, one per file: each is a pure step of about ten lines, with its counterpart in torch.optim.

Every optimizer is θ ← θ − η_t m_t / σ_t: a direction m, a scale σ, a rate η. It defines m and σ for each
coordinate, and traces keep them, so a picture can show why a step was long. The same few lines run as Python (a test
compares them with torch.optim) and compiled by Numba (traces use that).
"""

from thalweg.optimizers.catalogue import get, names
from thalweg.optimizers.optimizer import Optimizer
from thalweg.optimizers.reading import read


__all__ = ["Optimizer", "get", "names", "read"]

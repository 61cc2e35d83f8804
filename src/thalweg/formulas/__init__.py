"""Formulas: of the optimizers, the schedules and the losses, each once, as a small tree.

From the one tree come MathML for the page, mathtext for pictures, Unicode for the terminal and the docstrings, and
numbers: a test computes every formula and compares it with the code that it describes.

```python
formula = get("adam")
print(formula.text)
formula_of_schedule(parse("warmup(5%) > cosine"), steps=1000).value(t=50)
```
"""

from thalweg.formulas.catalogue import get, names
from thalweg.formulas.formula import Formula
from thalweg.formulas.losses import binary_cross_entropy, cross_entropy, mse
from thalweg.formulas.optimizers import formula_of_optimizer
from thalweg.formulas.orthogonal_rules import muon
from thalweg.formulas.schedules import formula_of_schedule


__all__ = [
    "Formula",
    "binary_cross_entropy",
    "cross_entropy",
    "formula_of_optimizer",
    "formula_of_schedule",
    "get",
    "mse",
    "muon",
    "names",
]

"""Two optimizers in a valley that is steep one way and flat the other, with the same kind of history as a training's."""

import thalweg
from thalweg import optimizers, surfaces


valley = surfaces.get("valley")
for name, lr in (("sgd", 0.1), ("adagrad", 1.0)):
    path = thalweg.trace(valley, optimizers.get(name), lr=lr, steps=1000)
    print(f"{name:8} after 1,000 steps: loss {path.loss[-1]:.3g}, gradient norm {path.gradient_norm[-1]:.3g}")

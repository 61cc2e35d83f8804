"""Trace two optimizers in a valley that is steep one way and flat the other; a trace has the same history as a run."""

import thalweg
from thalweg import optimizers, surfaces


valley = surfaces.get("valley")
for name, lr in (("sgd", 0.1), ("adagrad", 1.0)):
    trace = thalweg.trace(valley, optimizers.get(name), lr=lr, steps=1000)
    print(f"{name:8} after 1,000 steps: loss {trace.loss[-1]:.3g}, gradient norm {trace.gradient_norm[-1]:.3g}")

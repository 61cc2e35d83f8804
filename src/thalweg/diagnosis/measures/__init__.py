"""The measures: named numbers, on which every verdict rests.

`table` lists them. `trends` reads a history; `batch` measures inputs, targets, outputs and loss of one batch; `gains`
trains copies for a few steps; `gradients` measures noise and curvature; `trace` measures a trace of the lab; `collect`
gathers them. Each returns a mapping from name to number; NaN, or no entry, means "unknown". No two measures share a
name.
"""

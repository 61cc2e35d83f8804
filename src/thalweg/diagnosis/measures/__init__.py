"""Everything that a verdict is made of: numbers with names, each from one question.

`trends` reads a history; `batch` looks at inputs, targets, outputs and loss of one batch; `trials` trains copies for
a few steps; `bends` asks for the curvature. Each gives a plain mapping from name to number; NaN, or no entry, is "not
known". No name is given twice.
"""

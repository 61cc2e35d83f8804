"""One training on many processes and machines, started by torchrun; the bits do not depend on their number.

`team` is what a process knows of the others: who it is, what it tells them and waits for. `launching` starts the
processes of one machine.
"""

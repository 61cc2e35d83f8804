"""The history of a trace or a run: append-only columns of numbers, one row per step.

`History` holds the columns in memory, `HistoryLog` appends them to a file that survives a kill.
A ball on a surface and a network in training leave the same kind of history, so the same diagnosis and charts work for
both.
"""

from thalweg.history.columns import History
from thalweg.history.log import HistoryLog


__all__ = ["History", "HistoryLog"]

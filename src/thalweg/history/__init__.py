"""What a trace or a run leaves: append-only columns of numbers, one row per step.

`History` holds the columns in memory, `HistoryLog` appends them to a file that survives a kill.
A ball on a surface and a network in training leave the same kind of history, so one diagnosis and one chart
read both.
"""

from thalweg.history.columns import History
from thalweg.history.log import HistoryLog


__all__ = ["History", "HistoryLog"]

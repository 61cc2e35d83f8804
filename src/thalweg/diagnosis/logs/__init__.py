"""Logs of other tools: each reader gives named columns, `names` says what they mean, and `diagnosing` judges them.

`reading` recognizes a file by what is in it; `tables`, `objects`, `events` and `folders` each read one family of
formats.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.diagnosis.logs.diagnosing import diagnose_csv
    from thalweg.diagnosis.logs.folders import is_log_folder
    from thalweg.diagnosis.logs.reading import Table, read_table

_homes = {
    "Table": ".reading",
    "diagnose_csv": ".diagnosing",
    "is_log_folder": ".folders",
    "read_table": ".reading",
}

__all__ = ["Table", "diagnose_csv", "is_log_folder", "read_table"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

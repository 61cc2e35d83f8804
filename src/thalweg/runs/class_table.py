"""`classes.csv`: the classes of a run and their shares, where a hundred names would bury its configuration.

`config.toml` then has `classes = "classes.csv"` and their number; with fewer classes, the names themselves.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from thalweg._files import write_text
from thalweg.errors import RunError
from thalweg.i18n import t
from thalweg.runs import files, schema


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_IN_CONFIG: Final = 100  # classes; one line of a screen has eight
_COLUMNS: Final = ("class", "share")
_COUNT: Final = "number_of_classes"


def write_classes(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the file, of many classes.

    Args:
        data: the run's table of this name.
        folder: of the run.

    Returns:
        The table as `config.toml` has it.

    Raises:
        StorageError: the folder cannot be written.
    """
    if len(data["classes"]) <= MOST_IN_CONFIG:
        return dict(data)
    lines = io.StringIO()
    writer = csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")  # names in quotes may have any sign
    writer.writerow(_COLUMNS)
    writer.writerows(zip(data["classes"], data["class_shares"], strict=True))
    write_text(folder / files.CLASSES, lines.getvalue())
    rest = {name: value for name, value in data.items() if name not in {"classes", "class_shares"}}
    return {"classes": files.CLASSES, _COUNT: len(data["classes"]), **rest}


def checked_data(data: Any, folder: Path) -> dict[str, Any]:
    """The table `data` of `config.toml`, complete and checked.

    Args:
        data: as it was read, of whatever kind.
        folder: of the run.

    Raises:
        RunError: an entry is missing or damaged, or the file of the classes is.
    """
    path = folder / files.CONFIG
    found = schema.checked(with_classes(data, folder), schema.DATA, path, "data")
    if (count := len(found["class_shares"])) != (wanted := len(found["classes"])):
        raise RunError("runs.damaged", path=path, name="class_shares", value=count, wanted=wanted)
    return found


def with_classes(data: Any, folder: Path) -> Any:
    """The table `data` of `config.toml` with the classes of the file that it names, if it names one.

    Args:
        data: as it was read, of whatever kind.
        folder: of the run.

    Raises:
        RunError: the file is missing or damaged, or has another number of classes than the table says.
    """
    if not isinstance(data, dict) or data.get("classes") != files.CLASSES:
        return data
    found = {name: value for name, value in data.items() if name != _COUNT}
    path = folder / files.CLASSES
    found["classes"], found["class_shares"] = _read(path)
    if (wanted := data.get(_COUNT)) != (count := len(found["classes"])):
        raise RunError("runs.damaged", path=path, name=_COUNT, value=count, wanted=wanted)
    return found


def _read(path: Path) -> tuple[list[str], list[float]]:
    try:
        text = path.read_bytes().decode()  # `read_text` would change the signs of line ends in a name
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        for name in _COLUMNS:
            if name not in header:
                raise RunError("runs.not_readable", path=path, reason=t("runs.no_column", name=name))
        place, share = (header.index(name) for name in _COLUMNS)
        return [row[place] for row in rows], [float(row[share]) for row in rows]
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise RunError("runs.not_readable", path=path, reason=getattr(error, "strerror", None) or error) from error

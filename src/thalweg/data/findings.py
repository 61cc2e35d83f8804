"""The table of everything that a check found about single photos and pairs of them.

A row is one photo, or a photo and one of the same picture. Of many equal files each but the first has a row, beside the
first. JSON keeps the beginning of such lists only: a set with many duplicates has millions of them.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from thalweg._files import replacing


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Finding(NamedTuple):
    """One row of the table.

    Attributes:
        kind: `bad`, `conflicts`, `leaks`, `near_leaks`, or what is unusual about the photo.
        path: of the photo in its set.
        split: of the photo; empty if the finding does not depend on it, as the rest.
        class_name: of the photo; empty if unknown.
        twin: the path of the photo that shows the same picture.
        twin_split: of the twin.
        twin_class: of the twin.
        correlation: of the two pictures, 1 for equal files.
        mirrored: `yes` if they are mirror images of each other.
        reason: what is wrong with a bad photo.
    """

    kind: str
    path: str
    split: str = ""
    class_name: str = ""
    twin: str = ""
    twin_split: str = ""
    twin_class: str = ""
    correlation: str = ""
    mirrored: str = ""
    reason: str = ""


def write_findings(path: Path | str, findings: Iterable[Finding]) -> None:
    """Write the table, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Finding._fields)
        writer.writerows(findings)


def read_findings(path: Path) -> Iterator[Finding]:
    """Read the table row by row; rows of another length are left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a table of findings, or not text.
    """
    with path.open(encoding="utf-8", newline="") as file:
        try:
            rows = csv.reader(file)
            if next(rows, None) != list(Finding._fields):
                raise ValueError(path)
            yield from (Finding(*row) for row in rows if len(row) == len(Finding._fields))
        except csv.Error as error:
            raise ValueError(path) from error

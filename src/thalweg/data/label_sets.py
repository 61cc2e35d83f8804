"""Several labels a photo, as a table writes them: `cat;dog` in one field, or a column of 0 and 1 for each class.

A field is split at `;`, or else at `|`. A table is taken for one of several labels only if its own rows say so: a part
of `cat;dog` also stands alone in another row. So a class whose name has a `;` stays one class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Labels = Literal["auto", "one", "several"]

SEPARATOR: Final = ";"  # as this package writes it
_SEPARATORS: Final = (SEPARATOR, "|")


def separator_of(fields: Collection[str], labels: Labels = "auto") -> str | None:
    """The sign between the labels of a photo; None: each field is one label.

    Args:
        fields: the labels of all photos, as the table writes them.
        labels: `one` and `several` decide; `auto` asks whether a part of a field also stands alone.

    Example:
        >>> separator_of(["cat;dog", "cat"]), separator_of(["nuts; mixed", "rice"]), separator_of(["a|b"], "several")
        (';', None, '|')
    """
    if labels == "one":
        return None
    alone = {field.strip() for field in fields}
    for sign in _SEPARATORS:
        some = [field for field in alone if sign in field]
        if some and (labels == "several" or any(part in alone for field in some for part in parts_of(field, sign))):
            return sign
    return SEPARATOR if labels == "several" else None


def parts_of(field: str, separator: str) -> tuple[str, ...]:
    """The labels in a field, each once, without empty ones.

    Example:
        >>> parts_of("dog; cat;dog;", ";"), parts_of("", ";")
        (('dog', 'cat'), ())
    """
    return tuple(dict.fromkeys(name for part in field.split(separator) if (name := part.strip())))


def written(names: Iterable[str]) -> str:
    """Labels as one field, as tables and submissions write them.

    Example:
        >>> written(["cat", "dog"])
        'cat;dog'
    """
    return SEPARATOR.join(names)

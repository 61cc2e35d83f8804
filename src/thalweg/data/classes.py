"""From the classes in file names to labels 0, 1, 2, … and names for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.data.photos import natural_key
from thalweg.errors import DataError, UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Collection

    from thalweg.data.sources import Source

NAMES_FILE = "classes.txt"
FOOD11 = "food11"


def given_names(choice: Path | str | None, source: Source, root: str) -> tuple[str, ...] | None:
    """The names given by the user, or those in `classes.txt` beside the photos; `None` if there are neither.

    Args:
        choice: `food11` for the homework's eleven classes, a file with one name per line, or `None`.
        source: the set.
        root: the folder inside the source where the layout begins.

    Raises:
        UsageError: the choice is neither `food11` nor a file that can be read.
        DataError: `classes.txt` is not UTF-8.
    """
    if choice == FOOD11:
        return food11_names()
    if choice is not None:
        try:
            return _lines(Path(choice).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("data.no_names_file", path=choice, known=FOOD11, reason=error) from error
    for name in (root + NAMES_FILE, NAMES_FILE):
        if name in source.names():
            try:
                return _lines(source.read(name))
            except UnicodeDecodeError as error:
                raise DataError("data.names_not_utf8", path=source.path, file=name) from error
    return None


def food11_names() -> tuple[str, ...]:
    """The eleven classes of Food-11, in the homework's order and the current language.

    Example:
        >>> from thalweg.i18n import set_language
        >>> set_language("en")
        >>> food11_names()[:3]
        ('Bread', 'Dairy product', 'Dessert')
    """
    return tuple(t(f"data.food11_{number}") for number in range(11))


def number_classes(
    found: Collection[str], names: tuple[str, ...] | None, *, path: Path, numbered: bool
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Give each class its label.

    If classes are numbers (flat layout, tables of numbers), the label is the number, even if numbers in between are
    missing. Other classes follow the order of the given names, or natural order.

    Args:
        found: the classes of the training split.
        names: names for people, in the order of the labels.
        path: name of the set in an error.
        numbered: whether the classes are numbers.

    Returns:
        The names, and the label of each class.

    Raises:
        DataError: names and classes do not match.

    Example:
        >>> number_classes({"10", "9"}, None, path=Path("food"), numbered=True)[1]["10"]
        10
        >>> number_classes({"dog", "cat"}, None, path=Path("pets"), numbered=False)
        (('cat', 'dog'), {'cat': 0, 'dog': 1})
    """
    if numbered:
        count = 1 + max(int(name) for name in found)
        if names is None and count > 100 + 10 * len(found):
            raise DataError("data.numbers_too_sparse", path=path, count=len(found), largest=count - 1)
        if names is not None and len(names) < count:
            raise DataError("data.too_few_names", path=path, names=len(names), classes=count)
        return names or tuple(map(str, range(count))), {name: int(name) for name in found}
    order = sorted(found, key=natural_key)
    if names is not None and set(names) == set(found):
        order = list(names)
    elif names is not None and len(names) != len(order):
        raise DataError("data.too_few_names", path=path, names=len(names), classes=len(order))
    return names or tuple(order), {name: label for label, name in enumerate(order)}


def _lines(content: bytes) -> tuple[str, ...]:
    return tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())

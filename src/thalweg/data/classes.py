"""From the classes in file names to labels 0, 1, 2, … and names for people."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.data.photos import natural_key
from thalweg.data.spelling import composed, decoded
from thalweg.errors import DataError, UsageError
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from thalweg.data.sources import Source

NAMES_FILE = "classes.txt"
FOOD11 = "food11"
_SHOWN = 5


def given_names(choice: Path | str | Sequence[str] | None, source: Source, root: str) -> tuple[str, ...] | None:
    """The names given by the user, or those in `classes.txt` beside the photos; `None` if there are neither.

    Args:
        choice: `food11` for the homework's eleven classes, a file with one name per line, the names themselves, or
            `None`.
        source: the set.
        root: the folder inside the source where the layout begins.

    Raises:
        UsageError: the choice is neither `food11` nor a file that can be read.
        DataError: `classes.txt` cannot be read, or is not UTF-8.
    """
    if choice == FOOD11:
        return food11_names()
    if choice is not None and not isinstance(choice, str | Path):
        return tuple(choice)
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
    found: Collection[str], names: tuple[str, ...] | None, *, path: Path, numbered: bool, believed: bool = False
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Give each class its label.

    If classes are numbers (flat layout, tables of numbers), the label is the number, even if numbers in between are
    missing, and names follow by position. Names of other classes must contain every class; their order is that of the
    labels, and names without a photo are kept. Without names, the order is natural.

    Args:
        found: the classes of the training split.
        names: names for people, in the order of the labels.
        path: name of the set in an error.
        numbered: whether the classes are numbers.
        believed: whether names that are not the classes' own follow their natural order, as many as there are.

    Returns:
        The names, and the label of each class.

    Raises:
        DataError: names and classes do not match, or a name occurs twice.

    Example:
        >>> number_classes({"10", "9"}, None, path=Path("food"), numbered=True)[1]["10"]
        10
        >>> number_classes({"dog", "cat"}, None, path=Path("pets"), numbered=False)
        (('cat', 'dog'), {'cat': 0, 'dog': 1})
    """
    twice = [name for name, times in Counter(map(composed, names or ())).items() if times > 1]
    if twice and not believed:
        raise DataError("data.names_twice", path=path, names=joined(twice))
    order = sorted(found, key=natural_key)
    own = [composed(name) for name in names or ()]
    label_of = {name: label for label, name in enumerate(own)}
    missing = [name for name in order if composed(name) not in label_of]
    if numbered and (missing or not believed):
        return _by_number(found, names, path)
    if names is None:
        return tuple(order), {name: label for label, name in enumerate(order)}
    if not missing:
        return names, {name: label_of[composed(name)] for name in found}
    if believed and len(names) == len(order):
        return names, {name: label for label, name in enumerate(order)}
    raise _unmatched(missing, own, order, path)


def _by_number(
    found: Collection[str], names: tuple[str, ...] | None, path: Path
) -> tuple[tuple[str, ...], dict[str, int]]:
    label_of = {name: int(name) for name in found}
    count = 1 + max(label_of.values())
    if names and all(name.isdecimal() for name in names) and {int(name) for name in names} >= set(label_of.values()):
        names = None  # the names are the numbers themselves, not names for 0, 1, 2, …
    if names is None and count > 100 + 10 * len(found):
        raise DataError("data.numbers_too_sparse", path=path, count=len(found), largest=count - 1)
    if names is not None and len(names) < count:
        raise DataError("data.too_few_names", path=path, names=len(names), classes=count, largest=count - 1)
    return names or tuple(map(str, range(count))), label_of


def _unmatched(missing: Sequence[str], names: Sequence[str], order: Sequence[str], path: Path) -> DataError:
    """Names that miss some classes: the nearest are offered, or the classes shown if none is near."""
    if len(missing) == len(order) and not {name.casefold() for name in order} & {name.casefold() for name in names}:
        return DataError("data.names_of_others", path=path, classes=_few(order), names=_few(names))
    known = {composed(name) for name in order}
    left = {name.casefold(): name for name in names if name not in known}
    shown = []
    for name in missing:
        nearest = get_close_matches(composed(name).casefold(), left, n=1, cutoff=0.6)
        shown.append(t("data.name_nearest", name=name, nearest=left[nearest[0]]) if nearest else name)
    return DataError("data.names_lack", path=path, count=len(missing), missing=_few(shown))


def _few(names: Sequence[str]) -> str:
    return joined([*names[:_SHOWN], *["…"] * (len(names) > _SHOWN)])


def _lines(content: bytes) -> tuple[str, ...]:
    return tuple(line.strip() for line in decoded(content).splitlines() if line.strip())

"""Which level of the folders of a split is the class."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING
from unicodedata import normalize

from thalweg.data.words import are_serial, is_container, is_paper, listed, words_of
from thalweg.errors import DataError
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from thalweg.data.folders import Folder

# Classes with their folders; the order is that of the folders.
Classes = dict[str, list["Folder"]]

# Words of folders that only split a large set for its download.
_PARTS = listed(
    "part parts batch batches chunk shard fold volume vol disk disc archive images image img imgs split 第 部分"
)
_SHOWN = 4
_FEW = 5  # pictures in a folder such as `docs`


def classes_of(folder: Folder, path: Path) -> Classes:
    """The classes of a training split: folders in it, or the folders in those.

    Args:
        folder: of the split; wrappers are stepped into.
        path: name of the set in an error.

    Returns:
        The folders of each class; empty if the photos lie in no class folders.

    Raises:
        DataError: two levels of folders may be the classes.
    """
    folder = unwrapped(folder)
    outer = _without_papers(folder.folders)
    if not outer or parts_of(folder):
        return {}
    inner = _inner(outer.values())
    if _outer_is_class(outer, inner):
        return _named(outer.items())
    if _inner_is_class(outer, inner):
        return _named((name, one) for batch in outer.values() for name, one in steps_of(batch).items())
    raise _two_levels(outer, inner, path)


def classes_like(folder: Folder, known: Collection[str]) -> Classes:
    """The classes of another split: the level whose folders have the names of the training split's classes.

    Returns:
        The folders of each class, spelled as in training; empty if no level agrees in at least half of its folders.
    """
    spelling = {_plain(name): name for name in known} | {name: name for name in known}
    level = [folder]
    for _ in range(4):
        steps = ((name, one) for each in level for name, one in each.folders.items())
        below = _named((spelling.get(name, spelling.get(_plain(name), name)), one) for name, one in steps)
        if sum(name in known for name in below) * 2 >= len(below) > 0:
            return below
        level = [one for each in below.values() for one in each]
        if not level:
            break
    return {}


def unwrapped(folder: Folder) -> Folder:
    """The folder, or the only one in it that holds nearly everything: `seg_train/seg_train`, `train/images`."""
    while len(folder.folders) == 1:
        (only,) = folder.folders.values()
        if len(folder.paths) > only.count / 10:
            break
        wraps = only.folders or is_container(only.name) or only.name.casefold() == folder.name.casefold()
        if not wraps and not only.numbered:
            break
        folder = only
    return folder


def parts_of(folder: Folder) -> list[Folder]:
    """The folders in a folder, if they only divide its photos for a download, such as `_part_1` and `_part_2`."""
    parts = folder.folders
    counted = len(parts) > 1 and are_serial(parts) and all(_PARTS.intersection(words_of(name)) for name in parts)
    return [] if not counted or any(one.folders for one in parts.values()) else list(parts.values())


def steps_of(folder: Folder) -> dict[str, Folder]:
    """The folders in a folder, or in the `images` in it."""
    while len(folder.folders) == 1 and not folder.paths:
        (only,) = folder.folders.values()
        if not is_container(only.name):
            break
        folder = only
    return folder.folders


def _named(folders: Iterable[tuple[str, Folder]]) -> Classes:
    """The folders by name; composed and decomposed accents are one."""
    found: Classes = defaultdict(list)
    for name, folder in folders:
        found[normalize("NFC", name)].append(folder)
    return dict(found)


def _plain(name: str) -> str:
    """A name without what splits often spell differently: case, accents composed or not, leading zeros."""
    return str(int(name)) if name.isascii() and name.isdecimal() else normalize("NFC", name).casefold().strip()


def _without_papers(folders: Mapping[str, Folder]) -> dict[str, Folder]:
    """Leave out a folder such as `docs`, which has few pictures where each class has many."""
    least = min((one.count for name, one in folders.items() if not is_paper(name)), default=0)
    return {name: one for name, one in folders.items() if not (is_paper(name) and one.count <= min(least / 4, _FEW))}


def _inner(outer: Collection[Folder]) -> list[Mapping[str, Folder]]:
    """The folders in each folder whose photos lie in folders."""
    deep = [one for one in outer if one.below >= 0.8 * one.count]
    return [steps for one in deep if (steps := steps_of(one))]


def _outer_is_class(outer: Mapping[str, Folder], inner: Sequence[Mapping[str, Folder]]) -> bool:
    if len(inner) * 2 <= len(outer):
        return True
    names = {name for steps in inner for name in steps}
    if len(names) == 1 or all(map(is_container, names)):
        return True
    if all(_belong_to(outer_name, steps_of(one)) for outer_name, one in outer.items()):
        return True
    counted = are_serial(outer)
    if all(len(steps) == 1 for steps in inner):
        return not counted
    parts_inside = all(name.isdecimal() or _PARTS.intersection(words_of(name)) for name in names)
    if counted:
        pure = all(name.isdecimal() or _PARTS.intersection(words_of(name)) for name in outer)
        return parts_inside and not pure
    return are_serial(names) or parts_inside or all(are_serial(steps) for steps in inner)


def _belong_to(name: str, steps: Mapping[str, Folder]) -> bool:
    """Whether folders repeat the name of the folder that they lie in: `dog/dog_1`."""
    return all(step.casefold().startswith(name.casefold()) and len(name) > 1 for step in steps)


def _inner_is_class(outer: Mapping[str, Folder], inner: Sequence[Mapping[str, Folder]]) -> bool:
    names = {name for steps in inner for name in steps}
    if are_serial(outer):
        return not are_serial(names) or all(_PARTS.intersection(words_of(name)) for name in outer)
    return all(len(name) == 1 for name in outer) and all(
        step[:1].casefold() == name.casefold() for name, one in outer.items() for step in steps_of(one)
    )


def _two_levels(outer: Mapping[str, Folder], inner: Sequence[Mapping[str, Folder]], path: Path) -> DataError:
    some = next(iter(outer.values()))
    level = some.path.count("/")
    step = next(iter(inner[0].values()))
    deeper = step.path.count("/")
    counts = Counter(name for steps in inner for name in steps)
    return DataError(
        "data.two_readings",
        path=path,
        first=reading_text(level, outer),
        first_flag=f"--photo-layout class-folders:{level}",
        second=reading_text(deeper, counts),
        second_flag=f"--photo-layout class-folders:{deeper}",
    )


def reading_text(level: int, names: Collection[str]) -> str:
    """A reading in words: how many classes, some of their names."""
    shown = joined(sorted(names)[:_SHOWN])
    return t("data.reading_level", level=level, count=len(names), names=shown + " …" * (len(names) > _SHOWN))

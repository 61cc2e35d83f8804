"""Where a set begins inside its folders, and which of them hold its splits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from thalweg.data.folders import Folder
from thalweg.data.words import SPLIT_NAMES, is_container, is_mask, is_paper, is_unlabeled, rest_of, split_word
from thalweg.errors import DataError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from thalweg.data.photos import Split
    from thalweg.data.words import Word

# The largest share of pictures outside a set that lies beside them.
BESIDE = 0.25


@dataclass(frozen=True)
class Groups:
    """The folders of each split.

    Attributes:
        root: the folder where the set begins.
        splits: the folders of each split.
        aside: pictures that repeat or explain the photos, or have no class: a copy of the set, masks, `unlabeled`.
        stated: whether a folder is named for the training split, so that the others are splits, too.
    """

    root: Folder
    splits: Mapping[Split, list[Folder]]
    aside: list[str] = field(default_factory=list)
    stated: bool = False


def groups_of(tree: Folder, path: Path) -> Groups:
    """Find where a set begins, and its splits.

    Args:
        tree: all pictures.
        path: name of the set in an error.

    Raises:
        DataError: several sets lie beside each other.
    """
    aside = _pruned(tree)
    here = tree
    while True:
        found = _split_level(here)
        if found is None and (crossed := _splits_inside_classes(here, path)):
            found = Groups(here, crossed, stated=True)
        if found is not None:
            return replace(found, aside=aside)
        inner = _set_inside(here)
        if inner is None:
            return Groups(here, {"train": [here]}, aside)
        here = inner


def virtual(folder: Folder, folders: Iterable[Folder]) -> Folder:
    """A folder with only some of its folders."""
    return Folder(folder.name, folder.path, folder.paths, {one.name: one for one in folders})


def _pruned(folder: Folder) -> list[str]:
    """Take out what only repeats or explains the photos: a second copy inside a folder, masks, unlabeled photos."""
    out: list[str] = []
    siblings = folder.folders
    spelled: dict[str, Folder] = {}
    for name, one in list(siblings.items()):
        twin = spelled.setdefault(name.casefold(), one)
        again = twin is not one and twin.folders.keys() == one.folders.keys() and [*twin.files] == [*one.files]
        if again or _is_aside(name, folder):
            out += siblings.pop(name).pictures()
            continue
        out += _pruned(one)
        if not one.paths and not one.folders:
            del siblings[name]
    return out


def _is_aside(name: str, parent: Folder) -> bool:
    siblings = parent.folders
    if name.casefold() == parent.name.casefold() and len(siblings) > 1:
        return len(siblings[name].folders.keys() & siblings.keys()) * 2 > len(siblings) - 1
    if is_mask(name):
        return any(is_container(other) and not is_mask(other) for other in siblings if other != name)
    return len(siblings) > 1 and is_unlabeled(name)


def _split_level(here: Folder) -> Groups | None:
    """The splits directly in a folder; `None` if its folders are none."""
    words = {name: word for name in here.folders if (word := split_word(name))}
    if not words:
        return None
    plain = {name for name, word in words.items() if not word.rest}
    others = [folder for name, folder in here.folders.items() if name not in words]
    if _is_class_among(here, words, others):
        return None
    if any(words[name].split == "train" for name in plain):
        return _stated(here, words, plain)
    by_rest: dict[str, set[str]] = defaultdict(set)
    for name, word in words.items():
        if word.rest:
            by_rest[word.rest].add(name)
    agreeing = {rest: names for rest, names in by_rest.items() if len({words[name].split for name in names}) > 1}
    agreeing = {rest: names for rest, names in agreeing.items() if any(words[n].split == "train" for n in names)}
    if len(agreeing) > 1:
        return _class_in_the_affix(here, words, agreeing)
    if agreeing:
        return _stated(here, words, plain | next(iter(agreeing.values())))
    return _unstated(here, words, plain, others)


def _is_class_among(here: Folder, words: Mapping[str, Word], others: list[Folder]) -> bool:
    """Whether the only split folder is in fact a class beside others, such as photos of trains in `train`."""
    if len(words) != 1 or sum(not is_paper(one.name) for one in others) < 1:
        return False
    ((name, word),) = words.items()
    folder = here.folders[name]
    if folder.folders or folder.numbered or not any(one.count for one in others):
        return False
    if word.split == "train":
        return not _has_prefixes(folder)
    stems = {file.rpartition(".")[0] for file in folder.files}
    alike = any(set(one.files) == set(folder.files) for one in others)
    return alike and not all(stem.isdecimal() for stem in stems)


def _has_prefixes(folder: Folder) -> bool:
    return len(folder.prefixes) > 1 and folder.prefixes.total() > 3 * len(folder.prefixes)


def _stated(here: Folder, words: Mapping[str, Word], chosen: set[str]) -> Groups:
    """The splits that folders state; of several test folders, the one named for it alone."""
    splits: dict[Split, list[Folder]] = defaultdict(list)
    covered = {words[name].split for name in chosen if not words[name].late}
    for name in sorted(here.folders):
        word = words.get(name)
        if word is None or (word.late and word.split in covered):
            continue
        if name in chosen or word.split not in covered:
            splits[word.split].append(here.folders[name])
    return Groups(here, dict(splits), stated=True)


def _class_in_the_affix(here: Folder, words: Mapping[str, Word], agreeing: Mapping[str, set[str]]) -> Groups:
    """Folders such as `train_cat`, `train_dog`, `test_cat`: the rest of the name is the class."""
    names = sorted(set().union(*agreeing.values()))
    members: list[tuple[Split, str, Folder]] = [(words[n].split, words[n].rest, here.folders[n]) for n in names]
    return Groups(here, _gathered(here, members), stated=True)


def _gathered(here: Folder, members: Iterable[tuple[Split, str, Folder]]) -> dict[Split, list[Folder]]:
    """For each split a folder with its classes, which lie elsewhere."""
    splits: dict[Split, list[Folder]] = {}
    for split, name, folder in members:
        layers = splits.setdefault(split, [Folder("", here.path)])
        if name in layers[-1].folders:
            layers.append(Folder("", here.path))
        layers[-1].folders[name] = folder
    return splits


def _unstated(here: Folder, words: Mapping[str, Word], plain: set[str], others: list[Folder]) -> Groups | None:
    """The training split is what lies beside `test` or `valid`: one folder with classes, or the classes themselves."""
    twins = [one for one in others if any(word.rest and rest_of(one.name) == word.rest for word in words.values())]
    sets = [one for one in others if len(one.folders) > 1]
    if len(twins) == 1 and twins[0].folders:
        train, chosen = twins[0], {n for n, word in words.items() if word.rest == rest_of(twins[0].name)} | plain
    elif len(others) == len(sets) == 1:
        train, chosen = sets[0], set(words)
    elif plain and (len(others) > 1 or (here.numbered and not others)):
        train, chosen = virtual(here, [*others, *(here.folders[name] for name in words.keys() - plain)]), plain
    elif plain and not others and plain == words.keys() and any(name.casefold() in SPLIT_NAMES for name in plain):
        return _stated(here, words, plain)  # only a test split: there is nothing to train on
    else:
        return None
    splits: dict[Split, list[Folder]] = defaultdict(list)
    splits["train"].append(train)
    covered = {words[name].split for name in chosen if not words[name].late}
    for name in sorted(chosen):
        if not (words[name].late and words[name].split in covered):
            splits[words[name].split].append(here.folders[name])
    return Groups(here, dict(splits))


def _splits_inside_classes(here: Folder, path: Path) -> dict[Split, list[Folder]] | None:
    """The splits, where each class has its own: `cat/train`, `cat/test`, `dog/train`.

    Raises:
        DataError: each folder is a whole set of its own, such as the folds `fold0/train/cat`.
    """
    inside = {one.name: level for one in here.folders.values() if (level := _stated_level(one)) is not None}
    if len(inside) < 2 or sum(here.folders[name].count for name in inside) * 2 < here.count:
        return None
    trains = [folder for level in inside.values() for folder in level.splits.get("train", [])]
    if any(folder.folders or folder.numbered for folder in trains):
        sets = sorted(here.folders[name].path for name in inside)
        raise DataError("data.several_sets", path=path, sets=joined(f"{path}/{one[:-1]}" for one in sets[:3]))
    return _gathered(
        here,
        (
            (split, name, folder)
            for name, level in inside.items()
            for split, folders in level.splits.items()
            for folder in folders
        ),
    )


def _stated_level(folder: Folder) -> Groups | None:
    """The splits in a folder, or in the one folder in it."""
    while True:
        level = _split_level(folder)
        if level is not None and level.stated and "train" in level.splits:
            return level
        if len(folder.folders) != 1 or folder.paths:
            return None
        (folder,) = folder.folders.values()


def _set_inside(here: Folder) -> Folder | None:
    """The one folder in which the set lies; `None` if it lies in this one."""
    if not here.folders:
        return None
    with_splits = [one for one in here.folders.values() if _stated_level(one) is not None]
    if len(with_splits) == 1 and here.count - with_splits[0].count <= BESIDE * here.count:
        return with_splits[0]
    flat = [one for one in here.folders.values() if one.numbered > 1 and one.numbered == len(one.paths)]
    if len(flat) == 1 and here.count - flat[0].count <= BESIDE * here.count and not here.numbered:
        return flat[0]
    candidates = [one for one in here.folders.values() if not is_paper(one.name)]
    beside = here.count - candidates[0].count if len(candidates) == 1 else here.count
    if len(candidates) != 1 or beside > BESIDE * here.count or (here.numbered and here.numbered == len(here.paths)):
        return None
    (only,) = candidates
    deeper = bool(only.folders) or only.numbered > 0 or _has_prefixes(only)
    return only if deeper else None

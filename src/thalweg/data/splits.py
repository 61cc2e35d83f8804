"""Validation splits: a share of every class for a set that has none, and K folds.

Both follow a hash with the seed, never a random generator: the choice is the same on every machine and in every
version.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING

from thalweg.data.archives import ZipSource
from thalweg.data.digests import digests_of
from thalweg.data.photos import in_natural_order
from thalweg.data.sources import BesideSource, FolderSource
from thalweg.data.stratified import folds_of_several
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thalweg.data.photos import ImageSet, Photo
    from thalweg.data.sources import Source
    from thalweg.data.walking import Progress


def choose_valid(
    photos: Iterable[tuple[str, str | None]],
    *,
    seed: int,
    fraction: float,
    copies: Mapping[str, str] = MappingProxyType({}),
) -> set[str]:
    """Choose the photos of a validation split.

    The order is by a hash of seed and path, so photos added later hardly change the choice. Copies of one content stay
    together, unless a class has nothing else.

    Args:
        photos: path and class of each photo.
        seed: part of the hash.
        copies: the content of each photo that has a copy, from `copies_in`.
        fraction: share of each class, in (0, 1); a class of two or more photos gives at least one and keeps one.

    Returns:
        The chosen paths.

    Raises:
        UsageError: the fraction is not between 0 and 1.

    Example:
        >>> chosen = choose_valid([(f"cat/{n}.jpg", "cat") for n in range(10)], seed=0, fraction=0.2)
        >>> len(chosen)
        2
    """
    if not 0 < fraction < 1:
        raise UsageError("data.bad_fraction", fraction=fraction)
    by_class: dict[str | None, list[str]] = defaultdict(list)
    for path, name in photos:
        by_class[name].append(path)
    chosen: set[str] = set()
    validates: dict[str, bool] = {}  # for a content in two classes, the first class decides
    for paths in by_class.values():
        paths.sort(key=lambda path: blake2b(f"{seed}:{path}".encode()).digest())
        groups: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            groups[copies.get(path, path)].append(path)
        wanted = min(max(round(fraction * len(paths)), 1), len(paths) - 1)
        if len(groups) == 1:  # copies of one photo only: no split keeps them together
            chosen.update(paths[:wanted])
            continue
        last = len(groups) - 1
        for position, (content, group) in enumerate(groups.items()):
            fits = wanted > 0 and position < last
            if validates.setdefault(content, fits):
                chosen.update(group)
                wanted -= len(group)
    return chosen


def copies_in(source: Source, paths: Sequence[str], *, progress: Progress | None = None) -> dict[str, str]:
    """The content of each file that has a copy among others: only files of equal size are read.

    Args:
        source: where the files are.
        paths: which files.
        progress: called with (files read, files to read).
    """
    sizes, stamps = _sizes_and_stamps(source, paths)
    counts = Counter(sizes)
    alone = [counts[size] == 1 for size in sizes]
    del sizes, counts
    names = [path for path, is_alone in zip(paths, alone, strict=True) if not is_alone]
    if not names:
        return {}
    stamps = [stamp for stamp, is_alone in zip(stamps, alone, strict=True) if not is_alone]
    digests = digests_of(source, names, stamps=stamps, progress=progress)
    often = Counter(digests)
    return {path: one for path, one in zip(names, digests, strict=True) if one is not None and often[one] > 1}


def _sizes_and_stamps(source: Source, paths: Sequence[str]) -> tuple[Sequence[object], Sequence[str | None]]:
    """The size of each file in a folder; in a zip, the checksum and the size; in other archives, unknown. The stamps.

    A file that does not exist has a size of its own.
    """
    folder = source.photos if isinstance(source, BesideSource) else source
    if not isinstance(folder, FolderSource):
        stamps = [source.stamp(path) for path in paths]
        return (stamps if isinstance(source, ZipSource) else [None] * len(paths)), stamps
    sizes, found = [], []
    for path in paths:
        size, stamp = folder.size_and_stamp(path) or (path, None)
        sizes.append(size)
        found.append(stamp)
    return sizes, found


def fold_of(images: ImageSet, *, folds: int, fold: int, seed: int) -> ImageSet:
    """The set with one fold as its validation split and the others as its training split; the test split stays.

    Training and validation photos are pooled. Each class is dealt evenly to the folds, in order of a hash of seed and
    content, so the folds are the same on every machine and photos of equal content share a fold.

    Args:
        images: the set.
        folds: K, at least 2.
        fold: the fold that validates, in 0 to K - 1.
        seed: part of the hash.

    Raises:
        UsageError: a class has fewer different photos than there are folds.
    """
    photos = [photo for photo in images.photos if photo.split != "test" and photo.is_labeled]
    contents = digests_of(images.source, [photo.path for photo in photos])
    if images.several:
        return _with_fold(images, photos, _fold_of_several(images, photos, contents, (folds, fold), seed))
    by_class: dict[int | None, dict[str, list[Photo]]] = defaultdict(lambda: defaultdict(list))
    for photo, content in zip(photos, contents, strict=True):
        by_class[photo.label][content or photo.path].append(photo)
    chosen: set[str] = set()
    seen: dict[str, int] = {}  # for a content in two classes, the first class decides
    for label, groups in sorted(by_class.items(), key=lambda item: item[0] or 0):
        if len(groups) < folds:
            name = images.classes[label or 0]
            raise UsageError("data.too_many_folds", folds=folds, name=name, count=len(groups))
        keys = sorted(groups, key=lambda key: blake2b(f"{seed}:{key}".encode()).digest())
        for position, key in enumerate(keys):
            if seen.setdefault(key, position % folds) == fold:
                chosen.update(photo.path for photo in groups[key])
    return _with_fold(images, photos, chosen)


def _fold_of_several(
    images: ImageSet, photos: Sequence[Photo], contents: Sequence[str | None], which: tuple[int, int], seed: int
) -> set[str]:
    """The photos of a fold where photos may have several labels; `which` is K, and the fold."""
    folds, fold = which
    counts = Counter(label for photo in photos for label in photo.all_labels)
    for label, name in enumerate(images.classes):
        if 0 < counts[label] < folds:
            raise UsageError("data.too_many_folds", folds=folds, name=name, count=counts[label])
    labeled = [(photo.path, [images.classes[label] for label in photo.all_labels]) for photo in photos]
    known = {photo.path: content for photo, content in zip(photos, contents, strict=True) if content}
    dealt = folds_of_several(labeled, folds, seed=seed, contents=known)
    return {path for path, of_fold in dealt.items() if of_fold == fold}


def _with_fold(images: ImageSet, photos: Sequence[Photo], chosen: set[str]) -> ImageSet:
    """The set with the chosen photos as its validation split."""
    moved = [replace(photo, split="valid" if photo.path in chosen else "train") for photo in photos]
    kept = [photo for photo in images.photos if photo.split == "test"]
    notes = tuple(note for note in images.notes if note.key != "data.note_split_made")  # folds replace that split
    return replace(images, photos=in_natural_order([*moved, *kept]), notes=notes)

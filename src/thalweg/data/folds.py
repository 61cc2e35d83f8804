"""Folds: the labelled photos in K parts, each of which is once what the others are validated on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from thalweg.data.digests import digests_of
from thalweg.data.photos import by_split
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from thalweg.data.photos import ImageSet, Photo


def fold_of(images: ImageSet, *, folds: int, fold: int, seed: int) -> ImageSet:
    """The set with one fold as its validation split, and the others as its training split; the test split stays.

    Training and validation photos are taken together. Every class is spread evenly, in an order by a hash of seed and
    content, so that the folds are the same on every machine, and photos of the same content are never in two of them.

    Args:
        images: the set.
        folds: K, at least 2.
        fold: which of them validates, in 0 to K - 1.
        seed: another seed, other folds.

    Raises:
        UsageError: a class has fewer different photos than there are folds.
    """
    photos = [photo for photo in images.photos if photo.split != "test" and photo.label is not None]
    contents = digests_of(images.source, [photo.path for photo in photos])
    by_class: dict[int | None, dict[str, list[Photo]]] = defaultdict(lambda: defaultdict(list))
    for photo, content in zip(photos, contents, strict=True):
        by_class[photo.label][content or photo.path].append(photo)
    chosen: set[str] = set()
    seen: dict[str, int] = {}  # of a content that is in two classes, the first decides
    for label, groups in sorted(by_class.items(), key=lambda item: item[0] or 0):
        if len(groups) < folds:
            name = images.classes[label or 0]
            raise UsageError("data.too_many_folds", folds=folds, name=name, count=len(groups))
        keys = sorted(groups, key=lambda key: blake2b(f"{seed}:{key}".encode()).digest())
        for position, key in enumerate(keys):
            if seen.setdefault(key, position % folds) == fold:
                chosen.update(photo.path for photo in groups[key])
    moved = [replace(photo, split="valid" if photo.path in chosen else "train") for photo in photos]
    kept = [photo for photo in images.photos if photo.split == "test"]
    notes = tuple(note for note in images.notes if note.key != "data.note_split_made")  # that split is no longer there
    return replace(images, photos=tuple(sorted([*moved, *kept], key=by_split)), notes=notes)

"""What is wrong, or merely unusual, with a set of photos, before a training finds out the hard way."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.data.cache import BadImage
from thalweg.data.decoding import quiet
from thalweg.data.duplicates import near_duplicates
from thalweg.data.inspection import ODDITIES, Facts, Oddity, inspect
from thalweg.data.parallel import in_order
from thalweg.data.photos import SPLITS, ImageSet, Layout, Note, Photo, Split
from thalweg.errors import BadImageError, DataError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# Smaller pictures are so alike that nearly the same tells nothing: two T-shirts of 28 pixels are not a leak.
MIN_SIDE_FOR_NEAR = 64
# From this ratio of the largest to the smallest class on, the imbalance is worth a warning.
WORTH_TELLING = 3.0

_EXAMPLES = 5


@dataclass(frozen=True)
class Duplicate:
    """Photos of different splits, or of different classes, that show the same.

    Attributes:
        paths: which photos.
        splits: the split of each.
        classes: the class of each, `None` where it is not known.
        correlation: 1 for equal files; for similar pictures what `near_duplicates` found.
        mirrored: whether they are mirror images of one another.
    """

    paths: tuple[str, ...]
    splits: tuple[Split, ...]
    classes: tuple[str | None, ...]
    correlation: float = 1.0
    mirrored: bool = False


@dataclass(frozen=True)
class Range:
    """Smallest, median and largest of something."""

    smallest: int
    median: int
    largest: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Range:
        """The range of some values, at least one."""
        return cls(min(values), int(np.median(values)), max(values))


@dataclass(frozen=True)
class Check:
    """What a check of a set has found.

    Attributes:
        root: the set.
        layout: which one was found.
        photos: how many there are.
        counts: photos for each split and class; unlabelled ones are counted under the empty name.
        width: in pixels.
        height: in pixels.
        size_bytes: of the files.
        imbalance: photos of the largest class of the training split, to those of the smallest that has any.
        bad: photos that cannot be used.
        oddities: paths of photos that are unusual, and handled, by what is unusual.
        repeated: how many photos repeat the file of another, whatever the split.
        leaks: the same file in different splits.
        near_leaks: nearly the same picture in different splits.
        near_checked: how many photos were large enough to look for those.
        conflicts: the same file under different classes.
        notes: what was said when the set was opened.
    """

    root: str
    layout: Layout
    photos: int
    counts: Mapping[Split, Mapping[str, int]]
    width: Range
    height: Range
    size_bytes: Range
    imbalance: float
    bad: tuple[BadImage, ...]
    oddities: Mapping[Oddity, tuple[str, ...]]
    repeated: int
    leaks: tuple[Duplicate, ...]
    near_leaks: tuple[Duplicate, ...]
    near_checked: int
    conflicts: tuple[Duplicate, ...]
    notes: tuple[Note, ...]

    def warnings(self) -> tuple[Note, ...]:
        """What a person should know before training, the gravest first."""
        found: list[Note] = []
        if self.conflicts:
            found.append(_told("data.warn_conflicts", self.conflicts))
        if self.leaks:
            found.append(_told("data.warn_leaks", self.leaks))
        if self.near_leaks:
            found.append(_told("data.warn_near_leaks", self.near_leaks, " ≈ "))
        if self.bad:
            found.append(Note("data.warn_bad", {"count": len(self.bad), "examples": _first(map(str, self.bad))}))
        if self.imbalance >= WORTH_TELLING:
            counts = {name: count for name, count in self.counts["train"].items() if count}
            largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
            values = {"ratio": self.imbalance, "largest": largest, "smallest": smallest}
            found.append(Note("data.warn_imbalance", values))
        return (*found, *self.notes)

    def to_json(self) -> dict[str, Any]:
        """Everything found, as JSON's types; sentences in the language in force."""
        return asdict(self) | {
            "bad": [{"path": image.path, "reason": str(image.reason)} for image in self.bad],
            "notes": [str(note) for note in self.notes],
            "warnings": [str(warning) for warning in self.warnings()],
        }


def check_images(
    images: ImageSet, *, progress: Callable[[int, int], None] | None = None, workers: int | None = None
) -> Check:
    """Read and decode every photo of a set, and look for what is wrong.

    Args:
        images: the set.
        progress: called with (photos done, photos).
        workers: threads; one a core by default.

    Raises:
        DataError: none of the photos can be used.

    Example:
        >>> from thalweg.data import open_images
        >>> check = check_images(open_images("builtin"))
        >>> check.imbalance, check.leaks, check.width.median
        (1.0, (), 28)
    """

    def look(photo: Photo) -> Facts | BadImageError:
        try:
            return inspect(images.read(photo), photo.path)
        except BadImageError as error:
            return error

    good: list[tuple[Photo, Facts]] = []
    bad: list[BadImage] = []
    with quiet():
        for done, (photo, result) in enumerate(
            zip(images.photos, in_order(look, images.photos, workers=workers), strict=True), start=1
        ):
            if isinstance(result, BadImageError):
                bad.append(BadImage(photo.path, Note(result.key, result.values)))
            else:
                good.append((photo, result))
            if progress:
                progress(done, len(images.photos))
    if not good:
        raise DataError("data.no_usable_image", count=len(bad), first=bad[0])
    same = _same_files(good)
    counts = _counts(images)
    near, near_checked = _near_leaks(images, good)
    in_training = [count for count in counts.get("train", {}).values() if count]
    return Check(
        root=str(images.root),
        layout=images.layout,
        photos=len(images.photos),
        counts=counts,
        width=Range.of([facts.width for _, facts in good]),
        height=Range.of([facts.height for _, facts in good]),
        size_bytes=Range.of([facts.size_bytes for _, facts in good]),
        imbalance=max(in_training) / min(in_training) if in_training else 1.0,
        bad=tuple(bad),
        oddities={
            oddity: tuple(photo.path for photo, facts in good if oddity in facts.oddities) for oddity in ODDITIES
        },
        repeated=sum(len(group) - 1 for group in same),
        leaks=tuple(_duplicate(images, group) for group in same if len({photo.split for photo in group}) > 1),
        near_leaks=near,
        near_checked=near_checked,
        conflicts=tuple(_duplicate(images, group) for group in same if len(_labels(group)) > 1),
        notes=images.notes,
    )


def _told(key: str, duplicates: Sequence[Duplicate], sign: str = " = ") -> Note:
    examples = _first(sign.join(duplicate.paths) for duplicate in duplicates)
    return Note(key, {"count": len(duplicates), "examples": examples})


def _first(lines: Iterable[str]) -> str:
    """The first few, one below the other; dots where there are more."""
    lines = list(lines)
    return "\n  ".join(lines[:_EXAMPLES] + ["…"] * (len(lines) > _EXAMPLES))


def _counts(images: ImageSet) -> dict[Split, dict[str, int]]:
    counts: dict[Split, dict[str, int]] = {}
    for split in SPLITS:
        labels = Counter(photo.label for photo in images.split(split))
        if labels:
            named = {name: labels[label] for label, name in enumerate(images.classes) if labels.keys() - {None}}
            counts[split] = named | ({"": labels[None]} if labels[None] else {})
    return counts


def _same_files(good: Sequence[tuple[Photo, Facts]]) -> list[list[Photo]]:
    by_digest: dict[str, list[Photo]] = defaultdict(list)
    for photo, facts in good:
        by_digest[facts.digest].append(photo)
    return [group for group in by_digest.values() if len(group) > 1]


def _labels(group: Sequence[Photo]) -> set[int]:
    return {photo.label for photo in group if photo.label is not None}


def _duplicate(images: ImageSet, group: Sequence[Photo], **found: Any) -> Duplicate:
    classes = tuple(None if photo.label is None else images.classes[photo.label] for photo in group)
    return Duplicate(tuple(photo.path for photo in group), tuple(photo.split for photo in group), classes, **found)


def _near_leaks(images: ImageSet, good: Sequence[tuple[Photo, Facts]]) -> tuple[tuple[Duplicate, ...], int]:
    large = [(photo, facts) for photo, facts in good if min(facts.width, facts.height) >= MIN_SIDE_FOR_NEAR]
    found: list[Duplicate] = []
    for one, other in combinations(SPLITS, 2):
        left = [(photo, facts) for photo, facts in large if photo.split == one]
        right = [(photo, facts) for photo, facts in large if photo.split == other]
        if not left or not right:
            continue
        for pair in near_duplicates(_thumbnails(left), _thumbnails(right)):
            (photo, facts), (twin, twin_facts) = left[pair.left], right[pair.right]
            if facts.digest != twin_facts.digest:
                similar = {"correlation": pair.correlation, "mirrored": pair.mirrored}
                found.append(_duplicate(images, [photo, twin], **similar))
    return tuple(found), len(large)


def _thumbnails(photos: Sequence[tuple[Photo, Facts]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([facts.thumbnail_HWC for _, facts in photos])

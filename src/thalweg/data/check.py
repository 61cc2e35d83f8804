"""The check of a set of photos: what is wrong or unusual, reported before training."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from thalweg._notebook import shown_as
from thalweg.data.decoding import orientation, quiet, reading, to_square
from thalweg.data.digests import digest
from thalweg.data.duplicates import THUMBNAIL, near_duplicates
from thalweg.data.levels import levels_of, rendering_with
from thalweg.data.manifest import BadImage
from thalweg.data.parallel import in_order
from thalweg.data.photos import SPLITS, ImageSet, Layout, Photo, Split
from thalweg.data.rendering import Rendering
from thalweg.data.sources import Note
from thalweg.errors import BadImageError, DataError
from thalweg.i18n import shown


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Oddity = Literal[
    "wrong_extension", "sixteen_bit", "cmyk", "palette", "alpha", "on_black", "rotated", "animated", "large"
]

ODDITIES: tuple[Oddity, ...] = get_args(Oddity)

LARGE_PIXELS = 50_000_000
# Smaller pictures look too much alike: two T-shirts of 28 pixels are not a leak.
MIN_SIDE_FOR_NEAR = 64
# The smallest ratio of the largest class to the smallest that is worth a warning.
IMBALANCED = 3.0

_EXAMPLES = 5
_DARK = 32  # of 256 levels
_BITS_OF_PNG = 24  # the byte of the header with the bits per channel
_BITS_OF_TIFF = 258  # the tag with the bits per channel


@dataclass(frozen=True, eq=False)
class Facts:
    """What the file of one photo contains.

    Attributes:
        digest: of the file.
        size_bytes: size of the file.
        width: in pixels, as stored.
        height: in pixels, as stored.
        oddities: what is unusual about it, though handled.
        thumbnail_HWC: the photo at 32 × 32 pixels, of shape (32, 32, 3).
    """

    digest: str
    size_bytes: int
    width: int
    height: int
    oddities: frozenset[Oddity]
    thumbnail_HWC: NDArray[np.uint8]


@dataclass(frozen=True)
class Duplicate:
    """Photos of different splits or classes that show the same picture.

    Attributes:
        paths: which photos.
        splits: the split of each.
        classes: the class of each; `None` if unknown.
        correlation: 1 for equal files; for similar pictures the correlation of `near_duplicates`.
        mirrored: whether they are mirror images of each other.
    """

    paths: tuple[str, ...]
    splits: tuple[Split, ...]
    classes: tuple[str | None, ...]
    correlation: float = 1.0
    mirrored: bool = False


@dataclass(frozen=True)
class Range:
    """Smallest, median and largest value of a quantity."""

    smallest: int
    median: int
    largest: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Range:
        """The range of one or more values."""
        return cls(min(values), int(np.median(values)), max(values))


@dataclass(frozen=True)
class Check:
    """The findings of a check.

    Attributes:
        root: the folder, the table or the archive.
        layout: how classes and splits are laid out.
        photos: number of photos.
        counts: photos per split and class; those without a label count under the empty name, those of several classes
            under each.
        width: in pixels.
        height: in pixels.
        size_bytes: size of the files.
        imbalance: ratio of the largest class of the training split to the smallest that is not empty.
        bad: photos that cannot be used.
        oddities: paths of photos that are unusual though handled, by what is unusual.
        repeated: photos whose file equals an earlier one, in any split.
        leaks: equal files in different splits.
        near_leaks: nearly equal pictures in different splits.
        near_checked: photos large enough to be compared for near leaks.
        conflicts: equal files of different classes.
        notes: messages from opening the set.
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

    _repr_html_ = shown_as("check")

    def warnings(self) -> tuple[Note, ...]:
        """What the user should know before training, the most serious first."""
        found: list[Note] = []
        if self.conflicts:
            found.append(_listed("data.warn_conflicts", self.conflicts))
        if self.leaks:
            found.append(_listed("data.warn_leaks", self.leaks))
        if self.near_leaks:
            found.append(_listed("data.warn_near_leaks", self.near_leaks, " ≈ "))
        if self.bad:
            found.append(Note("data.warn_bad", {"count": len(self.bad), "examples": _first(map(str, self.bad))}))
        if self.imbalance >= IMBALANCED:
            counts = {name: count for name, count in self.counts["train"].items() if count and name}
            largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
            values = {"ratio": self.imbalance, "largest": largest, "smallest": smallest}
            found.append(Note("data.warn_imbalance", values))
        return (*found, *self.notes)

    def to_json(self) -> dict[str, Any]:
        """All findings as JSON types; sentences in the current language."""
        return asdict(self) | {
            "bad": [{"path": image.path, "reason": str(image.reason)} for image in self.bad],
            "notes": [str(note) for note in self.notes],
            "warnings": [str(warning) for warning in self.warnings()],
        }


def check_images(
    images: ImageSet, *, progress: Callable[[int, int], None] | None = None, workers: int | None = None
) -> Check:
    """Read and decode every photo of a set and report what is wrong.

    Args:
        images: the set.
        progress: called with (photos done, photos).
        workers: threads; one per core by default.

    Raises:
        DataError: no photo can be used.

    Example:
        >>> from thalweg.data import open_images
        >>> check = check_images(open_images("builtin"))
        >>> check.imbalance, check.leaks, check.width.median
        (1.0, (), 28)
    """

    def look(photo: Photo, rendering: Rendering | None = None) -> Facts | BadImageError:
        try:
            return inspect(images.read(photo), photo.path, rendering)
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
    deep = {photo.path: facts.digest for photo, facts in good if "sixteen_bit" in facts.oddities}
    levels = levels_of(images.source, deep, workers=workers)
    if levels:
        rendered = partial(look, rendering=rendering_with(levels))
        again = [photo for photo, _ in good if photo.path in deep]
        with quiet():
            pairs = zip(again, in_order(rendered, again, workers=workers), strict=True)
            seen = {photo.path: facts for photo, facts in pairs if isinstance(facts, Facts)}
        good = [(photo, seen.get(photo.path, facts)) for photo, facts in good]
    same = _same_files(good)
    counts = _counts(images)
    near, near_checked = _near_leaks(images, good)
    in_training = [count for name, count in counts.get("train", {}).items() if count and name]
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
        notes=(*images.notes, *(level.note() for level in levels), *_dark_colors(good)),
    )


def inspect(content: bytes, path: str, rendering: Rendering | None = None) -> Facts:
    """Decode a photo, small, and note what is unusual about it.

    The photo is usable if `decode` can decode it, and not otherwise: what its metadata or later frames lack counts for
    nothing.

    Args:
        content: the file.
        path: its name; the extension is compared with the content.
        rendering: as for `decode`.

    Raises:
        BadImageError: the photo cannot be decoded.
    """
    with reading(content, path) as image:
        oddities = _oddities(image, content, path)
        width, height = image.size
        thumbnail, on_black = to_square(image, THUMBNAIL, "stretch", rendering or Rendering())
        # After decoding: a PNG may store its orientation behind its pixels, and counting frames reads all of them.
        if on_black:
            oddities.add("on_black")
        if orientation(image) != 1:
            oddities.add("rotated")
        if _is_animated(image):
            oddities.add("animated")
    return Facts(digest(content), len(content), width, height, frozenset(oddities), np.asarray(thumbnail))


def _dark_colors(good: Sequence[tuple[Photo, Facts]]) -> Iterator[Note]:
    """Say so if colors of 16 bits use a few levels only: Pillow keeps their upper 8 bits, so that no scale helps."""
    brightest = [int(facts.thumbnail_HWC.max()) for _, facts in good if "sixteen_bit" in facts.oddities]
    if brightest and max(brightest) < _DARK:
        yield Note("data.note_dark_colors", {"count": len(brightest), "levels": max(brightest) + 1})


def _listed(key: str, duplicates: Sequence[Duplicate], sign: str = " = ") -> Note:
    examples = _first(sign.join(duplicate.paths) for duplicate in duplicates)
    return Note(key, {"count": len(duplicates), "examples": examples})


def _first(lines: Iterable[str]) -> str:
    """The first few, one per line; an ellipsis if there are more."""
    lines = [shown(line) for line in lines]
    return "\n  ".join(lines[:_EXAMPLES] + ["…"] * (len(lines) > _EXAMPLES))


def _counts(images: ImageSet) -> dict[Split, dict[str, int]]:
    counts: dict[Split, dict[str, int]] = {}
    for split in SPLITS:
        photos = images.split(split)
        labels = Counter(label for photo in photos for label in photo.all_labels)
        bare = sum(not photo.all_labels for photo in photos)
        if photos:
            named = {name: labels[label] for label, name in enumerate(images.classes) if labels}
            counts[split] = named | ({"": bare} if bare else {})
    return counts


def _same_files(good: Sequence[tuple[Photo, Facts]]) -> list[list[Photo]]:
    by_digest: dict[str, list[Photo]] = defaultdict(list)
    for photo, facts in good:
        by_digest[facts.digest].append(photo)
    return [group for group in by_digest.values() if len(group) > 1]


def _labels(group: Sequence[Photo]) -> set[tuple[int, ...]]:
    return {photo.all_labels for photo in group if photo.is_labeled}


def _duplicate(images: ImageSet, group: Sequence[Photo], **found: Any) -> Duplicate:
    classes = tuple(photo.written(images.classes) for photo in group)
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


def _thumbnails(photos: Sequence[tuple[Photo, Facts]]) -> NDArray[np.uint8]:
    return np.stack([facts.thumbnail_HWC for _, facts in photos])


def _oddities(image: Image.Image, content: bytes, path: str) -> set[Oddity]:
    expected = Image.registered_extensions().get(PurePosixPath(path).suffix.lower())
    found: dict[Oddity, bool] = {
        "wrong_extension": expected != image.format,
        "sixteen_bit": _bits(image, content) > 8,
        "cmyk": image.mode == "CMYK",
        "palette": image.mode in {"P", "PA"},
        "alpha": image.has_transparency_data,
        "large": image.width * image.height > LARGE_PIXELS,
    }
    return {name for name, true in found.items() if true}


def _is_animated(image: Image.Image) -> bool:
    """Whether there is a second frame, even if frames cannot be counted because one of them is damaged."""
    try:
        return getattr(image, "n_frames", 1) > 1
    except Exception:  # noqa: BLE001 - as in `reading`
        return True


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits per channel in the file; 8 if a TIFF does not say it in numbers."""
    if image.format == "PNG":
        return content[_BITS_OF_PNG]
    if image.format == "TIFF":
        try:
            return max(getattr(image, "tag_v2", {}).get(_BITS_OF_TIFF, (8,)))
        except (TypeError, ValueError):
            return 8
    return 16 if image.mode.startswith(("I", "F")) else 8

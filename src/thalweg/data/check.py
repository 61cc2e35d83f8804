"""The check of a set of photos: what is wrong or unusual, reported before training."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from thalweg._notebook import shown_as
from thalweg.data.decoding import orientation, quiet, reading, to_square
from thalweg.data.digests import digest
from thalweg.data.findings import Finding, write_findings
from thalweg.data.leaks import Duplicate, near_leaks, same_files
from thalweg.data.levels import levels_of, rendering_with
from thalweg.data.manifest import BadImage
from thalweg.data.parallel import in_order
from thalweg.data.photos import SPLITS, ImageSet, Layout, Photo, Split
from thalweg.data.rendering import Rendering
from thalweg.data.sources import Note
from thalweg.data.thumbnails import THUMBNAIL, room_for_thumbnails
from thalweg.errors import BadImageError, DataError
from thalweg.i18n import shown


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data.levels import Level
    from thalweg.data.thumbnails import Thumbnails

Oddity = Literal[
    "wrong_extension", "sixteen_bit", "cmyk", "palette", "alpha", "on_black", "rotated", "animated", "large"
]

ODDITIES: tuple[Oddity, ...] = get_args(Oddity)

LARGE_PIXELS = 50_000_000
# Smaller pictures look too much alike: two T-shirts of 28 pixels are not a leak.
MIN_SIDE_FOR_NEAR = 64
# What `--json` and a run list of each kind; a table has the rest.
MOST_LISTED = 100
# What a warning lists.
EXAMPLES = 5
# The smallest ratio of the largest class to the smallest that is worth a warning.
IMBALANCED = 3.0

_SAME = ("conflicts", "leaks", "near_leaks")
_NOTHING = np.empty((0, 0, 3), dtype=np.uint8)
_DARK = 32  # of 256 levels
_BITS_OF_PNG = 24  # the byte of the header with the bits per channel
_BITS_OF_TIFF = 258  # the tag with the bits per channel


@dataclass(frozen=True, eq=False, slots=True)
class Facts:
    """What the file of one photo contains.

    Attributes:
        digest: of the file.
        size_bytes: size of the file.
        width: in pixels, as stored.
        height: in pixels, as stored.
        oddities: what is unusual about it, though handled.
        thumbnail_HWC: the photo at 32 × 32 pixels, of shape (32, 32, 3); nothing once it is kept elsewhere.
    """

    digest: str
    size_bytes: int
    width: int
    height: int
    oddities: frozenset[Oddity]
    thumbnail_HWC: NDArray[np.uint8]

    def kept_in(self, thumbnails_NHWC: Thumbnails, row: int) -> Facts:
        """The same without the thumbnail, which is kept among all of them."""
        thumbnails_NHWC[row] = self.thumbnail_HWC
        return replace(self, thumbnail_HWC=_NOTHING)


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
    near_leaks: Sequence[Duplicate]
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
        """The findings as JSON types; sentences in the current language.

        Each list ends after a hundred entries, and the photos of an entry after a hundred: `found` counts all of them,
        and `write_csv` writes them.
        """
        lists = {name: getattr(self, name) for name in ("bad", *_SAME)}
        short = {name: found[:MOST_LISTED] for name, found in lists.items()}
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in lists}
        return {
            **columns,
            **{name: asdict(getattr(self, name)) for name in ("width", "height", "size_bytes")},
            **{name: [_short(group) for group in short[name]] for name in _SAME},
            "bad": [{"path": image.path, "reason": str(image.reason)} for image in short["bad"]],
            "oddities": {name: paths[:MOST_LISTED] for name, paths in self.oddities.items()},
            "found": {
                **{name: len(found) for name, found in lists.items()},
                "oddities": {name: len(paths) for name, paths in self.oddities.items()},
            },
            "notes": [str(note) for note in self.notes],
            "warnings": [str(warning) for warning in self.warnings()],
        }

    def has_more_than(self, most: int = MOST_LISTED) -> bool:
        """Whether a list of findings is longer; by default, whether `to_json` leaves something out."""
        same = [getattr(self, name) for name in _SAME]
        groups = [group.paths for group in (*self.leaks, *self.conflicts)]
        lists = [self.bad, *same, *self.oddities.values(), *groups]
        return any(len(found) > most for found in lists)

    def write_csv(self, path: Path | str) -> None:
        """Write every finding about a photo to a table, one row for each photo or pair.

        Raises:
            StorageError: the file cannot be written.
        """
        write_findings(path, self._rows())

    def _rows(self) -> Iterator[Finding]:
        for image in self.bad:
            yield Finding("bad", image.path, reason=str(image.reason))
        for name in _SAME:
            for group in getattr(self, name):
                yield from group.findings(name)
        for name, paths in self.oddities.items():
            yield from (Finding(name, path) for path in paths)


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

    good: list[tuple[int, Facts]] = []
    bad: list[BadImage] = []
    thumbnails_NHWC = room_for_thumbnails(len(images.photos))
    with quiet():
        for row, (photo, result) in enumerate(
            zip(images.photos, in_order(look, images.photos, workers=workers), strict=True)
        ):
            if isinstance(result, BadImageError):
                bad.append(BadImage(photo.path, Note(result.key, result.values)))
            else:
                good.append((row, result.kept_in(thumbnails_NHWC, row)))
            if progress:
                progress(row + 1, len(images.photos))
    if not good:
        raise DataError("data.no_usable_image", count=len(bad), first=bad[0])
    deep = {images.photos[row].path: facts.digest for row, facts in good if "sixteen_bit" in facts.oddities}
    levels = levels_of(images.source, deep, workers=workers)
    if levels:
        rendered = partial(look, rendering=rendering_with(levels))
        again = [at for at, (_, facts) in enumerate(good) if "sixteen_bit" in facts.oddities]
        with quiet():
            photos = (images.photos[good[at][0]] for at in again)
            for at, result in zip(again, in_order(rendered, photos, workers=workers), strict=True):
                if isinstance(result, Facts):
                    row = good[at][0]
                    good[at] = row, result.kept_in(thumbnails_NHWC, row)
    return _check_of(images, good, bad, thumbnails_NHWC, levels)


def _check_of(
    images: ImageSet,
    good: Sequence[tuple[int, Facts]],
    bad: Sequence[BadImage],
    thumbnails_NHWC: Thumbnails,
    levels: Sequence[Level],
) -> Check:
    """The findings about photos that were read: `good` has the row in the set of each that can be used."""
    same = same_files(images, ((images.photos[row], facts.digest) for row, facts in good))
    large = [(row, facts.digest) for row, facts in good if min(facts.width, facts.height) >= MIN_SIDE_FOR_NEAR]
    counts = _counts(images)
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
            oddity: tuple(images.photos[row].path for row, facts in good if oddity in facts.oddities)
            for oddity in ODDITIES
        },
        repeated=sum(len(group.paths) - 1 for group in same),
        leaks=tuple(group for group in same if len(set(group.splits)) > 1),
        near_leaks=near_leaks(images, thumbnails_NHWC, large),
        near_checked=len(large),
        conflicts=tuple(group for group in same if len(set(group.classes) - {None}) > 1),
        notes=(*images.notes, *(level.note() for level in levels), *_dark_colors(good, thumbnails_NHWC)),
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
        thumbnail_HWC, on_black = to_square(image, THUMBNAIL, "stretch", rendering or Rendering())
        # After decoding: a PNG may store its orientation behind its pixels, and counting frames reads all of them.
        if on_black:
            oddities.add("on_black")
        if orientation(image) != 1:
            oddities.add("rotated")
        if _is_animated(image):
            oddities.add("animated")
    return Facts(digest(content), len(content), width, height, frozenset(oddities), thumbnail_HWC)


def _dark_colors(good: Sequence[tuple[int, Facts]], thumbnails_NHWC: Thumbnails) -> Iterator[Note]:
    """Say so if colors of 16 bits use a few levels only: Pillow keeps their upper 8 bits, so that no scale helps."""
    deep = [row for row, facts in good if "sixteen_bit" in facts.oddities]
    brightest = [int(thumbnails_NHWC[np.array([row])].max()) for row in deep]
    if brightest and max(brightest) < _DARK:
        yield Note("data.note_dark_colors", {"count": len(brightest), "levels": max(brightest) + 1})


def _listed(key: str, duplicates: Sequence[Duplicate], sign: str = " = ") -> Note:
    examples = _first(
        sign.join([*duplicate.paths[:EXAMPLES], *["…"] * (len(duplicate.paths) > EXAMPLES)])
        for duplicate in duplicates[: EXAMPLES + 1]
    )
    return Note(key, {"count": len(duplicates), "examples": examples})


def _short(group: Duplicate) -> dict[str, Any]:
    """A group as JSON types, with its first photos."""
    columns = {name: values[:MOST_LISTED] for name, values in asdict(group).items() if isinstance(values, tuple)}
    return {**asdict(group), **columns, "photos": len(group.paths)}


def _first(lines: Iterable[str]) -> str:
    """The first few, one per line; an ellipsis if there are more."""
    lines = [shown(line) for line in lines]
    return "\n  ".join(lines[:EXAMPLES] + ["…"] * (len(lines) > EXAMPLES))


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

"""Files that are no photos of ours: counted and named by their endings, so that no photo vanishes without a word."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from thalweg.data.sources import PICTURE_SUFFIXES, UNREAD_SUFFIXES, Note, is_picture
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Packed photos, or photos as numbers.
_PACKED = frozenset(
    f".{ending}"
    for ending in (
        *("zip", "tar", "gz", "tgz", "bz2", "xz", "7z", "rar", "lmdb", "tfrecord", "parquet", "arrow", "mkv", "webm"),
        *("npy", "npz", "mat", "h5", "hdf5", "pkl", "pickle", "mp4", "avi", "mov"),
    )
)
# What lies beside photos and is none: lists, descriptions, programs.
_COMPANIONS = frozenset(
    f".{ending}"
    for ending in (
        *("txt", "csv", "tsv", "json", "jsonl", "xml", "html", "htm", "md", "rst", "pdf", "yaml", "yml", "toml", "ini"),
        *("cfg", "log", "py", "ipynb", "m", "sh", "bat", "doc", "docx", "xls", "xlsx", "names", "data", "lst", "url"),
        "cls",
        *("webloc", "db", "sqlite", "license", "svg"),
    )
)
_PAPERS = frozenset(
    ["readme", "license", "licence", "copying", "makefile", "dockerfile", "changelog", "authors", "notice"]
)
_SHOWN = 4


@dataclass(frozen=True)
class Leftover:
    """Files of one ending that are no photos.

    Attributes:
        ending: in lower case; empty if they have none.
        count: how many there are.
        example: one of them.
    """

    ending: str
    count: int
    example: str

    @property
    def unread(self) -> bool:
        """Whether it is a format of photos that cannot be read."""
        return self.ending in UNREAD_SUFFIXES

    @property
    def suspicious(self) -> bool:
        """Whether photos may be among them: no ending, an unknown one, or an archive."""
        if not self.ending:
            return self.count > 1 or PurePosixPath(self.example).name.casefold() not in _PAPERS
        return self.ending in _PACKED or self.ending not in _COMPANIONS

    def __str__(self) -> str:
        shown = t("data.leftover_no_ending") if not self.ending else self.ending
        return t("data.leftover", count=self.count, ending=shown, example=self.example)


def leftovers_of(names: Iterable[str]) -> tuple[Leftover, ...]:
    """The files that are no pictures, by ending, the most frequent first.

    Example:
        >>> leftovers_of(["cat/1.jpg", "cat/2.JXL", "cat/3", "README"])
        (Leftover(ending='', count=2, example='cat/3'), Leftover(ending='.jxl', count=1, example='cat/2.JXL'))
    """
    by_ending: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if not is_picture(name):
            by_ending[_ending(name)].append(name)
    found = [Leftover(ending, len(paths), paths[0]) for ending, paths in by_ending.items()]
    return tuple(sorted(found, key=lambda one: (-one.count, one.ending)))


def leftover_notes(leftovers: Sequence[Leftover]) -> list[Note]:
    """What to say about files that may be photos."""
    unread = [one for one in leftovers if one.unread]
    notes = []
    if unread:
        values = {"count": sum(one.count for one in unread), "example": unread[0].example}
        notes.append(Note("data.note_unread", values))
    others = [one for one in leftovers if one.suspicious and not one.unread]
    if others:
        kinds = joined([*map(str, others[:_SHOWN]), *["…"] * (len(others) > _SHOWN)], long=True)
        notes.append(Note("data.note_no_photos", {"count": sum(one.count for one in others), "kinds": kinds}))
    return notes


def _ending(name: str) -> str:
    """The ending in lower case: of `a.jpg.part` and `a.jpg?w=9` the part that follows the photo's own, too."""
    suffixes = PurePosixPath(name).suffixes
    if len(suffixes) > 1 and suffixes[-2].lower() in PICTURE_SUFFIXES:
        return "".join(suffixes[-2:]).lower()
    return suffixes[-1].lower() if suffixes else ""

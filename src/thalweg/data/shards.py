"""Shards: the files of a large set, such as `train-000000.tar` to `train-000012.tar`, read in place as one source.

A folder of shards, or a pattern with braces, is one set. The name of each shard may state a split, as folders do.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from thalweg.data.addresses import is_pattern
from thalweg.data.archives import TarSource, is_tar, open_archive
from thalweg.data.places import split_in
from thalweg.data.sources import FolderSource, Note, is_picture
from thalweg.data.words import are_serial, is_container, is_paper, split_word
from thalweg.errors import BadImageError, DataError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from thalweg.data.layouts import LayoutChoice
    from thalweg.data.sources import Source

PARQUET: Final = (".parquet", ".parq")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")
_OF_MANY: Final = re.compile(r"(.*\D)?(\d+)-of-(\d+)")
_MOST: Final = 1_000_000  # files that one pattern may mean
COMPANIONS: Final = ("classes.txt", "classes.json")  # beside shards


class Shard(NamedTuple):
    """One file of a set.

    Attributes:
        name: its path in the set, where it is clear without the ending; the names of its photos begin with it.
        file: where it lies.
    """

    name: str
    file: Path


class Shards(NamedTuple):
    """The shards of a set.

    Attributes:
        home: the folder that holds all of them.
        taken: those that are read, in order.
        beside: the names of other files in that folder.
        notes: shards that were left out, and why.
    """

    home: Path
    taken: tuple[Shard, ...]
    beside: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with braces means: ranges of numbers, and lists separated by commas.

    Args:
        pattern: as shells write it; leading zeros of a range are kept, and a range may count down.

    Raises:
        DataError: the pattern means more than a million names.

    Example:
        >>> expanded("{train,val}-{08..10}.tar")[1:4]
        ['train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    found = [""]
    place = 0
    for braces in _BRACES.finditer(pattern):
        choices = _choices(braces[1])
        if len(found) * len(choices) > _MOST:
            raise DataError("data.pattern_too_large", path=pattern, limit=_MOST)
        found = [start + pattern[place : braces.start()] + choice for start in found for choice in choices]
        place = braces.end()
    return [start + pattern[place:] for start in found]


def is_parquet(name: str) -> bool:
    """Whether the name has the extension of a Parquet file."""
    return name.lower().endswith(PARQUET)


def is_shard(name: str) -> bool:
    """Whether the name has the extension of a tar or of a Parquet file.

    Example:
        >>> is_shard("data/train-000.tar.gz"), is_shard("0000.parquet"), is_shard("0001.jpg")
        (True, True, False)
    """
    return is_parquet(name) or is_tar(name)


def find_shards(path: Path, names: Sequence[str] = ()) -> Shards | None:
    """The shards of a pattern, a folder or a Parquet file; `None` if the path is none of these.

    Args:
        path: what the user gives.
        names: all files of the folder, if it is one.

    Raises:
        DataError: shards are missing, there are several sets, or a folder holds both tars and Parquet files.
    """
    if is_pattern(path):
        return _of_pattern(path)
    if path.is_file():
        return Shards(path.parent, (Shard(_stem(path.name), path),)) if is_parquet(path.name) else None
    return _of_folder(path, names)


class TarShards:
    """The members of several tars; the name of each begins with the name of its shard.

    Args:
        path: the folder or the pattern.
        shards: of the set.
        choice: what the user says about the set; its encoding counts here.

    Raises:
        DataError: a shard is no tar, damaged, or cut off.
    """

    def __init__(self, path: Path, shards: Shards, choice: LayoutChoice) -> None:
        self.path = path
        self._home = shards.home
        self._beside = shards.beside
        self._tars: dict[str, TarSource] = {}
        for shard in shards.taken:
            tar = open_archive(shard.file, choice.encoding)
            if not isinstance(tar, TarSource):
                raise DataError("data.shard_no_tar", path=shard.file)
            endless = next((note for note in tar.notes if note.key == "data.note_no_end"), None)
            if endless:  # one tar alone is read as far as it goes; of a set nobody would miss a part
                raise DataError("data.shard_no_end", **endless.values)
            self._tars[shard.name] = tar
        of_tars = (_within(note, name) for name, tar in self._tars.items() for note in tar.notes)
        self.notes = (*shards.notes, *of_tars)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        members = (f"{name}/{member}" for name, tar in self._tars.items() for member in tar.names())
        return (*self._beside, *members)

    def names(self) -> tuple[str, ...]:
        """The members of all shards, and the files beside them."""
        return self._names

    def read(self, name: str) -> bytes:
        """The content of one member or file."""
        found = self._find(name)
        return found[0].read(found[1]) if found else FolderSource(self._home).read(name)

    def read_all(self, names: Iterable[str]) -> Iterator[bytes]:
        """The contents of many members; each shard is opened once for those that follow each other."""
        for shard, group in groupby(map(self._find, names), key=lambda found: found and found[0]):
            if shard:
                yield from shard.read_all(found[1] for found in group if found)

    def stamp(self, name: str) -> str | None:
        """The stamp of the shard with the member's offset."""
        found = self._find(name)
        return found[0].stamp(found[1]) if found else FolderSource(self._home).stamp(name)

    def _find(self, name: str) -> tuple[TarSource, str] | None:
        place = name.find("/")
        while place >= 0:
            if name[:place] in self._tars:
                return self._tars[name[:place]], name[place + 1 :]
            place = name.find("/", place + 1)
        return None


def companion(source: Source, name: str) -> bytes | None:
    """The content of a small file of a set, in its outermost folder; `None` if there is none."""
    if name not in source.names():
        return None
    try:
        return source.read(name)
    except BadImageError as error:
        raise DataError("data.unreadable_table", table=f"{source.path}: {name}", reason=error) from error


def _choices(inside: str) -> list[str]:
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        return inside.split(",") if "," in inside else ["{" + inside + "}"]
    first, last = int(numbers[1]), int(numbers[2])
    if abs(last - first) >= _MOST:
        raise DataError("data.pattern_too_large", path="{" + inside + "}", limit=_MOST)
    width = len(numbers[1]) if numbers[1].startswith("0") else 0
    step = 1 if first <= last else -1
    return [str(number).zfill(width) for number in range(first, last + step, step)]


def _of_pattern(path: Path) -> Shards:
    files = [Path(name) for name in dict.fromkeys(expanded(str(path)))]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError("data.shards_missing", path=path, count=len(missing), total=len(files), example=missing[0])
    _of_one_kind([file.name for file in files], path)
    places = {os.path.abspath(file): file for file in files}  # noqa: PTH100 - names must not have the parts `..`
    home = Path(os.path.commonpath([os.path.dirname(place) for place in places]))  # noqa: PTH120 - as above
    shards = [Shard(Path(place).relative_to(home).as_posix(), file) for place, file in places.items()]
    beside = tuple(name for name in COMPANIONS if (home / name).is_file())
    return _by_split(path, Shards(home, tuple(shards), beside))


def _of_folder(path: Path, names: Sequence[str]) -> Shards | None:
    files = [name for name in names if is_shard(name)]
    pictures = (name for name in names if is_picture(name) and not is_paper(name.partition("/")[0]))
    if not files or next(pictures, None) is not None:
        return None
    _of_one_kind(files, path)
    _complete(files, path)
    homes = {_home(name) for name in files}
    if len(homes) > 1 and not are_serial(homes):
        raise DataError("data.several_sets", path=path, sets=joined(sorted(str(path / home) for home in homes)[:5]))
    taken = set(files)
    beside = tuple(name for name in names if name not in taken and not is_picture(name))
    return _by_split(path, Shards(path, tuple(Shard(name, path / name) for name in files), beside))


def _of_one_kind(files: Sequence[str], path: Path) -> None:
    tars = [name for name in files if is_tar(name)]
    others = [name for name in files if not is_tar(name)]
    if tars and others:
        raise DataError("data.shards_mixed", path=path, first=tars[0], second=others[0])


def _complete(files: Sequence[str], path: Path) -> None:
    """Refuse a set whose names state more shards than there are: `train-00001-of-00002`.

    Raises:
        DataError: shards are missing.
    """
    there = set(files)
    seen: set[tuple[str, str, str]] = set()
    for name in files:
        stem, ending = _stem(name), name[len(_stem(name)) :]
        stated = _OF_MANY.fullmatch(stem)
        family = (stated[1] or "", stated[3], ending) if stated else ("", "", "")
        if stated is None or family in seen or int(stated[3]) > _MOST:
            continue
        seen.add(family)
        width, total = len(stated[2]), int(stated[3])
        wanted = (f"{family[0]}{number:0{width}}-of-{stated[3]}{ending}" for number in range(total))
        missing = [one for one in wanted if one not in there]
        if missing:
            values = {"count": len(missing), "total": total, "example": path / missing[0]}
            raise DataError("data.shards_missing", path=path, **values)


def _by_split(path: Path, found: Shards) -> Shards:
    """The shards whose names state a split, or all of them if none does."""
    silent = [shard for shard in found.taken if split_in(shard.name) is None]
    if silent and len(silent) < len(found.taken):
        note = Note("data.note_shards_silent", {"path": path, "count": len(silent), "example": silent[0].file.name})
        found = found._replace(taken=tuple(one for one in found.taken if split_in(one.name)), notes=(note,))
    return found._replace(taken=_without_endings(found.taken))


def _without_endings(shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    """The shards with short names, unless names of photos could then mean two: in `a.tar` and `a.tgz` or `a/b.tar`."""
    names = Counter(_stem(shard.name) for shard in shards)
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if len(names) < len(shards) or names.keys() & folders:
        return shards
    return tuple(Shard(_stem(shard.name), shard.file) for shard in shards)


def _home(name: str) -> str:
    """The folders of a shard that tell one set from another."""
    parts = name.split("/")[:-1]
    return "/".join(part for part in parts if not (split_word(part) or is_container(part)))


def _stem(name: str) -> str:
    """A name without the ending of a tar or of a Parquet file.

    Example:
        >>> _stem("data/train-000.tar.gz"), _stem("0000.parquet")
        ('data/train-000', '0000')
    """
    if is_parquet(name):
        return name.rpartition(".")[0]
    inner = PurePosixPath(name).with_suffix("")
    return str(inner.with_suffix("") if inner.suffix.lower() == ".tar" else inner)


def _within(note: Note, shard: str) -> Note:
    example = note.values.get("example")
    return note if example is None else Note(note.key, {**note.values, "example": f"{shard}/{example}"})

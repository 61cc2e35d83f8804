"""The tree of the folders that hold pictures, from the names of the files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from thalweg.data.words import listed


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NUMBER = re.compile(r"(\d+)_")
_SEVERAL_NUMBERS = re.compile(r"\d+(?:_\d+){2,}")
_PREFIX = re.compile(r"(.*?[^\W\d_])[\s._\-(]*\d+\)?", re.DOTALL)
# What cameras, phones and programs call every photo.
_GENERIC = listed(
    "img image images dsc dscn dscf photo photos picture pic pics file frame screenshot scan p pxl mvimg gopr dji "
    "mmexport download unnamed untitled train test val valid training testing validation wp imag vid video "
    "capture webcam sample 微信图片 图片 图像 照片 截图"
)


@dataclass(eq=False)
class Folder:
    """A folder with the pictures in it and below.

    Attributes:
        name: its own name; empty for the root.
        path: from the root: empty, or ending in a slash.
        paths: of the pictures directly in it, from the root.
        folders: the folders in it that have pictures, by name.
    """

    name: str = ""
    path: str = ""
    paths: list[str] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    @property
    def files(self) -> Iterator[str]:
        """Names of the pictures directly in it: made anew, for those of a million take 70 MB."""
        start = len(self.path)
        return (path[start:] for path in self.paths)

    @cached_property
    def count(self) -> int:
        """Pictures in it and below."""
        return len(self.paths) + sum(folder.count for folder in self.folders.values())

    @property
    def below(self) -> int:
        """Pictures in its folders, not directly in it."""
        return self.count - len(self.paths)

    def pictures(self) -> Iterator[str]:
        """The paths of the pictures in it and below."""
        yield from self.paths
        for folder in self.folders.values():
            yield from folder.pictures()

    @cached_property
    def numbered(self) -> int:
        """Files directly in it whose names begin with a number and `_`."""
        return sum(number_of(name) is not None for name in self.files)

    @cached_property
    def many_numbers(self) -> bool:
        """Whether most names are rows of numbers, such as `26_1_0_2017.jpg`: which of them is the class?"""
        return sum(bool(_SEVERAL_NUMBERS.match(name)) for name in self.files) > len(self.paths) / 2

    @cached_property
    def prefixes(self) -> Counter[str]:
        """How many files each word at the beginning of their names has, such as `cat` in `cat.0.jpg`."""
        return Counter(prefix for name in self.files if (prefix := prefix_of(name)))


def tree_of(pictures: Iterable[str]) -> Folder:
    """The tree of the folders of some pictures.

    Example:
        >>> tree_of(["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]).folders["cat"].count
        2
    """
    root = Folder()
    known = {"": root}

    def at(path: str) -> Folder:
        found = known.get(path)
        if found is None:
            outer, _, name = path[:-1].rpartition("/")
            parent = at(f"{outer}/" if outer else "")
            found = known[path] = parent.folders[name] = Folder(name, path)
        return found

    for picture in pictures:
        at(picture[: picture.rfind("/") + 1]).paths.append(picture)
    return root


def number_of(name: str) -> str | None:
    """The number that begins a file's name, if `_` follows it.

    Example:
        >>> number_of("03_17.jpg"), number_of("17.jpg")
        ('3', None)
    """
    match = _NUMBER.match(name)
    return str(int(match[1])) if match else None


def prefix_of(name: str) -> str | None:
    """The words before the last number of a file's name; `None` if there are none, or a camera chose them.

    Example:
        >>> prefix_of("cat.0.jpg"), prefix_of("great_pyrenees_12.jpg"), prefix_of("IMG_0001.jpg")
        ('cat', 'great_pyrenees', None)
    """
    stem = name.rpartition(".")[0]
    match = _PREFIX.fullmatch(stem)
    if match is None or match[1].casefold() in _GENERIC:
        return None
    return match[1]

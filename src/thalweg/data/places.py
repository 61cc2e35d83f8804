"""Which photo a field of a table means: a path, a name without its folders, or an id without its ending."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from thalweg.data.sources import is_picture
from thalweg.data.spelling import composed
from thalweg.data.words import split_word


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thalweg.data.photos import Split


class Places:
    """The photos of a set, found by what a table calls them.

    Args:
        names: the files of the set.

    Example:
        >>> places = Places(["train_images/17.jpg", "test_images/0.jpg", "labels.csv"])
        >>> places.find("17"), places.find("/kaggle/input/train_images/17.jpg"), places.find("18")
        (['train_images/17.jpg'], ['train_images/17.jpg'], [])
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact = {composed(name): name for name in names if is_picture(name)}

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, str]]]:
        """For the last part of a path, each path and its real name."""
        found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for path, name in self._exact.items():
            found[path.rpartition("/")[2]].append((path, name))
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[tuple[str, str]]]:
        """The same without the ending."""
        found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for path, name in self._exact.items():
            stem = path.rpartition(".")[0]
            found[stem.rpartition("/")[2]].append((stem, name))
        return found

    def __len__(self) -> int:
        return len(self._exact)

    def find(self, field: str, folder: str = "", split: Split | None = None) -> list[str]:
        """The files that a field may mean, by their real names: none, one, or several that fit equally well.

        Args:
            field: what the table says.
            folder: of the table: empty, or ending in a slash.
            split: of the table, if its name says one; a folder whose name says another does not fit.
        """
        path, spelled = composed(tidy(field)), composed(field)
        if not path:
            return []
        for exact in (folder + spelled, spelled, folder + path, path):
            if exact in self._exact:
                return [self._exact[exact]]
        found = self._ending_in(path, self._by_name, folder) or self._ending_in(path, self._by_stem, folder)
        found = found or self._of_another_machine(path)
        if len(found) <= 1:
            return found
        below = [name for name in found if name.startswith(folder)]
        found = below or found
        if split and len(found) > 1:
            found = [name for name in found if split_in(name.rpartition("/")[0]) == split] or found
        return found

    def _of_another_machine(self, path: str) -> list[str]:
        """Where only the end of a path is right, as in `/kaggle/input/pets/img/1.jpg`: the files at its end."""
        if "/" not in path:
            return []
        fitting = self._by_name.get(path.rpartition("/")[2], [])
        inside = [name for whole, name in fitting if path.endswith(f"/{whole}")]
        return inside or ([name for _, name in fitting] if len(fitting) == 1 else [])

    @staticmethod
    def _ending_in(path: str, known: dict[str, list[tuple[str, str]]], folder: str) -> list[str]:
        fitting = known.get(path.rpartition("/")[2], [])
        if len(fitting) > 1 or "/" in path:
            fitting = [(whole, name) for whole, name in fitting if f"/{whole}".endswith(f"/{path}")]
        return [name for whole, name in fitting if whole in (folder + path, path)] or [name for _, name in fitting]


def tidy(field: str) -> str:
    r"""A path with forward slashes and without `./`.

    Example:
        >>> tidy(" .\\img\\1.jpg")
        'img/1.jpg'
    """
    return field.strip().replace("\\", "/").removeprefix("./")


def split_in(name: str) -> Split | None:
    """The split that the innermost folder or file of a path says in one of its words; `None` if none does.

    Example:
        >>> split_in("data/train_images"), split_in("Validation.csv"), split_in("latest")
        ('train', 'valid', None)
    """
    for part in reversed(name.split("/")):
        word = split_word(part)
        if word is not None:
            return word.split
    return None

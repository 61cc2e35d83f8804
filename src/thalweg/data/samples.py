"""Samples of WebDataset: the members of a tar that share a key, such as `0001.jpg` and `0001.cls`.

The key is the name up to the first dot, as the format says, or up to the last one where the keys have dots themselves.
Source: WebDataset (Aizman, Maltby and Breuel, 2019), https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from thalweg.data.archives import TarSource
from thalweg.data.columns import LABEL_WORDS
from thalweg.data.layouts import Entry, Found
from thalweg.data.places import split_in
from thalweg.data.shards import TarShards, companion
from thalweg.data.sources import Note, is_picture
from thalweg.data.spelling import composed
from thalweg.data.words import is_mask
from thalweg.errors import BadImageError, DataError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thalweg.data.sources import Source

CLASSES_FILE: Final = "classes.json"
_FIELDS: Final = ("cls", "json", "txt")  # that hold labels
_WORDS: Final = ("cls", *LABEL_WORDS)
_TRIED: Final = 20  # JSON files that decide whether they hold labels
_TRIED_TEXTS: Final = 1000
_LONGEST: Final = 80  # characters of a class; a caption is longer
_NUMBERS: Final = re.compile(r"[-\d.]+(\s+[-\d.]+)+")  # boxes


class _Sample(NamedTuple):
    key: str
    field: str
    name: str


def read_samples(source: Source) -> Found | None:
    """The photos and classes of a set of samples; `None` if the names do not look like one.

    A `.cls` file holds the class, a number or a name; else the field `cls` or `label` of a `.json` file, or a `.txt`
    file whose text repeats. The folder of a member, its shard included, may state the split.

    Args:
        source: the set.

    Raises:
        DataError: a photo for training has no label, or two; or two photos share a key.
    """
    if not isinstance(source, TarSource | TarShards):
        return None
    samples = _samples(source.names())
    keys = {one.key for one in samples if is_picture(one.name)}
    classes, objects, texts = (
        {one.key: one.name for one in samples if one.field == field and one.key in keys} for field in _FIELDS
    )
    says = len(objects) * 2 > len(keys) and all(map(_in_json, dict(_texts(source, objects, _TRIED)).values()))
    labels: dict[str, str] | None = None
    if says:
        labels = {key: _in_json(text) for key, text in _texts(source, objects)}
    if len(classes) * 2 > len(keys):
        others, labels = labels, dict(_texts(source, classes))
        _agree(labels, others or {}, source)
    elif labels is None and len(texts) * 2 > len(keys):
        labels = _repeating(source, texts)
    if labels is None:
        return None
    _each_once(source)
    photos = _photos(samples, source)
    alone = [one.name for one in samples if one.field == _FIELDS[0] and one.key not in keys]
    notes = [Note("data.note_samples_no_photo", {"count": len(alone), "example": alone[0]})] if alone else []
    return Found("webdataset", tuple(_paired(source, photos, labels)), "", tuple(notes), _class_names(source))


def _samples(names: Iterable[str]) -> list[_Sample]:
    split = []
    for name in names:
        folder, slash, base = name.rpartition("/")
        key, _, field = base.partition(".")
        split.append(_Sample(folder + slash + key, field.lower(), name))
    if 2 * sum("." in one.field for one in split) > len(split):  # dots in the keys
        split = [_Sample(*_at_last_dot(one.name), one.name) for one in split]
    return split


def _at_last_dot(name: str) -> tuple[str, str]:
    key, _, field = name.rpartition(".")
    return key, field.lower()


def _texts(source: Source, names: dict[str, str], count: int | None = None) -> list[tuple[str, str]]:
    """The texts of some members, by key.

    Raises:
        DataError: one cannot be read, or is not UTF-8.
    """
    assert isinstance(source, TarSource | TarShards)  # noqa: S101 - for the type checker
    keys = list(names)[:count]
    found = []
    try:
        for key, content in zip(keys, source.read_all(names[key] for key in keys), strict=True):
            found.append((key, composed(content.decode("utf-8-sig").strip())))
    except UnicodeDecodeError as error:
        raise DataError("data.sample_label", path=source.path, name=names[keys[len(found)]]) from error
    except BadImageError as error:
        raise DataError("data.unreadable_table", table=source.path, reason=error) from error
    return found


def _in_json(text: str) -> str:
    """The class that a JSON file says; empty if it says none."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if isinstance(value, dict):
        value = next((value[word] for word in _WORDS if isinstance(value.get(word), int | str)), "")
    return composed(str(value).strip()) if isinstance(value, int | str) and not isinstance(value, bool) else ""


def _repeating(source: Source, names: dict[str, str]) -> dict[str, str] | None:
    """The texts as classes, if they repeat and are short: captions and boxes are no classes."""
    some = [text for _, text in _texts(source, names, _TRIED_TEXTS)]
    kinds = set(some)
    if any("\n" in text or len(text) > _LONGEST or _NUMBERS.fullmatch(text) for text in kinds):
        return None
    return dict(_texts(source, names)) if 1 < len(kinds) <= len(some) / 2 else None


def _photos(samples: Sequence[_Sample], source: Source) -> dict[str, str]:
    """The photo of each key.

    Raises:
        DataError: two photos share a key.
    """
    found: dict[str, _Sample] = {}
    for one in samples:
        if not is_picture(one.name) or is_mask(one.field.partition(".")[0]):
            continue
        first = found.setdefault(one.key, one)
        if first is one:
            continue
        if ("." in first.field) == ("." in one.field):
            raise DataError("data.samples_two_photos", path=source.path, first=first.name, second=one.name)
        if "." not in one.field:
            found[one.key] = one
    return {key: one.name for key, one in found.items()}


def _agree(labels: dict[str, str], others: dict[str, str], source: Source) -> None:
    """Refuse labels that contradict each other: each of the one must always mean the same of the other.

    Raises:
        DataError: a key has two labels.
    """
    meaning: dict[str, str] = {}
    for key in labels.keys() & others.keys():
        one, other = labels[key], others[key]
        if one and other and meaning.setdefault(one, other) != other:
            raise DataError("data.samples_two_labels", path=source.path, key=key, first=one, second=other)


def _each_once(source: Source) -> None:
    for note in source.notes:
        if note.key == "data.note_names_twice":
            raise DataError("data.samples_twice", path=source.path, **note.values)


def _paired(source: Source, photos: dict[str, str], labels: dict[str, str]) -> list[Entry]:
    """The photos with their labels.

    Raises:
        DataError: a photo of the training or the validation split has no label.
    """
    entries = [
        Entry(name, split_in(name.rpartition("/")[0]) or "train", labels.get(key) or None)
        for key, name in photos.items()
    ]
    silent = [entry.path for entry in entries if entry.split != "test" and entry.class_name is None]
    if silent:
        values = {"count": len(silent), "total": len(entries), "example": silent[0]}
        raise DataError("data.samples_no_label", path=source.path, **values)
    long = next((entry for entry in entries if len(entry.class_name or "") > _LONGEST), None)
    if long:
        raise DataError("data.sample_label", path=source.path, name=long.path)
    return entries


def _class_names(source: Source) -> tuple[str, ...] | None:
    """The names in `classes.json`: a list, or an object from names to numbers or from numbers to names.

    Raises:
        DataError: it is something else.
    """
    content = companion(source, CLASSES_FILE)
    if content is None:
        return None
    try:
        value: Any = json.loads(content)
        pairs = [_numbered(*pair) for pair in (value.items() if isinstance(value, dict) else _listed(value))]
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError("data.classes_json", path=f"{source.path}: {CLASSES_FILE}") from error
    names = dict(pairs)
    if sorted(names) != list(range(len(pairs))) or not all(names.values()):
        raise DataError("data.classes_json", path=f"{source.path}: {CLASSES_FILE}")
    return tuple(names[number] for number in sorted(names))


def _listed(value: Any) -> Iterable[tuple[int, Any]]:
    """The names of a list with their numbers.

    Raises:
        TypeError: something else, such as one text, whose letters are no classes.
    """
    if not isinstance(value, list):
        raise TypeError(value)
    return enumerate(value)


def _numbered(key: Any, value: Any) -> tuple[int, str]:
    """The number and the name of a class, whichever of them is the key; a name in one line.

    Raises:
        TypeError: the name is no text.
        ValueError: the other is no number.
    """
    number, name = (value, key) if type(value) is int else (int(key), value)
    if not isinstance(name, str):
        raise TypeError(name)
    return number, composed(" ".join(name.split()))

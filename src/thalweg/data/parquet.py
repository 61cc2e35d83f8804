"""Parquet files with a column of encoded photos, as Hugging Face's `datasets` stores them.

Only the columns of labels and names are read at once. Photos are read row group by row group, in batches of some
megabytes, of which the last few are kept: training reads photos in the order of the rows, so each batch is read once.
Source: https://huggingface.co/docs/datasets/image_dataset and https://parquet.apache.org/docs/file-format.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from contextlib import suppress
from functools import cached_property
from itertools import accumulate
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from thalweg.data.columns import LABEL_WORDS, PATH_WORDS, word_of
from thalweg.data.layouts import Entry, Found
from thalweg.data.places import split_in
from thalweg.data.sources import MAX_FILE_BYTES, PICTURE_SUFFIXES, FolderSource, Note, stamp_of
from thalweg.data.spelling import composed
from thalweg.errors import BadImageError, DataError, MissingExtraError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from thalweg.data.layouts import LayoutChoice
    from thalweg.data.shards import Shard, Shards

_BATCH_BYTES: Final = 8 << 20
_KEPT_BYTES: Final = 256 << 20
_BUFFER_BYTES: Final = 1 << 20  # without it, pyarrow reads a whole column of a row group at once
_MAGIC: Final = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
_IMAGE_WORDS: Final = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "content", *PATH_WORDS)
_BYTES: Final = "bytes"
_NAMES_READ: Final = 1 << 16  # rows of labels at once


class _Schema(NamedTuple):
    """The columns of a set.

    Attributes:
        image: of the photos.
        bytes_of: the same, down to the bytes: `image.bytes` in a struct.
        path_of: where the name of the file is; `None` if it is nowhere.
        label: of the labels; `None` if there are none.
        classes: the names of the labels, if the file states them.
    """

    image: str
    bytes_of: str
    path_of: str | None
    label: str | None
    classes: tuple[str, ...] | None


class _File:
    """One Parquet file: the first row of each row group, and how many rows make a batch."""

    def __init__(self, shard: Shard) -> None:
        self.name, self.path = shard
        with _opened(self.path) as file:
            self.schema = file.schema_arrow
            groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
            self.rows = [group.num_rows for group in groups]
            self.steps = [max(1, _BATCH_BYTES * group.num_rows // max(1, group.total_byte_size)) for group in groups]
        self.firsts = list(accumulate(self.rows[:-1], initial=0))
        self.stamp = stamp_of(self.path)
        self.names: list[str] = []


class ParquetSource:
    """The photos of one or several Parquet files; the name of each is its file's and the number of its row.

    Args:
        path: the file, the folder or the pattern.
        shards: of the set.
        choice: what the user says about it: the path column is that of the photos, the label column that of the labels.

    Raises:
        DataError: a file cannot be read, has no column of photos, or no file has a row.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path, shards: Shards, choice: LayoutChoice) -> None:
        self.path = path
        self.notes: tuple[Note, ...] = shards.notes
        self._home = shards.home
        self._beside = shards.beside
        self._files = {shard.name: _File(shard) for shard in shards.taken}
        first = next(iter(self._files.values()))
        self._schema = _columns(first, choice)
        for file in self._files.values():
            if file is not first and _columns(file, choice) != self._schema:
                raise DataError("data.parquet_differ", path=path, first=first.path, second=file.path)
            file.names = _names(file, self._schema)
        if not any(file.names for file in self._files.values()):
            raise DataError("data.parquet_no_rows", path=path)
        self._rows = {name: (file, row) for file in self._files.values() for row, name in enumerate(file.names)}
        self._batches: OrderedDict[tuple[str, int, int], list[bytes | None]] = OrderedDict()
        self._kept = 0
        self._cursor: tuple[str, int, int, Iterator[list[bytes | None]]] | None = None
        self._damaged: dict[tuple[str, int], tuple[int, Exception]] = {}  # row groups: the first batch that fails, why
        self._lock = threading.Lock()

    @cached_property
    def _all(self) -> tuple[str, ...]:
        return (*self._beside, *self._rows)

    def names(self) -> tuple[str, ...]:
        """One name for each row, and the files beside the shards."""
        return self._all

    def found(self, choice: LayoutChoice) -> Found:
        """The split and the class of each row.

        Raises:
            DataError: there is no column of labels, or a row for training has no label.
        """
        schema = self._schema
        if schema.label is None:
            first = next(iter(self._files.values()))
            raise DataError("data.parquet_no_label", path=self.path, found=joined(first.schema.names))
        if choice.kind != "auto":
            raise DataError("data.parquet_layout", path=self.path, layout=choice.layout)
        entries: list[Entry] = []
        for file in self._files.values():
            split = split_in(file.name) or "train"
            labels = list(_labels(file, schema.label))
            silent = [name for name, label in zip(file.names, labels, strict=True) if label is None]
            if silent and split != "test":
                values = {"count": len(silent), "total": len(labels), "example": silent[0]}
                raise DataError("data.samples_no_label", path=file.path, **values)
            entries += [Entry(name, split, label) for name, label in zip(file.names, labels, strict=True)]
        return Found("parquet", tuple(entries), "", (), schema.classes)

    def read(self, name: str) -> bytes:
        """The content of one photo.

        Raises:
            BadImageError: the row has none, or its row group is damaged.
        """
        if name not in self._rows:
            if name in self._beside:
                return FolderSource(self._home).read(name)
            raise BadImageError("data.bad_missing", path=name)
        file, row = self._rows[name]
        group = bisect_right(file.firsts, row) - 1
        batch, place = divmod(row - file.firsts[group], file.steps[group])
        try:
            with self._lock:
                content = self._batch(file, group, batch)[place]
        except MemoryError as error:
            raise BadImageError("data.bad_memory", path=name) from error
        except (OSError, ValueError, DataError) as error:  # pyarrow's own errors are of these kinds
            raise BadImageError("data.bad_unreadable", path=name, reason=_reason(error)) from error
        if content is None:
            raise BadImageError("data.bad_no_bytes", path=name)
        if len(content) > MAX_FILE_BYTES:
            raise BadImageError("data.bad_too_many_bytes", path=name, limit=MAX_FILE_BYTES >> 20)
        return content

    def stamp(self, name: str) -> str | None:
        """The file's own stamp with the number of the row."""
        if name not in self._rows:
            return FolderSource(self._home).stamp(name)
        file, row = self._rows[name]
        return f"{file.stamp}-{row}" if file.stamp else None

    def _batch(self, file: _File, group: int, batch: int) -> list[bytes | None]:
        """A batch of a row group; the file is read on from where it was, or from the group's start."""
        key = (file.name, group, batch)
        while key not in self._batches:
            fails, why = self._damaged.get(key[:2], (batch + 1, None))
            if why is not None and batch >= fails:  # else each row behind a damage would read the group again up to it
                raise why
            if self._cursor is None or self._cursor[:2] != key[:2] or self._cursor[2] > batch:
                self._cursor = (*key[:2], 0, _stream(file, group, self._schema))
            at, stream = self._cursor[2:]
            self._cursor = None  # a stream that fails does not go on
            self._keep((*key[:2], at), self._next(stream, file, (*key[:2], at)))
            self._cursor = (*key[:2], at + 1, stream)
        self._batches.move_to_end(key)
        return self._batches[key]

    def _next(self, stream: Iterator[list[bytes | None]], file: _File, key: tuple[str, int, int]) -> list[bytes | None]:
        """The next batch of a stream; a failure that is not the disk's is remembered."""
        try:
            return next(stream)
        except StopIteration:
            error: Exception = DataError("data.parquet_short", path=file.path)
        except (OSError, ValueError, DataError) as failure:
            error = failure
        if getattr(error, "errno", None) is None:
            self._damaged[key[:2]] = key[2], error
        raise error

    def _keep(self, key: tuple[str, int, int], content: list[bytes | None]) -> None:
        self._kept += sum(len(one or b"") for one in content) - sum(
            len(one or b"") for one in self._batches.get(key, ())
        )
        self._batches[key] = content
        self._batches.move_to_end(key)
        while self._kept > _KEPT_BYTES and len(self._batches) > 1:
            _, dropped = self._batches.popitem(last=False)
            self._kept -= sum(len(one or b"") for one in dropped)


def _opened(path: Path) -> Any:
    """The open file; pyarrow is imported here.

    Raises:
        DataError: no Parquet file, or cut off, damaged or encrypted.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    try:
        return ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> DataError:
    """What is wrong with a file: its ends say more than pyarrow does."""
    head = tail = b""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, file.seek(0, 2) - 4))
        tail = file.read(4)
    if not head:
        return DataError("data.archive_empty", path=path)
    if b"PARE" in (head, tail):
        return DataError("data.parquet_encrypted", path=path)
    if head != b"PAR1":
        return DataError("data.parquet_none", path=path)
    if tail != b"PAR1":
        return DataError("data.parquet_cut_off", path=path)
    return DataError("data.parquet_damaged", path=path, reason=_reason(error))


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def _columns(file: _File, choice: LayoutChoice) -> _Schema:
    """Find the columns of photos and labels: by what the user says, by the file's own features, by type and name.

    Raises:
        DataError: no column holds photos, or two may hold them or the labels.
    """
    features = _features(file.schema)
    fields = {field.name: field.type for field in file.schema}
    for said in (choice.path_column, choice.label_column):
        if said is not None and said not in fields:
            raise DataError("data.table_no_column", table=file.path, column=said, found=joined(fields))
    photos = [name for name, kind in fields.items() if _holds_bytes(kind)]
    if choice.path_column is not None:
        photos = [name for name in photos if name == choice.path_column]
    if len(photos) > 1:
        photos = [name for name in photos if features.get(name, {}).get("_type") == "Image"] or photos
    if len(photos) > 1:
        photos = _by_words(photos, _IMAGE_WORDS)
    if not photos:
        kinds = joined(f"{name} ({kind})" for name, kind in list(fields.items())[:8])
        raise DataError("data.parquet_no_photos", path=file.path, found=kinds)
    if len(photos) > 1:
        raise DataError("data.parquet_two_photos", path=file.path, first=photos[0], second=photos[1])
    image = photos[0]
    label = choice.label_column or _label(fields, features, image, file.path)
    names = features.get(label or "", {}).get("names")
    classes = tuple(map(str, names)) if isinstance(names, list) and names else None
    struct = not _is_binary(fields[image])
    inside = {one.name for one in fields[image]} if struct else set()
    path_of = f"{image}.path" if "path" in inside else None
    return _Schema(image, f"{image}.{_BYTES}" if struct else image, path_of, label, classes)


def _label(fields: dict[str, Any], features: dict[str, Any], image: str, path: Path) -> str | None:
    stated = [name for name in fields if features.get(name, {}).get("_type") == "ClassLabel"]
    found = stated or [name for name, kind in fields.items() if name != image and _may_label(kind)]
    if len(found) > 1 or not stated:
        named = [name for name in found if word_of(name) in LABEL_WORDS]
        exact = [name for name in named if word_of(name) == "label"]
        found = exact or named or stated
    if len(found) > 1:
        raise DataError("data.parquet_two_labels", path=path, first=found[0], second=found[1])
    return found[0] if found else None


def _features(schema: Any) -> dict[str, Any]:
    """What `datasets` notes about each column; empty if it did not write the file."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def _is_binary(kind: Any) -> bool:
    import pyarrow.types as of

    return of.is_binary(kind) or of.is_large_binary(kind) or of.is_binary_view(kind)


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as of

    if _is_binary(kind):
        return True
    return of.is_struct(kind) and any(one.name == _BYTES and _is_binary(one.type) for one in kind)


def _may_label(kind: Any) -> bool:
    import pyarrow.types as of

    kind = kind.value_type if of.is_dictionary(kind) else kind
    return of.is_integer(kind) or of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind)


def _by_words(names: Sequence[str], words: Sequence[str]) -> list[str]:
    """The names that are the earliest of some words; all names if none is among them."""
    first = next((word for word in words if any(word_of(name) == word for name in names)), None)
    return [name for name in names if word_of(name) == first] if first else list(names)


def _names(file: _File, schema: _Schema) -> list[str]:
    """The name of each row: the file's, the number of the row, and the ending of the photo."""
    count = sum(file.rows)
    width = len(str(max(0, count - 1)))
    endings = [_ending(path) for path in _values(file, schema.path_of)] if schema.path_of else []
    if not any(endings):
        start = next((one for one in next(_stream(file, 0, schema), []) if one), b"") if count else b""
        common = next((ending for magic, ending in _MAGIC.items() if start.startswith(magic)), ".jpg")
        endings = [common] * count
    known = next((ending for ending in endings if ending), ".jpg")
    return [f"{file.name}/{row:0{width}}{ending or known}" for row, ending in enumerate(endings)]


def _ending(path: Any) -> str:
    ending = PurePosixPath(str(path or "")).suffix.lower()
    return ending if ending in PICTURE_SUFFIXES else ""


def _labels(file: _File, column: str) -> Iterator[str | None]:
    """The label of each row as text; `None` where there is none, as -1 in `datasets`.

    Raises:
        DataError: the labels are neither whole numbers nor texts.
    """
    for value in _values(file, column):
        if value is None or value == -1:
            yield None
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(value)
        elif isinstance(value, float) and value.is_integer():
            yield str(int(value))
        elif isinstance(value, str):
            yield composed(value.strip()) or None
        else:
            raise DataError("data.parquet_label", path=file.path, column=column, kind=type(value).__name__)


def _values(file: _File, column: str) -> Iterator[Any]:
    """The values of a column without photos, or of one field of a struct."""
    outer, _, inner = column.partition(".") if column not in file.schema.names else (column, "", "")
    try:
        with _opened(file.path) as opened:
            for batch in opened.iter_batches(_NAMES_READ, columns=[column]):
                for value in batch.column(outer).to_pylist():
                    yield (value or {}).get(inner) if inner else value
    except (OSError, ValueError) as error:
        raise _refusal(file.path, error) from error


def _stream(file: _File, group: int, schema: _Schema) -> Iterator[list[bytes | None]]:
    """The photos of a row group, batch by batch."""
    with _opened(file.path) as opened:
        batches = opened.iter_batches(file.steps[group], row_groups=[group], columns=[schema.bytes_of])
        for batch in batches:
            column = batch.column(0)
            yield [one if isinstance(one, bytes | None) else one[_BYTES] for one in column.to_pylist()]

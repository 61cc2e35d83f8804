"""The tree of errors.

```
ThalwegError                exit code 1
├── UsageError              exit code 2: an invalid option, value or formula
│   ├── NotMetError         a process of several cannot meet the others
│   └── UnknownNameError    an unknown name; suggests the nearest known ones
├── DataError               the photos
│   └── BadImageError       one unusable photo
├── RunError                the folder of a run
├── TrainingError           a training run that cannot continue
│   └── ProcessLostError    one of its processes is gone; torchrun may start it again
├── EndedElsewhereError     another process of the same training has said what is wrong
├── MissingExtraError       an optional package is missing; the message has the command that installs it
└── StorageError            a file that cannot be written
```

An error is a key of the catalogue (`i18n`) with values, so its message appears in the reader's language. The message
says what went wrong, where, why, and what to try.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Final

from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Iterable


INTERRUPTED: Final = 130  # exit code of a training run that was stopped and has saved itself


class ThalwegError(Exception):
    """The root of all errors that this package raises on purpose.

    Args:
        key: the message's key in the catalogue, such as `"data.no_images"`.
        **values: values for the placeholders of the message.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, key: str, /, **values: Any) -> None:
        super().__init__(key, values)
        self.key = key
        self.values = values

    def __str__(self) -> str:
        return t(self.key, **self.values)


class UsageError(ThalwegError):
    """An invalid option, value or formula."""

    exit_code: ClassVar[int] = 2


class NotMetError(UsageError):
    """A process of several cannot meet the others, and it alone can know why."""


class UnknownNameError(UsageError):
    """An unknown name; the message suggests the nearest known ones.

    Args:
        kind: the kind of thing named, as a key of the catalogue under `kinds` (`"optimizer"`).
        name: the unknown name.
        known: the valid names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        nearest = get_close_matches(name.lower(), known, n=3, cutoff=0.4)
        super().__init__(
            "errors.unknown_name_near" if nearest else "errors.unknown_name",
            kind=t(f"kinds.{kind}"),
            name=name,
            nearest=joined(nearest),
            known=joined(known),
        )
        self.nearest = nearest


class DataError(ThalwegError):
    """Something is wrong with the photos, or with the structure of their folders."""


class BadImageError(DataError):
    """One photo cannot be used."""


class RunError(ThalwegError):
    """The folder of a run is missing, damaged or in use."""


class TrainingError(ThalwegError):
    """A training run cannot continue."""


class ProcessLostError(TrainingError):
    """A process of the training is gone, or does not answer."""


class EndedElsewhereError(ThalwegError):
    """Another process of the same training has said what is wrong; this one ends in silence.

    Args:
        key: of the message.
        code: the exit code of that process.
    """

    def __init__(self, key: str, *, code: int) -> None:
        super().__init__(key, code=code)
        self.exit_code = code  # type: ignore[misc] - of this one error


class MissingExtraError(ThalwegError):
    """An optional package is not installed.

    Args:
        package: the missing package (`"timm"`).
        extra: the extra of this package that installs it (`"timm"`).
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__("errors.missing_extra", package=package, extra=extra)


class StorageError(ThalwegError):
    """A file cannot be written."""

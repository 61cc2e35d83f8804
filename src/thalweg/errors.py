"""What can go wrong, as a tree.

```
ThalwegError                exit code 1
├── UsageError              exit code 2: an option, a value, a formula that cannot be meant
│   └── UnknownNameError    a name that is not in a list; offers the nearest
├── DataError               the photos
│   └── BadImageError       one photo; carries its path
├── RunError                a run's folder
├── TrainingError           a training that cannot go on
├── MissingExtraError       an optional package is not installed; says the command that installs it
└── StorageError            a file that cannot be written
```

An error is a key of the catalogue (`i18n`) with values, so that it can be said in every language:
what, which, why, and what to try.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable


class ThalwegError(Exception):
    """The root: everything that this package raises on purpose.

    Args:
        key: the message's key in the catalogue, such as `"data.no_images"`.
        **values: what the message names.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, key: str, /, **values: Any) -> None:
        super().__init__(key, values)
        self.key = key
        self.values = values

    def __str__(self) -> str:
        return t(self.key, **self.values)


class UsageError(ThalwegError):
    """An option, a value or a formula that cannot be meant."""

    exit_code: ClassVar[int] = 2


class UnknownNameError(UsageError):
    """A name that is not in a list; the message offers the nearest.

    Args:
        kind: what the name should be, as a key of the catalogue under `kinds` (`"optimizer"`).
        name: what was got.
        known: the names that would have been right.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        nearest = get_close_matches(name.lower(), known, n=3, cutoff=0.4)
        super().__init__(
            "errors.unknown_name_near" if nearest else "errors.unknown_name",
            kind=t(f"kinds.{kind}"),
            name=name,
            nearest=", ".join(nearest),
            known=", ".join(known),
        )
        self.nearest = nearest


class DataError(ThalwegError):
    """The photos, or how they are laid out."""


class BadImageError(DataError):
    """One photo that cannot be used."""


class RunError(ThalwegError):
    """A run's folder."""


class TrainingError(ThalwegError):
    """A training that cannot go on."""


class MissingExtraError(ThalwegError):
    """An optional package is not installed.

    Args:
        package: what is missing (`"timm"`).
        extra: the extra of this package that brings it (`"zoo"`).
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__("errors.missing_extra", package=package, extra=extra)


class StorageError(ThalwegError):
    """A file that cannot be written."""

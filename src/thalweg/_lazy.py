"""Public names load on first use, so that `import thalweg` and `--help` load no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package its module-level `__getattr__` and `__dir__`.

    Args:
        package: the package's `__name__`.
        homes: maps each public name to the module that defines it, relative to the package (`".loop"`).

    Returns:
        The two functions; the package binds them as `__getattr__, __dir__`.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - the name that PEP 562 gives
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name], package), name)

    def __dir__() -> list[str]:  # noqa: N807 - the same
        return sorted(homes)

    return __getattr__, __dir__

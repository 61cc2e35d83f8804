"""A validation split for a set that has none: the same share of every class, chosen by a seed."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Iterable


def choose_valid(photos: Iterable[tuple[str, str | None]], *, seed: int, fraction: float) -> set[str]:
    """Choose the photos of a validation split.

    The choice is an order by a hash of seed and path: the same on every machine and in every version, and hardly
    changed by photos that are added later.

    Args:
        photos: path and class of each photo.
        seed: another seed, another split.
        fraction: share of each class, in (0, 1); of two photos or more at least one goes, and at least one stays.

    Returns:
        The paths chosen.

    Raises:
        UsageError: the fraction is not between 0 and 1.

    Example:
        >>> chosen = choose_valid([(f"cat/{n}.jpg", "cat") for n in range(10)], seed=0, fraction=0.2)
        >>> len(chosen)
        2
    """
    if not 0 < fraction < 1:
        raise UsageError("data.bad_fraction", fraction=fraction)
    by_class: dict[str | None, list[str]] = defaultdict(list)
    for path, name in photos:
        by_class[name].append(path)
    chosen: set[str] = set()
    for paths in by_class.values():
        paths.sort(key=lambda path: blake2b(f"{seed}:{path}".encode()).digest())
        wanted = min(max(round(fraction * len(paths)), 1), len(paths) - 1)
        chosen.update(paths[:wanted])
    return chosen

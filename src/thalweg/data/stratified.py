"""Parts of a set of photos with several labels, each with its share of every label: iterative stratification.

1. Take the label with the fewest photos that are not dealt yet.
2. Deal its photos, in order of a hash, each to the part that still lacks most photos of the label; of equal ones to
   the part that lacks most photos, then to the first.
3. Go on until all are dealt; photos without a label come last.

The order follows a hash with the seed, never a random generator, as in `splits`. Copies of one content are one photo
here, with the labels of all of them.

Source: Sechidis, Tsoumakas, Vlahavas 2011, https://doi.org/10.1007/978-3-642-23808-6_10.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def valid_of_several(
    photos: Iterable[tuple[str, Sequence[str]]], *, seed: int, fraction: float, copies: Mapping[str, str]
) -> set[str]:
    """Choose the photos of a validation split, so that each label of two or more photos is on both sides if it can be.

    Args:
        photos: path and labels of each photo.
        seed: part of the hash.
        fraction: share of each label, in (0, 1).
        copies: the content of each photo that has a copy.

    Returns:
        The chosen paths.

    Example:
        >>> photos = [(f"{n}.jpg", ["cat", "dog"][: n % 3]) for n in range(30)]
        >>> chosen = valid_of_several(photos, seed=0, fraction=0.2, copies={})
        >>> len(chosen), sum("dog" in names for path, names in photos if path in chosen)
        (6, 2)
    """
    photos = list(photos)
    dealt = _dealt(photos, (1 - fraction, fraction), seed=seed, contents=copies)
    return {path for path, _ in photos if dealt[path] == 1}


def folds_of_several(
    photos: Iterable[tuple[str, Sequence[str]]], folds: int, *, seed: int, contents: Mapping[str, str]
) -> dict[str, int]:
    """Deal photos to folds of about equal size and equal shares of every label.

    Args:
        photos: path and labels of each photo.
        folds: K, at least 2.
        seed: part of the hash.
        contents: the content of each photo; photos of equal content share a fold.

    Returns:
        The fold of each path, in 0 to K - 1.

    Example:
        >>> photos = [(f"{n}.jpg", ["cat", "dog"][: n % 3]) for n in range(30)]
        >>> sum(fold == 0 for fold in folds_of_several(photos, 5, seed=0, contents={}).values())
        6
    """
    return _dealt(list(photos), (1 / folds,) * folds, seed=seed, contents=contents)


def _dealt(
    photos: Sequence[tuple[str, Sequence[str]]], shares: Sequence[float], *, seed: int, contents: Mapping[str, str]
) -> dict[str, int]:
    """The part of each path."""
    labels: dict[str, set[str]] = defaultdict(set)
    for path, names in photos:
        labels[contents.get(path, path)].update(names)
    keys = sorted(labels, key=lambda key: blake2b(f"{seed}:{key}".encode()).digest())
    of_label: dict[str, dict[str, None]] = defaultdict(dict)  # the photos of each that are not dealt, in order
    for key in keys:
        for name in sorted(labels[key]):
            of_label[name][key] = None
    lacks = {name: _wanted(len(some), shares) for name, some in of_label.items()}
    lacks_any = [share * len(keys) for share in shares]
    dealt: dict[str, int] = {}

    def deal(key: str, lacking: Sequence[float]) -> None:
        part = max(range(len(shares)), key=lambda one: (lacking[one], lacks_any[one], -one))
        dealt[key] = part
        lacks_any[part] -= 1
        for name in labels[key]:
            lacks[name][part] -= 1
            del of_label[name][key]

    while any(of_label.values()):
        rarest = min((name for name, some in of_label.items() if some), key=lambda name: (len(of_label[name]), name))
        for key in list(of_label[rarest]):
            deal(key, lacks[rarest])
    for key in keys:
        if key not in dealt:
            deal(key, lacks_any)
    return {path: dealt[contents.get(path, path)] for path, _ in photos}


def _wanted(count: int, shares: Sequence[float]) -> list[float]:
    """How many photos of a label each part is to have: of two parts, at least one each, where there are two photos."""
    others = shares[1:]
    if len(others) > 1:
        return [share * count for share in shares]
    second = min(max(round(others[0] * count), 1), count - 1)
    return [count - second, second]

"""The order in which an epoch takes the photos: each once, or all classes equally often.

An order is a pure function of (seed, epoch), so a resumed run, and every process of a training, has the same.

Shape suffixes: N photos, K classes that have photos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from thalweg.data.augmentation import ORDER, TURNS


if TYPE_CHECKING:
    from numpy.typing import NDArray


_BITS = 26  # of 64, that number the decks of an epoch; the others shuffle each


class Sampling(Protocol):
    """Says which photos an epoch takes."""

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        """Return the positions of the photos in the order of the epoch, (N,)."""
        ...


class Shuffled:
    """Each photo once an epoch, in random order.

    Args:
        count: N.
        seed: of the order.

    Example:
        >>> sorted(Shuffled(4, seed=0)(epoch=7).tolist())
        [0, 1, 2, 3]
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        """Return the order of an epoch, (N,)."""
        return np.random.default_rng([self._seed, ORDER, epoch]).permutation(self._count)


class Balanced:
    """All classes equally often: N draws an epoch, as many as there are photos, in random order.

    The draws of all epochs have one numbering: draw t of epoch e is number e·N + t. The classes take turns, in an
    order that the seed determines: number n is turn n // K of the class at place n % K. A class deals its photos like
    a deck of cards: shuffled, each once, then shuffled anew. So after any number of epochs, two classes differ by at
    most one draw, and two photos of a class by at most one. Where all classes have equally many photos, an epoch takes
    each photo once.

    Args:
        labels_N: the classes; those without photos have no turn.
        seed: of the order.

    Example:
        >>> taken = Balanced(np.array([0, 0, 0, 0, 0, 2]), seed=0)(epoch=0)
        >>> sorted(taken.tolist()).count(5)  # the only photo of its class: half of the draws
        3

    Source: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 3: class-balanced sampling; the turns and decks,
    in place of independent draws, are ours.
    """

    def __init__(self, labels_N: NDArray[np.integer], seed: int) -> None:
        self._seed = seed
        known, counts_K = np.unique(labels_N, return_counts=True)
        turns_K = np.random.default_rng([seed, TURNS]).permutation(len(known))
        by_class_N = np.argsort(labels_N, kind="stable")
        decks = np.split(by_class_N, np.cumsum(counts_K)[:-1])
        self._photos_N = np.concatenate([decks[label] for label in turns_K.tolist()])  # class by class
        self._counts_K = counts_K[turns_K]

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        """Return the order of an epoch, (N,)."""
        count, classes = len(self._photos_N), len(self._counts_K)
        first = epoch * count
        own_K = (np.arange(classes) - first) % classes  # the first draw of each class in this epoch
        drawn_N = self._dealt((first + own_K) // classes, -((own_K - count) // classes))
        return drawn_N[np.random.default_rng([self._seed, ORDER, epoch]).permutation(count)]

    def _dealt(self, turn_K: NDArray[np.int64], draws_K: NDArray[np.int64]) -> NDArray[np.int64]:
        """The photos that the classes deal, each in so many turns from a number on; class by class."""
        counts_K = self._counts_K
        first_K, last_K = turn_K // counts_K, (turn_K + draws_K - 1) // counts_K  # decks
        cards_K = (last_K - first_K + 1) * counts_K
        class_M = np.repeat(np.arange(len(counts_K)), cards_K)  # M cards of all decks that are begun
        card_M = np.arange(len(class_M)) - (np.cumsum(cards_K) - cards_K)[class_M]
        deck_M, place_M = first_K[class_M] + card_M // counts_K[class_M], card_M % counts_K[class_M]
        photo_M = self._photos_N[(np.cumsum(counts_K) - counts_K)[class_M] + place_M]
        random_M = hashed(hashed(self._seed, deck_M), photo_M) >> np.uint64(_BITS)
        number_M = (place_M == 0).cumsum().astype(np.uint64) << np.uint64(64 - _BITS)
        shuffled_M = photo_M[np.argsort(number_M | random_M, kind="stable")]
        skipped_M = (turn_K - first_K * counts_K)[class_M]
        return shuffled_M[(card_M >= skipped_M) & (card_M < skipped_M + draws_K[class_M])]


def sampling_of(name: str, labels_N: NDArray[np.integer], seed: int) -> Sampling:
    """Return what `--sampling` asks for: `shuffled` or `balanced`."""
    return Balanced(labels_N, seed) if name == "balanced" else Shuffled(len(labels_N), seed)


def hashed(state: int | NDArray[np.uint64], number_M: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 bits for each number that look random and depend on all that went into the state before it: SplitMix64.

    A generator for each deck would give the same, but takes 20 µs to begin.

    Example:
        >>> (hashed(0, np.array([1, 2])) >> 60).tolist()
        [14, 6]

    Source: Steele, Lea, Flood 2014, https://doi.org/10.1145/2660193.2660195, figure 14.
    """
    bits_M = np.asarray(state, dtype=np.uint64) + number_M.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits_M = (bits_M ^ (bits_M >> np.uint64(shift))) * np.uint64(factor)
    return bits_M ^ (bits_M >> np.uint64(31))

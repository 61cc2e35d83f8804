"""The order of photos: closed forms of how often each is taken, and a literal twin of the turns and decks."""

from collections import Counter

import numpy as np
import pytest

from thalweg.data.sampling import Balanced, Shuffled, hashed, sampling_of


UNEVEN = np.repeat([0, 1, 2, 4], [13, 5, 1, 7])  # class 3 has no photo
SETS = {"uneven": UNEVEN, "mixed up": np.random.default_rng(1).permutation(UNEVEN), "one class": np.zeros(5, dtype=int)}


def mixed(state, number):
    """SplitMix64 in Python's integers."""
    bits = (state + number * 0x9E3779B97F4A7C15) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return bits ^ (bits >> 31)


def literal_epochs(labels, seed, epochs):
    """Deal photo after photo from the first epoch on: the classes take turns, each from a deck that is never reset."""
    turns = np.random.default_rng([seed, 3]).permutation(len(set(labels.tolist())))
    classes = [sorted(set(labels.tolist()))[place] for place in turns]
    decks, used, number, found = {label: [] for label in classes}, Counter(), 0, []
    for _ in range(epochs):
        taken = []
        for _ in range(len(labels)):
            label = classes[number % len(classes)]
            if not decks[label]:
                photos, deck = np.flatnonzero(labels == label).tolist(), used[label]
                decks[label] = sorted(photos, key=lambda photo, deck=deck: mixed(mixed(seed, deck), photo) >> 26)
                used[label] += 1
            taken.append(decks[label].pop(0))
            number += 1
        found.append(sorted(taken))
    return found


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_draws_are_those_of_turns_and_decks(name, seed):
    balanced = Balanced(SETS[name], seed)
    assert [sorted(balanced(epoch).tolist()) for epoch in range(9)] == literal_epochs(SETS[name], seed, 9)


@pytest.mark.parametrize("name", SETS)
def test_after_any_number_of_epochs_classes_and_photos_differ_by_one_draw(name):
    labels, total = SETS[name], Counter()
    balanced = Balanced(labels, 7)
    for epoch in range(12):
        taken = balanced(epoch).tolist()
        total.update(taken)
        assert len(taken) == len(labels)
        of_class = [[total[photo] for photo in np.flatnonzero(labels == label)] for label in set(labels.tolist())]
        draws = [sum(photos) for photos in of_class]
        assert sum(draws) == (epoch + 1) * len(labels)
        assert max(draws) - min(draws) <= 1
        assert all(max(photos) - min(photos) <= 1 for photos in of_class)


def test_an_epoch_does_not_depend_on_those_before_it():
    alone = [Balanced(UNEVEN, 3)(epoch).tolist() for epoch in range(5)]
    balanced = Balanced(UNEVEN, 3)
    assert [balanced(epoch).tolist() for epoch in (4, 2, 0, 3, 1)] == [alone[epoch] for epoch in (4, 2, 0, 3, 1)]
    assert alone[0] != alone[1]
    assert alone != [Balanced(UNEVEN, 4)(epoch).tolist() for epoch in range(5)]
    assert len(Balanced(UNEVEN, 3)(10**9)) == len(UNEVEN)


def test_of_equal_classes_each_photo_comes_once_an_epoch():
    labels = np.arange(5000) % 2500
    for sampling in (Balanced(labels, 0), Shuffled(5000, 0)):
        first, second = sampling(0).tolist(), sampling(1).tolist()
        assert sorted(first) == sorted(second) == list(range(5000))
        assert first != second


def test_a_class_of_one_photo_among_five_thousand_has_its_turns():
    labels = np.concatenate([np.repeat(np.arange(4999), 3), [4999]])
    taken = np.concatenate([Balanced(labels, 0)(epoch) for epoch in range(5)])
    counts = np.bincount(labels[taken])
    assert set(counts.tolist()) <= {14, 15}  # 5 · 14,998 draws of 5,000 classes
    assert np.count_nonzero(taken == len(labels) - 1) == counts[4999]


def test_places_in_an_epoch_are_random():
    """A rare class is spread over the epoch: the mean place of its draws is the middle, within five deviations."""
    labels = np.repeat([0, 1], [990, 10])
    places = np.concatenate([np.flatnonzero(labels[Balanced(labels, seed)(0)]) for seed in range(20)])
    assert len(places) == 20 * 500
    assert abs(places.mean() - 499.5) < 5 * 1000 / np.sqrt(12 * len(places))


def test_every_order_of_a_deck_is_about_as_frequent():
    """Chi-squared over the 24 orders of four photos, 23 degrees of freedom: below the 99.9 % quantile."""
    labels = np.repeat([0, 1], [4, 4])
    orders = Counter()
    for seed in range(2400):
        random = hashed(hashed(seed, np.zeros(4, dtype=np.int64)), np.flatnonzero(labels == 1))
        orders[tuple(np.argsort(random).tolist())] += 1
    assert len(orders) == 24
    assert sum((count - 100) ** 2 / 100 for count in orders.values()) < 49.7


def test_the_option_names_them():
    np.testing.assert_array_equal(sampling_of("shuffled", UNEVEN, 3)(2), Shuffled(len(UNEVEN), 3)(2))
    np.testing.assert_array_equal(sampling_of("balanced", UNEVEN, 3)(2), Balanced(UNEVEN, 3)(2))

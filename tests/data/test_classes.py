"""Names of classes: whose they are, in which order, and what a slip is told."""

from pathlib import Path

import pytest

from thalweg.data import open_images
from thalweg.data.classes import number_classes
from thalweg.data.photos import natural_key
from thalweg.errors import DataError


SET = Path("pets")
ANIMALS = {"bird", "cat", "dog"}


def refusal(found, names, *, numbered=False):
    with pytest.raises(DataError) as caught:
        number_classes(found, names, path=SET, numbered=numbered)
    return caught.value


@pytest.mark.parametrize(
    ("names", "key", "said"),
    [
        (("dog", "cat", "brid"), "data.names_lack", "bird (the file has brid)"),
        (("dog", "Cat", "bird"), "data.names_lack", "cat (the file has Cat)"),
        (("dog", "cat"), "data.names_lack", "bird"),
        (("dog", "cat", "brid", "fish"), "data.names_lack", "bird"),
        (("Hund", "Katze", "Vogel"), "data.names_of_others", "numbers"),
        (("dog", "cat", "bird", "dog"), "data.names_twice", "dog"),
    ],
)
def test_names_with_a_slip_are_refused_with_the_nearest(names, key, said):
    error = refusal(ANIMALS, names)
    assert error.key == key
    assert said in str(error)


def test_names_that_contain_every_class_give_the_order_and_may_be_more():
    names, label_of = number_classes(ANIMALS, ("fish", "dog", "cat", "bird"), path=SET, numbered=False)
    assert names == ("fish", "dog", "cat", "bird")
    assert label_of == {"dog": 1, "cat": 2, "bird": 3}


def test_names_are_compared_however_their_accents_are_spelled():
    names, label_of = number_classes({"Caf\u00e9", "Bar"}, ("Cafe\u0301", "Bar"), path=SET, numbered=False)
    assert label_of == {"Caf\u00e9": 0, "Bar": 1}
    assert len(names) == 2


def test_names_of_a_run_are_believed():
    _, label_of = number_classes({"cat", "dog"}, ("Katze", "Hund"), path=SET, numbered=False, believed=True)
    assert label_of == {"cat": 0, "dog": 1}
    _, label_of = number_classes({"1", "2", "10"}, ("1", "2", "10"), path=SET, numbered=True, believed=True)
    assert label_of == {"1": 0, "2": 1, "10": 2}  # as 0.1.0 numbered folders


def test_a_list_of_the_numbers_themselves_is_no_list_of_names():
    names, label_of = number_classes({"1", "2", "10"}, ("1", "2", "10"), path=SET, numbered=True)
    assert [names[label] for label in label_of.values()] == list(label_of)


@pytest.mark.parametrize(
    "order", [["cat", "cat2", "cat10"], ["Cat", "cat2", "CAT10"], ["1", "2", "10", "a"], ["a", "a 1", "a b"]]
)
def test_the_order_is_natural(order):
    assert sorted(set(order), key=natural_key) == order
    assert natural_key("9" * 5000) > natural_key("8" * 5000)


@pytest.mark.parametrize("pattern", ["{}", "{:02}"])
def test_food_11_in_folders_of_its_numbers(plant, pattern):
    photos = {
        f"{split}/{pattern.format(n)}/{i}.jpg": b"" for split in ("train", "val") for n in range(11) for i in "ab"
    }
    images = open_images(plant(photos), classes="food11")
    assert {photo.path: photo.label for photo in images.photos} == {path: int(path.split("/")[1]) for path in photos}
    assert images.classes[10] == "Vegetable/Fruit"


def test_food_11_is_not_for_folders_with_names(plant):
    photos = {f"{name}/{n}.jpg": b"" for name in "abcdefghijk" for n in range(2)}
    with pytest.raises(DataError, match=r"a, b, c, d, e, ….*Names by position are for classes that are numbers"):
        open_images(plant(photos), classes="food11")


def test_more_names_than_folders_are_told(plant):
    root = plant(
        {f"{name}/{n}.jpg": b"" for name in ("cat", "dog") for n in range(3)} | {"classes.txt": b"ant\ncat\ndog"}
    )
    images = open_images(root)
    assert images.classes == ("ant", "cat", "dog")
    assert any("ant" in str(note) for note in images.notes)

"""Corrections of labels: what a table says is what the photos are, and a row that does not fit is named."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from thalweg.data import open_images
from thalweg.data.corrections import Correction, corrected, read_corrections, write_corrections
from thalweg.errors import DataError


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    root = tmp_path_factory.mktemp("pets")
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{split}{number}{name}.png")
    return root


def labels_of(images):
    return {photo.path: images.classes[photo.label] for photo in images.photos}


def test_photos_get_the_labels_of_the_table_and_keep_their_split(pets, tmp_path):
    images = open_images(pets)
    table = tmp_path / "corrections.csv"
    rows = [
        Correction("train/cat/train0cat.png", "cat", "relabel", "dog"),
        Correction("val/dog/val1dog.png", "dog", "keep", "dog"),
        Correction("train/dog/train2dog.png", "dog", "drop", None),
    ]
    write_corrections(rows, table)
    fixed = corrected(images, table)
    wanted = labels_of(images) | {"train/cat/train0cat.png": "dog"}
    del wanted["train/dog/train2dog.png"]
    assert labels_of(fixed) == wanted
    assert Counter(photo.split for photo in fixed.photos) == {"train": 5, "valid": 4}
    facts = fixed.corrections.facts()
    assert (facts["relabeled"], facts["kept"], facts["dropped"]) == (1, 1, 1)
    assert facts["digest"] != corrected(images, _written(tmp_path, "path,label\n")).corrections.facts()["digest"]


ODD = [
    'a, "b".png',
    " a.jpg",
    "a.jpg ",
    "a\rb.jpg",
    "a\r\nb.jpg",
    "a;b|c\t.jpg",
    "'#.jpg",
    "-x.jpg",
    "é/e\u0301.jpg",
    '"',
]


def test_what_is_written_is_read(tmp_path):
    rows = [Correction(name, None, "relabel", "犬,猫") for name in ODD] + [Correction("c.png", "x", "drop", None)]
    write_corrections(rows, tmp_path / "c.csv")
    found = read_corrections((tmp_path / "c.csv").read_bytes(), "c.csv")
    assert [row._replace(line=0) for row in found] == rows


def test_a_table_made_by_hand_names_photos_as_other_tables_do(pets, tmp_path):
    table = _written(tmp_path, "File Name;Class\ntrain1cat;dog\ndog\\train0dog.png;cat\n")
    images = corrected(open_images(pets), table)
    fixed = labels_of(images)
    assert fixed["train/cat/train1cat.png"] == "dog"
    assert fixed["train/dog/train0dog.png"] == "cat"
    kept = [tuple(row)[:4] for row in read_corrections(images.corrections.content, "kept.csv")]
    assert kept == [
        ("train/cat/train1cat.png", "cat", "relabel", "dog"),
        ("train/dog/train0dog.png", "dog", "relabel", "cat"),
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("gone.png,,relabel,cat", r":3: no photo gone.png"),
        ("train0cat.png,,relabel,bird", r":3: no class bird\. Known: cat, dog"),
        ("train2dog.png,,keep,cat", r":3: .*train2dog.png is listed a second time"),
        ("train0cat.png,dog,relabel,dog", r":3: .*train0cat.png is cat in these photos, but dog in the table"),
        ("train0cat.png,cat,relable,dog", r":3: unknown decision 'relable'\. Known: relabel, keep, drop"),
        ("train0cat.png,cat,relabel,", r":3: the right label is missing"),
        (",cat,relabel,dog", r":3: no photo"),
        ("train0cat.png,,drop,\ntrain1cat.png,,drop,\ntrain2cat.png,,relabel,dog", "the last training photo of cat"),
    ],
)
def test_a_row_that_does_not_fit_is_named(pets, tmp_path, rows, said):
    table = _written(tmp_path, f"path,given,decision,label\ntrain2dog.png,dog,keep,dog\n{rows}\n")
    with pytest.raises(DataError, match=said):
        corrected(open_images(pets), table)


def test_a_photo_without_a_label_has_nothing_to_correct(striped, tmp_path):
    with pytest.raises(DataError, match=r":2: testing/0001.png has no label"):
        corrected(open_images(striped), _written(tmp_path, "path,label\ntesting/0001.png,1\n"))


@pytest.mark.parametrize(("content", "said"), [("a,b\n1,2\n", "no columns for paths and labels"), (None, "cannot be")])
def test_what_is_no_table_of_corrections_is_refused(pets, tmp_path, content, said):
    table = tmp_path / "none.csv" if content is None else _written(tmp_path, content)
    with pytest.raises(DataError, match=said):
        corrected(open_images(pets), table)


def test_the_table_beside_photos_is_no_list_of_them(pets):
    write_corrections([Correction("train/cat/train0cat.png", "cat", "keep", "cat")], pets / "corrections.csv")
    try:
        images = open_images(pets)
    finally:
        (pets / "corrections.csv").unlink()
    assert images.layout == "class_folders"
    assert [note.values["table"] for note in images.notes if note.key == "data.note_own_table"] == ["corrections.csv"]


def _written(folder, text):
    (folder / "by-hand.csv").write_text(text, encoding="utf-8")
    return folder / "by-hand.csv"

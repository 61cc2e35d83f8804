"""Several labels a photo: how tables say it, and how such sets are split."""

import csv
import io
import json
import random

import numpy as np
import pytest
import typer

from thalweg.cli import data as command
from thalweg.data import LayoutChoice, build_cache, check_images, fold_of, open_images
from thalweg.data.corrections import corrected
from thalweg.data.stratified import folds_of_several, valid_of_several
from thalweg.errors import DataError, UsageError
from thalweg.i18n import LANGUAGES, set_language, t


SETS = ["cat;dog", "dog", "", "cat", "cat; dog ;", "bird;cat", "bird", "dog;dog", "", "bird", "cat;bird;dog", "dog"]
SEVERAL = LayoutChoice(labels="several")


@pytest.fixture
def listed(plant, picture):
    """Plant a set with a table of these rows beside twelve photos."""

    def write(rows, header=("file", "labels")):
        lines = io.StringIO()
        csv.writer(lines).writerows([header, *rows])
        photos = {f"img/{n:02}.jpg": picture(n) for n in range(12)}
        return plant(photos | {"labels.csv": lines.getvalue().encode()})

    return write


def rows(labels=SETS):
    return [(f"img/{n:02}.jpg", label) for n, label in enumerate(labels)]


def test_a_part_that_also_stands_alone_makes_labels_of_it(listed):
    images = open_images(listed(rows()))
    assert images.several
    assert images.classes == ("bird", "cat", "dog")
    photos = {photo.path: photo for photo in images.photos}
    assert [photos[f"img/{n:02}.jpg"].labels for n in range(8)] == [
        (1, 2), (2,), (), (1,), (1, 2), (0, 1), (0,), (2,),
    ]  # fmt: skip
    assert all(photo.label is None for photo in images.photos)
    assert "2 photos have none" in images.describe()
    assert photos["img/10.jpg"].written(images.classes) == "bird;cat;dog"


@pytest.mark.parametrize("sign", [";", "|"])
def test_a_sign_in_the_names_of_classes_is_no_separator(listed, sign):
    names = [f"nuts{sign} {kind}" for kind in ("mixed", "salted")] * 6
    images = open_images(listed(rows(names)))
    assert not images.several
    assert images.classes == tuple(sorted(set(names)))
    assert open_images(listed(rows(names)), choice=SEVERAL).classes == ("mixed", "nuts", "salted")


def test_the_user_has_the_last_word(listed):
    root = listed(rows([label or "none" for label in SETS]))
    assert len(open_images(root).classes) == 4
    one = open_images(root, choice=LayoutChoice(labels="one"))
    assert not one.several
    assert "cat;dog" in one.classes
    alone = open_images(listed(rows(["cat", "dog"] * 6)), choice=SEVERAL)
    assert alone.several
    assert {photo.labels for photo in alone.photos} == {(0,), (1,)}


def test_a_column_of_0_and_1_for_each_class(listed):
    values = [(path, *("10"[["cat", "dog"][at] not in label] for at in range(2))) for path, label in rows()]
    root = listed(values, ("file", "cat", "dog"))
    images = open_images(root, choice=SEVERAL)
    assert images.classes == ("cat", "dog")
    by_path = {photo.path: photo.labels for photo in images.photos}
    assert (by_path["img/00.jpg"], by_path["img/02.jpg"]) == ((0, 1), ())
    root = listed([*values[:5], ("img/05.jpg", "yes", "0")], ("file", "cat", "dog"))
    with pytest.raises(DataError, match=r"labels\.csv:7: the column cat has 'yes'"):
        open_images(root / "labels.csv", choice=SEVERAL)


def test_numbers_from_a_spreadsheet(listed):
    images = open_images(listed(rows(["0.0;2.0", "2.0", "0.0", "1.0"] * 3)))
    assert images.classes == ("0", "1", "2")


def test_an_empty_label_of_the_test_split(listed):
    splits = ["train"] * 8 + ["test"] * 4
    table = [(*row, split) for row, split in zip(rows(), splits, strict=True)]
    test = open_images(listed(table, ("file", "labels", "split"))).split("test")
    assert [photo.labels for photo in test] == [(), (0,), (0, 1, 2), (2,)]
    bare = [(path, label if split == "train" else "", split) for path, label, split in table]
    test = open_images(listed(bare, ("file", "labels", "split"))).split("test")
    assert [photo.is_labeled for photo in test] == [False] * 4


def test_damaged_tables_give_one_sentence(listed, plant, picture):
    with pytest.raises(DataError, match=r"only one photo|class"):
        open_images(listed(rows(["cat;dog", *[""] * 11])), choice=SEVERAL)
    short = "file,labels\n" + "\n".join(f"img/{n:02}.jpg,cat;dog" for n in range(11)) + "\nimg/11.jpg"
    photos = {f"img/{n:02}.jpg": picture(n) for n in range(12)}
    with pytest.raises(DataError, match=r"labels\.csv:13"):
        open_images(plant(photos | {"labels.csv": short.encode()}, "short"), choice=SEVERAL)
    with pytest.raises(UsageError, match="--table"):
        open_images(
            plant({f"{name}/{n}.jpg": picture(n) for name in "ab" for n in range(3)}, "folders"), choice=SEVERAL
        )
    with pytest.raises(UsageError, match="several"):
        LayoutChoice(labels="many")


def test_the_check_counts_every_label(listed):
    found = check_images(open_images(listed(rows())))
    total = {name: sum(counts.get(name, 0) for counts in found.counts.values()) for name in ("bird", "cat", "dog", "")}
    assert total == {"bird": 4, "cat": 5, "dog": 6, "": 2}
    assert found.imbalance < 4


def test_the_cache_has_a_column_for_each_class(listed):
    images = open_images(listed(rows()))
    cache = build_cache(images, size=8)
    labels_NC = cache.labels("train")
    assert labels_NC.shape == (len(images.split("train")), 3)
    for row, found_C in zip(cache.rows("train"), labels_NC, strict=True):
        assert tuple(np.flatnonzero(found_C)) == cache.photos[row].labels
    assert cache.is_labeled("valid")
    other = open_images(listed(rows([*SETS[:-1], "cat"])))
    assert build_cache(other, size=8).fingerprint != cache.fingerprint


def test_corrections_are_refused(listed, tmp_path):
    (tmp_path / "fixes.csv").write_text("path,label\nimg/00.jpg,cat\n")
    with pytest.raises(DataError, match="--labels one"):
        corrected(open_images(listed(rows())), tmp_path / "fixes.csv")


def drawn(seed, count, classes=8):
    """Photos with labels of very different frequencies."""
    chance = random.Random(seed)
    return [
        (f"{n}.jpg", [c for c in "abcdefgh"[:classes] if chance.random() < 0.5 ** (ord(c) - 96)]) for n in range(count)
    ]


def counts_of(photos, paths):
    return {c: sum(c in names for path, names in photos if path in paths) for c in "abcdefgh"}


@pytest.mark.parametrize("seed", range(6))
def test_each_label_is_on_both_sides(seed):
    photos = drawn(seed, 60 + 40 * seed)
    chosen = valid_of_several(photos, seed=seed, fraction=0.2, copies={})
    assert chosen == valid_of_several(photos[::-1], seed=seed, fraction=0.2, copies={})
    total, valid = counts_of(photos, {path for path, _ in photos}), counts_of(photos, chosen)
    for name, count in total.items():
        assert valid[name] == pytest.approx(0.2 * count, abs=2)
        assert count < 2 or 0 < valid[name] < count
    assert len(chosen) == pytest.approx(0.2 * len(photos), abs=4)
    assert chosen != valid_of_several(photos, seed=seed + 1, fraction=0.2, copies={})


def test_folds_have_equal_shares_and_copies_share_one(listed):
    photos = drawn(3, 300)
    copies = {"0.jpg": "same", "7.jpg": "same", "19.jpg": "same"}
    found = folds_of_several(photos, 5, seed=0, contents=copies)
    assert len({found[path] for path in copies}) == 1
    total = counts_of(photos, set(found))
    for fold in range(5):
        own = counts_of(photos, {path for path, of_fold in found.items() if of_fold == fold})
        assert all(own[name] == pytest.approx(total[name] / 5, abs=2) for name in "abcdefgh")
    images = open_images(listed(rows()))
    folds = [fold_of(images, folds=3, fold=fold, seed=0) for fold in range(3)]
    valid = [photo.path for one in folds for photo in one.split("valid")]
    assert sorted(valid) == sorted(photo.path for photo in images.photos)
    with pytest.raises(UsageError, match="bird"):
        fold_of(images, folds=5, fold=0, seed=0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_command_line_reads_them_as_said(listed, capsys, language):
    root = listed(rows())
    set_language(language)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    command.register(app)

    def check(*flags):
        app(args=["data", "check", str(root), *flags], standalone_mode=False)
        return capsys.readouterr()

    counts = json.loads(check("--json").out)["counts"]
    assert sum(one.get("dog", 0) for one in counts.values()) == 6
    assert t("data.describe_several", mean=15 / 12, bare=2) in check().err.replace("\n", " ")
    with pytest.raises(DataError, match=r"labels\.csv:4"):
        check("--labels", "one")
    with pytest.raises(UsageError, match="many"):
        check("--labels", "many")

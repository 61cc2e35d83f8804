"""Answers without logits: equal to those of the logits, whatever the blocks; and literal twins of ranks."""

import errno
import os
import tempfile

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from thalweg.errors import StorageError
from thalweg.runs import answers as home
from thalweg.runs import probabilities
from thalweg.runs.answers import Answers, filled, large_array, most, without_logits
from thalweg.runs.probabilities import ranks
from thalweg.runs.tasks import ONE, scores_of_ranks


COUNT, CLASSES = 70, 37


@pytest.fixture
def drawn():
    """Logits on a coarse grid, so that many are equal."""
    random = np.random.default_rng(0)
    logits = np.round(random.normal(size=(COUNT, CLASSES)) * 2).astype(np.float32)
    return logits, random.integers(0, CLASSES, COUNT)


@pytest.fixture(params=[10**6, 3 * CLASSES, 1], ids=["one block", "blocks of three", "blocks of one"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(probabilities, "_VALUES", request.param)


@pytest.mark.usefixtures("_blocks")
def test_ranks_and_top_classes_are_those_of_a_stable_sort(drawn):
    logits, labels = drawn
    order = [
        sorted(range(CLASSES), key=lambda label, row=row: -row[label]) for row in logits
    ]  # stable, as Python sorts
    assert ranks(logits, labels).tolist() == [row.index(label) for row, label in zip(order, labels, strict=True)]
    assert most(logits, 7).tolist() == [row[:7] for row in order]
    assert (most(logits, 1)[:, 0] == logits.argmax(axis=1)).all()
    assert most(logits, CLASSES).tolist() == order


def test_a_photo_with_a_number_that_is_none_is_not_right():
    logits = np.array([[np.nan, 1.0], [1.0, np.nan], [1.0, 0.0]])
    assert (ranks(logits, np.array([0, 0, 0])) > 0).tolist() == [True, True, False]


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_without_logits_the_answers_have_the_same_bits(drawn, temperature):
    logits, labels = drawn
    whole = Answers({"logits": logits, "labels": labels}, CLASSES, temperature)
    kept = without_logits(logits, labels, temperature)
    compact = Answers({**kept, "labels": labels}, CLASSES, temperature)
    for name in ("labels_N", "predicted_N", "plain_N", "probability_N", "rank_N", "right_N"):
        np.testing.assert_array_equal(getattr(compact, name), getattr(whole, name), err_msg=name)
    assert kept["top_classes"].shape == (COUNT, 10)
    softmax = torch.softmax(torch.from_numpy(logits).double() / temperature, dim=1).numpy()
    np.testing.assert_allclose(
        kept["top_probabilities"], np.take_along_axis(softmax, kept["top_classes"], axis=1), rtol=1e-12
    )


def test_top5_is_that_of_scikit_learn(drawn):
    _, labels = drawn
    logits = np.random.default_rng(1).normal(size=(COUNT, CLASSES))
    found = ONE.scores(logits, labels)
    assert found["accuracy"] == (logits.argmax(axis=1) == labels).mean()
    expected = top_k_accuracy_score(labels, logits, k=5, labels=range(CLASSES))
    assert found["top5_accuracy"] == pytest.approx(expected)


def test_top5_is_told_of_more_than_twenty_classes():
    rank = np.array([0, 1, 7])
    assert "top5_accuracy" not in scores_of_ranks(rank, 20)
    assert "top5_accuracy" in scores_of_ranks(rank, 21)
    assert "valid_top5" not in ONE.epoch_units(20)
    assert list(ONE.epoch_units(21))[-1] == "valid_top5"


def test_a_large_array_is_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "LARGEST", 100)
    small, large = (large_array((rows, 5), np.float32, tmp_path) for rows in (5, 6))
    assert isinstance(large, np.memmap)
    assert not isinstance(small, np.memmap)
    parts = np.split(np.arange(30, dtype=np.float32).reshape(6, 5), [1, 4])
    np.testing.assert_array_equal(filled(large, parts), np.concatenate(parts))
    assert torch.from_numpy(large).sum() == 435
    assert not list(tmp_path.iterdir())
    assert large_array((6, 5), np.float32, tmp_path / "gone").shape == (6, 5)


def test_a_full_disk_is_named_where_an_array_does_not_fit(tmp_path, monkeypatch):
    def full(_file, _start, _size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(StorageError, match=r"0\.12 GB.*No space left") as raised:
        large_array((1000, 30_000), np.float32, tmp_path, bound=0)
    assert str(tmp_path) in str(raised.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError) as raised:
        large_array((1000, 30_000), np.float32, tmp_path / "gone", bound=0)
    assert str(raised.value).startswith(f"{tempfile.gettempdir()}:")  # which is full

"""The page's answers about a run whose photos have several labels."""

import pytest

from thalweg.errors import RunError
from thalweg.server.routes.classify import classify_own
from thalweg.server.routes.embeddings import embedding
from thalweg.server.routes.review import review_of
from thalweg.server.routes.scores import scores
from thalweg.server.run_index import _of_epochs, _of_summary


def test_scores_are_a_row_for_each_class(several_run):
    found = scores(several_run)
    assert "matrix" not in found
    assert [row[0] for row in found["rows"]] == ["blue", "green", "red"]
    assert all(len(row) == len(found["columns"]) == 7 for row in found["rows"])
    assert found["right"] == pytest.approx(several_run.summary()["valid"]["mean_average_precision"])
    given = several_run.read_labels()
    paths = [photo.path for photo in several_run.open_photos().photos]
    for sample in found["samples"]:
        assert sample["true"] == given.get(paths[sample["row"]], "(no label)")
        assert sample["right"] == (sample["true"] == sample["predicted"])


def test_a_photo_is_answered_with_its_labels(several_run):
    row = int(several_run.open_photos().rows("valid")[0])
    answer = classify_own(several_run, row)
    assert answer["several"]
    given = [one["name"] for one in answer["top"] if one["given"]]
    assert sorted(given) == [name for name in answer["answer"].split(";") if name]
    assert isinstance(answer["true"], str)


def test_maps_are_colored_by_the_rarest_label(several_run):
    header, arrays = embedding(several_run, "best")
    assert header["classes"] == ["blue", "green", "red", "(no label)"]
    assert header["named"] == [0, 1, 2, 3]
    assert len(header["true"]) == len(arrays["labels"])
    for label, names in zip(arrays["labels"], header["true"], strict=True):
        assert header["classes"][label] in names
    wrong = [one != other for one, other in zip(header["true"], header["given"], strict=True)]
    assert (arrays["predicted"] != arrays["labels"]).tolist() == wrong


def test_the_best_of_a_run_is_mean_average_precision(several_run):
    expected = several_run.summary()["valid"]["mean_average_precision"]
    assert _of_summary(several_run.path)["best"] == pytest.approx(expected)
    assert _of_epochs(several_run.path)["best"] == pytest.approx(expected)


def test_the_review_says_that_it_is_for_one_label(several_run):
    with pytest.raises(RunError, match="one label a photo"):
        review_of(several_run.path)

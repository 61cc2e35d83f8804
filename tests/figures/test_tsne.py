import numpy as np
import pytest

from thalweg.errors import DataError
from thalweg.figures.run_tsne import embed, tsne
from thalweg.i18n import set_language


rng = np.random.default_rng(0)


def blobs(count, classes, dimensions=20, apart=5.0):
    labels = np.arange(count) % classes
    return rng.normal(size=(count, dimensions)) + apart * rng.normal(size=(classes, dimensions))[labels], labels


def nearest_agree(points, labels, neighbors):
    """By brute force."""
    distances = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :neighbors]
    return (labels[nearest] == labels[:, None]).mean()


def test_classes_that_are_apart_stay_apart():
    features, labels = blobs(90, 3)
    found = embed(features, labels)
    assert nearest_agree(found.positions_M2, labels, 5) > 0.95
    assert found.rows_M.tolist() == list(range(90))
    assert (found.perplexity, found.components) == (pytest.approx(89 / 3), 20)


def test_the_agreement_is_that_of_brute_force():
    features, labels = blobs(60, 3, apart=0.7)
    assert embed(features, labels).agreement == pytest.approx(nearest_agree(features, labels, 10))


def test_the_seed_decides():
    features, labels = blobs(40, 2)
    one, same = (embed(features, labels, seed=1, limit=30) for _ in range(2))
    other = embed(features, labels, seed=2, limit=30)
    np.testing.assert_array_equal(one.positions_M2, same.positions_M2)
    assert one.rows_M.tolist() != other.rows_M.tolist()
    assert len(set(one.rows_M)) == 30
    assert (np.diff(one.rows_M) > 0).all()


@pytest.mark.parametrize("count", [4, 5, 7, 30, 31, 32])
@pytest.mark.parametrize("dimensions", [1, 2, 60])
def test_small_sets_and_few_features(count, dimensions):
    features, labels = blobs(count, 2, dimensions)
    found = embed(features, labels)
    assert np.isfinite(found.positions_M2).all()
    assert found.components <= min(50, count, dimensions)


@pytest.mark.parametrize(
    ("features", "key"),
    [
        (np.eye(3), "figures.too_few_for_tsne"),
        (np.ones((9, 4)), "figures.features_all_equal"),
        (np.full((9, 4), np.nan), "figures.features_not_finite"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_with_a_reason(features, key):
    with pytest.raises(DataError) as caught:
        embed(features, np.zeros(len(features), dtype=int))
    assert caught.value.key == key


def test_each_class_is_drawn_where_its_photos_are(drawn, tmp_path):
    features, labels = blobs(60, 3)
    predicted = labels.copy()
    predicted[[0, 7]] = (labels[[0, 7]] + 1) % 3
    found = tsne(features, labels, ["a", "b", "c"], tmp_path / "t.png", title_key="top", predicted_N=predicted)
    *classes, rings = drawn.axes[0].collections
    for index, points in enumerate(classes):
        np.testing.assert_array_equal(points.get_offsets(), found.positions_M2[labels == index])
    np.testing.assert_array_equal(rings.get_offsets(), found.positions_M2[[0, 7]])
    names = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert names == ["a (20)", "b (20)", "c (20)", "misclassified (2)"]


def test_what_was_left_out_and_how_it_was_made_is_said(drawn, tmp_path):
    features, labels = blobs(60, 3)
    tsne(features, labels, ["a", "b", "c"], tmp_path / "t.png", title_key="mid", seed=5, limit=40)
    note = drawn.axes[0].get_xlabel()
    for part in ("40 of 60 photos", "seed 5", "perplexity 13", "20 principal components"):
        assert part in note


@pytest.mark.parametrize(("language", "count"), [("en", 1), ("zh-CN", 20), ("en", 70)])
def test_any_number_of_classes_with_any_names(drawn, tmp_path, language, count):
    set_language(language)
    features, labels = blobs(100, count)
    names = [("$a^2$ 馄饨\n" * 9)[index:] for index in range(count)]
    tsne(features, labels, names, tmp_path / "t.png", title_key="mid")
    drawn.check_nothing_is_cut()
    axes = drawn.axes[0]
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1
    assert len(axes.get_legend().get_texts()) == (25 if count > 50 else count)


@pytest.mark.slow
def test_of_many_classes_the_most_confused_have_a_color_and_the_others_are_gray(drawn, tmp_path):
    features, labels = blobs(240, 60)
    predicted = labels.copy()
    predicted[labels == 3] = 58
    tsne(
        features,
        labels,
        [f"c{index}" for index in range(60)],
        tmp_path / "t.png",
        title_key="top",
        predicted_N=predicted,
    )
    others, *named, rings = drawn.axes[0].collections
    names = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert (names[0], names[-1]) == ("36 other classes (144)", "misclassified, of these (4)")
    assert {"c3 (4)", "c58 (4)"} <= set(names)
    assert [len(points.get_offsets()) for points in (others, *named, rings)] == [144, *[4] * 24, 4]


def test_of_many_rarest_labels_the_largest_have_a_color_and_every_wrong_photo_a_ring(drawn, tmp_path):
    features, labels = blobs(240, 60)
    predicted = labels.copy()
    predicted[labels == 59] = -1  # a wrong set of labels, which is no class
    names = [f"c{index}" for index in range(60)]
    tsne(features, labels, names, tmp_path / "t.png", title_key="top", predicted_N=predicted, by_rarest=True)
    legend = drawn.axes[0].get_legend()
    assert legend.get_title().get_text() == "rarest label (photos)"
    assert legend.get_texts()[-1].get_text() == "some label wrong (4)"
    assert len(drawn.axes[0].collections) == 1 + 24 + 1


def test_of_many_classes_without_mistakes_the_largest_are_named_as_such(drawn, tmp_path):
    features, labels = blobs(120, 60)
    tsne(
        features, labels, [f"c{index}" for index in range(60)], tmp_path / "t.png", title_key="top", predicted_N=labels
    )
    assert drawn.axes[0].get_legend().get_title().get_text() == "largest classes (photos)"
    drawn.check_nothing_is_cut()

"""Maps are drawn with the colors and words of what they found."""

import numpy as np
import pytest
from PIL import Image

from thalweg import paths, surfaces
from thalweg.figures.surface_map import draw_map, outcomes_of
from thalweg.i18n import set_language


def test_ends_are_told_by_kind_and_place_the_most_frequent_first():
    found = paths.map_starts(surfaces.get("himmelblau"), "sgd", lr=0.005, steps=2000, points=(21, 21))
    outcomes = outcomes_of(found)
    counts = [int((found.outcome_HW == outcome).sum()) for outcome, _ in outcomes]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == 21 * 21
    assert "minimum at (3, 2)" in dict(outcomes).values()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.slow
def test_a_map_of_two_hyper_parameters_shows_where_it_diverged(tmp_path, language):
    set_language(language)
    axes = ("lr", np.geomspace(0.01, 1, 21)), ("momentum", 1 - np.geomspace(1, 0.01, 21))
    found = paths.map_hyperparameters(surfaces.get("valley"), "momentum", *axes, steps=500)
    assert {-2, -1, 0} <= set(found.outcome_HW.ravel().tolist())
    draw_map(found, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert image.size == (2250, 1080)


@pytest.mark.slow
def test_a_map_with_a_hundred_ends_shows_their_loss(tmp_path):
    found = paths.map_starts(surfaces.get("rastrigin"), "sgd", lr=0.004, steps=300, points=(41, 41))
    assert len(outcomes_of(found)) > 50
    draw_map(found, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000

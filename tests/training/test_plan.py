"""What a plan settles before anything is trained."""

from dataclasses import replace

import pytest

from thalweg._memory import _left_in_group, free_memory
from thalweg.data.parallel import cores
from thalweg.errors import UsageError
from thalweg.runs.photos import find_photos
from thalweg.training import recipe
from thalweg.training.machine import usable_threads
from thalweg.training.prepare import Plan
from thalweg.training.progress import Listener


@pytest.mark.parametrize(("allowed", "expected"), [("3", 3), ("", cores()), ("0", cores()), ("many", cores())])
def test_threads_are_as_many_as_openmp_is_allowed(monkeypatch, allowed, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    assert usable_threads() == expected


def test_sizes_to_grow_through_fall_away_where_photos_are_no_larger(striped):
    standard = recipe("standard")
    assert standard.smaller_sizes
    assert Plan.of(striped, standard, Listener()).config.sizes == (32,)
    assert Plan.of(striped, recipe("strong"), Listener()).config.sizes == (32,)
    assert Plan.of(striped, replace(recipe("strong"), max_size=24), Listener()).config.sizes == (24,)
    asked = replace(standard, size=32, smaller_sizes=(16, 24))
    assert Plan.of(striped, asked, Listener()).config.sizes == (16, 24, 32)


def test_another_network_does_not_grow_unless_asked_to():
    assert recipe("standard", model="cnn").smaller_sizes == ()
    asked = {"model": "residual", "size": 96, "smaller_sizes": (64,)}
    assert recipe("standard", **asked).smaller_sizes == (64,)


def test_the_homeworks_names_are_not_taken_for_a_folder_of_that_name(striped, tmp_path, monkeypatch):
    (tmp_path / "food11").mkdir()  # where `thalweg data get food11` puts the photos
    monkeypatch.chdir(tmp_path)
    plan = Plan.of(striped, replace(recipe("quick"), classes="food11"), Listener())
    assert plan.config.classes == "food11"
    assert find_photos(striped, plan.config).classes[0] == "Bread"


def test_memory_is_what_the_container_leaves(tmp_path, monkeypatch):
    for name, text in {
        "memory.max": "8000",
        "memory.current": "6000",
        "memory.stat": "anon 9\ninactive_file 500",
    }.items():
        (tmp_path / name).write_text(text)
    assert _left_in_group(tmp_path) == 8000 - 6000 + 500
    (tmp_path / "memory.max").write_text("max")
    assert _left_in_group(tmp_path) == float("inf")
    assert _left_in_group(tmp_path / "none") == float("inf")
    monkeypatch.setattr("thalweg._memory._left_in_group", lambda _: 7.0)
    assert free_memory() == 7.0


def test_one_photo_at_a_time_needs_maps_of_more_than_one_pixel(striped):
    small = replace(recipe("standard"), size=32, smaller_sizes=(), batch_size=1)
    assert Plan.of(striped, small, Listener()).config.sizes == (32,)
    with pytest.raises(UsageError, match="--batch-size 2"):
        Plan.of(striped, replace(small, smaller_sizes=(16,)), Listener())

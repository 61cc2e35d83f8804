"""What a plan settles before anything is trained."""

from dataclasses import replace

import pytest

from thalweg.cli.train import configured
from thalweg.data.parallel import cores
from thalweg.training import recipe
from thalweg.training.listener import Listener
from thalweg.training.plan import usable_threads
from thalweg.training.preparation import Plan


@pytest.mark.parametrize(("allowed", "expected"), [("3", 3), ("", cores()), ("0", cores()), ("many", cores())])
def test_threads_are_as_many_as_openmp_is_allowed(monkeypatch, allowed, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    assert usable_threads() == expected


def test_sizes_to_grow_through_fall_away_where_photos_are_no_larger(striped):
    standard = recipe("standard")
    assert standard.smaller_sizes
    assert Plan.of(striped, standard, Listener()).config.sizes == (32,)
    asked = replace(standard, size=32, smaller_sizes=(16, 24))
    assert Plan.of(striped, asked, Listener()).config.sizes == (16, 24, 32)


def test_another_network_does_not_grow_unless_asked_to():
    assert configured("standard", {"model": "cnn"}).smaller_sizes == ()
    asked = {"model": "residual", "size": 96, "smaller_sizes": (64,)}
    assert configured("standard", asked).smaller_sizes == (64,)

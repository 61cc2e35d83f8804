"""`thalweg network`: one file that plays, a table, and refusals in sentences."""

import json

import pytest

from thalweg.cli import network
from thalweg.errors import UsageError


@pytest.fixture
def command(command_runner):
    return command_runner(network, "network")


def test_it_writes_a_page_and_tells_the_numbers_of_its_frames(command, tmp_path):
    page = tmp_path / "network.html"
    small = ["--points", "blobs", "--count", "40", "--layers", "3", "--steps", "12"]
    found = json.loads(command("-o", str(page), *small, "--json").stdout)
    assert found["settings"]["widths"] == [3]
    assert found["settings"]["lr"] == 0.01  # adam's
    assert found["step"] == list(range(13))
    assert len(found["loss"]) == 13
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-o", "x.png"], ".html"),
        (["--layers", "a"], "8,8"),
        (["--layers", "99"], "99"),
        (["--points", "spiral"], "spirals"),
        (["--points", "photos"], "circles"),
        (["--optimizer", "admm"], "Unknown optimizer 'admm'"),
        (["--steps", "0"], "steps is 0, but must be from 1 to 4000"),
        (["--steps", "5000"], "steps is 5000, but must be from 1 to 4000"),
        (["--steps", "20000"], "steps is 20000, but must be from 1 to 4000"),
    ],
)
def test_what_cannot_be_filmed_is_refused(command, tmp_path, options, told):
    with pytest.raises(UsageError) as refused:
        command("-o", str(tmp_path / "x.html"), *options)
    assert told in str(refused.value)
    assert not list(tmp_path.iterdir())

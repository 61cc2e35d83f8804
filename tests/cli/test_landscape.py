"""`thalweg landscape`: a picture that says it is a slice, numbers for programs, sentences for mistakes."""

import json

import pytest

from thalweg.cli import landscape
from thalweg.errors import RunError, UnknownNameError, UsageError
from thalweg.i18n import set_language


@pytest.fixture
def run(kept_run):
    return kept_run.path


@pytest.fixture
def command(command_runner):
    return command_runner(landscape, "landscape")


@pytest.mark.parametrize(
    ("plane", "language"),
    [
        ("random", "zh-CN"),
        pytest.param("random", "en", marks=pytest.mark.slow),
        pytest.param("trajectory", "en", marks=pytest.mark.slow),
        pytest.param("trajectory", "zh-CN", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_picture_and_numbers(command, run, plane, language):
    set_language(language)
    result = command(str(run), "--plane", plane, "--points", "5", "--photos", "24", "--json")
    document = json.loads(result.stdout)
    assert document["is_a_slice_of"] > 1000
    assert len(document["losses"]) == len(document["losses"][0]) == 5
    picture = run / f"landscape-{plane}.png"
    assert document["picture"] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    if plane == "trajectory":
        assert document["trajectory"]["epochs"] == [0, 1, 2, 3]
        assert 0 <= document["trajectory"]["outside_in_all"] < 1


@pytest.mark.slow
def test_for_people(command, run, tmp_path):
    result = command(
        str(run), "--plane", "trajectory", "--points", "3", "--photos", "9", "-o", str(tmp_path / "way.png")
    )
    assert "outside the plane" in result.stdout
    assert "outside the plane" in result.stderr
    assert (tmp_path / "way.png").exists()


@pytest.mark.slow
def test_an_offline_page_to_fly_around_in(command, run, tmp_path):
    command(str(run), "--points", "3", "--photos", "9", "-o", str(tmp_path / "around.html"), "--view", "contour")
    page = (tmp_path / "around.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert '"view":"contour"' in page
    assert run.name in page


def test_mistakes(command, run, tmp_path):
    with pytest.raises(UsageError, match=r"\.html"):
        command(str(run), "-o", "around.gif")
    with pytest.raises(UnknownNameError, match="trajectory"):
        command(str(run), "--plane", "trajectorie")
    with pytest.raises(UnknownNameError, match="valid"):
        command(str(run), "--split", "validation")
    with pytest.raises(UsageError, match="odd"):
        command(str(run), "--points", "4")
    with pytest.raises(UsageError, match="test"):
        command(str(run), "--split", "test")
    with pytest.raises(RunError):
        command(str(tmp_path))

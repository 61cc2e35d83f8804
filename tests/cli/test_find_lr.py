"""`thalweg find-lr` as a person calls it."""

import json

import pytest
from PIL import Image

from thalweg.cli import find_lr
from thalweg.errors import UsageError
from thalweg.i18n import set_language
from thalweg.training import rate


SMALL = ["--model", "resnet-small", "--size", "16", "--batch-size", "16", "--optimizer", "sgd", "--augment", "flip",
         "--threads", "1", "--precision", "fp32", "--layout", "channels-last"]  # fmt: skip


@pytest.fixture
def command(command_runner, monkeypatch):
    monkeypatch.setattr(rate, "MOST_STEPS", 28)  # the command is tested here, not the search
    return command_runner(find_lr, "find-lr")


def test_it_prints_the_curve_the_suggestion_and_how_to_use_it(command, striped):
    result = command(str(striped), *SMALL, "--lr", "1e-5")
    assert "Suggested learning rate" in result.stdout
    assert f"thalweg train {striped} --lr " in result.stdout
    assert "% of 24" in result.stdout
    assert "At most about 28 steps" in result.stderr


@pytest.mark.slow
def test_as_json_with_a_picture(command, striped, tmp_path):
    out = tmp_path / "curve.png"
    document = json.loads(command(str(striped), *SMALL, "--json", "-o", str(out)).stdout)
    assert document["usable"]
    assert len(document["rates"]) == len(document["losses"]) == len(document["smoothed"])
    assert document["picture"] == str(out)
    with Image.open(out) as picture:
        assert picture.width > 1000


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.slow), "zh-CN"])
def test_a_search_that_cannot_tell_says_so_and_names_the_rate_that_stays(command, unlearnable, tmp_path, language):
    set_language(language)
    arguments = (*SMALL, "--steps", "10", "--epochs", "1", "--lr", "0.0125", "-o", str(tmp_path / "curve.png"))
    text = command(str(unlearnable), *arguments).stdout
    assert {"en": "Cannot tell", "zh-CN": "无法判断"}[language] in text
    assert "0.0125" in text
    assert (tmp_path / "curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("arguments", [["--lr", "fast"], ["--lowest", "1", "--highest", "0.1"], ["--steps", "3"]])
def test_wrong_use_gets_a_sentence_before_any_photo_is_read(command, arguments):
    with pytest.raises(UsageError):
        command("there is no such folder", *SMALL, *arguments)

"""`thalweg find-lr` as a person calls it."""

import json

import pytest
from PIL import Image

from thalweg.cli import find_lr
from thalweg.errors import UsageError
from thalweg.i18n import LANGUAGES, set_language
from thalweg.rate import search


SMALL = ["--model", "resnet-small", "--size", "16", "--batch-size", "16", "--optimizer", "sgd", "--augment", "flip",
         "--threads", "1", "--precision", "fp32", "--layout", "channels-last"]  # fmt: skip


@pytest.fixture
def command(command_runner, monkeypatch):
    monkeypatch.setattr(search, "SHORT", 2)  # the command is tested here, not the search
    monkeypatch.setattr(search, "LONG", 4)
    return command_runner(find_lr, "find-lr")


def test_it_prints_the_curve_the_suggestion_and_how_to_use_it(command, striped):
    text = command(str(striped), *SMALL).stdout
    assert "Suggested learning rate" in text
    assert f"thalweg train {striped} --lr " in text
    assert "loss after 4 steps" in text


def test_as_json_with_a_picture(command, striped, tmp_path):
    out = tmp_path / "curve.png"
    document = json.loads(command(str(striped), *SMALL, "--json", "-o", str(out)).stdout)
    assert document["usable"]
    assert len(document["rates"]) == len(document["losses"]) == len(document["smoothed"])
    assert document["picture"] == str(out)
    with Image.open(out) as picture:
        assert picture.width > 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unusable_curve_is_said_in_words(command, striped, tmp_path, language):
    set_language(language)
    text = command(str(striped), *SMALL, "--batch-size", "96", "-o", str(tmp_path / "curve.png")).stdout
    assert "[batch, batch]" in text
    assert (tmp_path / "curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("arguments", [["--lr", "fast"], ["--lowest", "1", "--highest", "0.1"], ["--steps", "3"]])
def test_wrong_use_gets_a_sentence(command, striped, arguments):
    with pytest.raises(UsageError):
        command(str(striped), *SMALL, *arguments)

"""`thalweg find-lr` as a person calls it, and `--lr auto`."""

import json

import pytest
from PIL import Image

from thalweg.cli import find_lr
from thalweg.cli.train import configured
from thalweg.rate import search
from thalweg.errors import UsageError
from thalweg.i18n import LANGUAGES, set_language


SMALL = ["--size", "16", "--batch-size", "16", "--optimizer", "sgd", "--augment", "flip", "--threads", "1",
         "--precision", "fp32", "--layout", "channels-last"]  # fmt: skip


@pytest.fixture
def verb(verb_runner, monkeypatch):
    monkeypatch.setattr(search, "SHORT", 2)  # what is tested here is the verb
    monkeypatch.setattr(search, "LONG", 4)
    return verb_runner(find_lr, "find-lr")


def test_it_prints_the_curve_the_suggestion_and_how_to_use_it(verb, striped):
    text = verb(str(striped), *SMALL).stdout
    assert "Suggested learning rate" in text
    assert f"thalweg train {striped} --lr " in text
    assert "loss after 4 steps" in text


def test_as_json_with_a_picture(verb, striped, tmp_path):
    out = tmp_path / "curve.png"
    document = json.loads(verb(str(striped), *SMALL, "--json", "-o", str(out)).stdout)
    assert document["usable"]
    assert len(document["rates"]) == len(document["losses"]) == len(document["smoothed"])
    assert document["picture"] == str(out)
    with Image.open(out) as picture:
        assert picture.width > 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unusable_curve_is_said_in_words(verb, striped, tmp_path, language):
    set_language(language)
    text = verb(str(striped), *SMALL, "--batch-size", "96", "-o", str(tmp_path / "curve.png")).stdout
    assert "[batch, batch]" in text
    assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_the_word_auto_asks_for_a_search_and_keeps_the_recipes_rate():
    config = configured("homework", {"lr": "auto"})
    assert (config.find_lr, config.lr) == (True, 3e-4)
    assert configured("homework", {"lr": 0.5}).lr == 0.5


@pytest.mark.parametrize("arguments", [["--lr", "fast"], ["--lowest", "1", "--highest", "0.1"], ["--steps", "3"]])
def test_wrong_use_gets_a_sentence(verb, striped, arguments):
    with pytest.raises(UsageError):
        verb(str(striped), *SMALL, *arguments)

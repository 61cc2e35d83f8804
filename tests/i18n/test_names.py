"""Names in sentences are shown and never obeyed, and a printed command can be typed as it is."""

import json
import re
import shlex
from pathlib import Path

import pytest

from thalweg.data import BadImage, Note
from thalweg.errors import DataError
from thalweg.i18n import LANGUAGES, quoted, shown, speaking, t


CATALOGUES = Path(__file__).parents[2] / "src" / "thalweg" / "i18n"


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [
        ("\x1b]0;title\x07\x1b[2J.jpg", r"\x1b]0;title\x07\x1b[2J.jpg"),
        ("a\rb\x08c\x7f", r"a\rb\x08c\x7f"),
        ("\x9b31m", r"\x9b31m"),  # the same control sequence in one character
        ("gpj.\u202etac", r"gpj.\u202etac"),
        ("\u2066a\u2069\u2028", r"\u2066a\u2069\u2028"),
        ("1.jpg\nthalweg: all is well", r"1.jpg\nthalweg: all is well"),
        ("caf\udce9", r"caf\xe9"),  # a byte that is not UTF-8
        ("米饭 Käse 👩\u200d🍳 é", "米饭 Käse 👩\u200d🍳 é"),
    ],
)
def test_control_characters_and_marks_of_direction_are_shown(name, as_shown):
    assert shown(name) == as_shown
    for value in (name, Path(name)):
        assert str(DataError("data.not_there", path=value)) == f"{as_shown}: no such file or folder."
    reason = Note("data.bad_empty", {"path": name})
    assert str(BadImage(name, reason)) == f"{as_shown}: empty file."
    inner = DataError("data.unreadable_table", table="t.csv", reason=reason)
    assert str(inner) == f"t.csv: cannot be read ({as_shown}: empty file.)"
    assert str(inner).isprintable() or "\u200d" in name


def test_the_lines_of_a_sentence_stay_lines():
    text = t("data.warn_bad", count=2, examples="a\n  b\x1b")
    assert text.endswith(":\n  a\n  b\\x1b")


def test_numbers_keep_their_form():
    text = t("data.bad_truncated", path="a\t", size=12288)
    assert text == r"a\t: truncated after 12,288 bytes."


@pytest.mark.parametrize("path", ["runs/my pets", "it's", "$(rm -rf ~)", "a;b", "--out", "米饭 1", "plain"])
def test_a_printed_command_is_the_one_to_type(path):
    for language in LANGUAGES:
        with speaking(language):
            words = shlex.split(t("training.result_predict", run=Path(path)).replace("：", " "), posix=True)
        assert words[words.index("predict") + 1] in {path, f"./{path}"}
    assert shlex.split(quoted(path)) == ["./--out" if path == "--out" else path]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_printed_command_quotes_its_paths(language):
    bare = re.compile(r"thalweg [a-z][^:。：]*?\{(?:path|run|photos|folder|out|file)\}")
    wrong = [
        f"{file.stem}.{key}"
        for file in (CATALOGUES / language).glob("*.json")
        for key, sentence in json.loads(file.read_text(encoding="utf-8")).items()
        if bare.search(sentence)
    ]
    assert not wrong

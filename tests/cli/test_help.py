"""Help and errors of wrong use: in the reader's language to the last word, and no wider than the terminal."""

import json
import os
import re
import subprocess
import sys
from functools import cache

import pytest

from thalweg._pointing import columns_of
from thalweg.cli._help import sentence_of, wrapped
from thalweg.i18n import LANGUAGES, speaking


# Words of the framework, none of which is a name of ours.
ENGLISH = re.compile(
    r"Usage|OPTIONS|COMMAND|ARGS|Options|Arguments|Commands|Show this|required|default|Error|Try '|for help|Missing"
    r"|No such|Did you mean|Possible|Invalid|Input should|<(?:str|int|float|path)\b|extra argument|takes? (?:a|an) "
)
WRONG_USE = [
    (["bench"], "缺少参数 DIR"),
    (["export", "runs/food"], "请说明要写入什么"),
    (["bench", "photos", "--foo"], "没有 --foo 这个选项"),
    (["train", "photos", "--epoch", "2"], "相近的选项：--epochs"),
    (["trian"], "你是想用 'train' 吗"),
    (["xyzzy"], "没有 xyzzy 这个命令"),
    (["bench", "photos", "--seconds", "a"], "'--seconds' 的值无效：必须是一个数"),
    (["bench", "photos", "--batch-size", "a"], "必须是整数"),
    (["bench", "photos", "--batch-size", "0"], "不能小于 1"),
    (["bench", "photos", "--batch-size"], "选项 --batch-size 需要一个值"),
    (["bench", "photos", "--json=1"], "选项 --json 不带值"),
    (["bench", "photos", "more"], "多余的参数（more）"),
]


# Texts of options are made when a command's module is imported, so each language has a process of its own.
PAGES = """
import contextlib, io, json, sys
from thalweg.cli import main
from thalweg.cli._app import COMMANDS
pages = {}
for command in ("", *(name.replace("_", "-") for name in COMMANDS)):
    sys.argv = ["thalweg", *([command] if command else []), "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as written, contextlib.suppress(SystemExit):
        main()
    pages[command] = written.getvalue()
print(json.dumps(pages))
"""


@pytest.fixture(scope="module")
def pages():
    """The help of every command, by its name, in a language and at a width."""

    @cache
    def at(language, width):
        environment = {**os.environ, "THALWEG_LANG": language, "COLUMNS": str(width)}
        done = subprocess.run(
            [sys.executable, "-c", PAGES], env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return at


def test_help_in_chinese_has_no_english_word_of_the_framework(pages):
    for command, text in pages("zh-CN", 80).items():
        without_names = re.sub(r"--[a-z-]+", "", text)
        assert not ENGLISH.search(without_names), (command, ENGLISH.search(without_names))
        assert text.startswith(f"用法：thalweg {command}")


def test_help_in_english_is_the_frameworks(pages):
    text = pages("en", 80)["bench"]
    assert text.startswith("Usage: thalweg bench [OPTIONS]")
    for line in (
        "\nArguments:\n  DIR <str>  ",
        "\nOptions:\n",
        "  [default: 64; x>=1]\n",
        "Show this message and exit.",
    ):
        assert line in text
    assert pages("en", 80)[""].startswith("Usage: thalweg [OPTIONS] COMMAND [ARGS]...\n")


@pytest.mark.parametrize("width", [80, pytest.param(120, marks=pytest.mark.slow)])
def test_no_line_is_wider_than_the_terminal_and_no_sentence_is_cut_off(pages, width):
    for language in LANGUAGES:
        for command, text in pages(language, width).items():
            assert max(map(columns_of, text.splitlines())) <= width, (command, language)
            assert not re.search(r"[a-z]\.\.\.$", text, re.MULTILINE), (command, language)


@pytest.mark.parametrize(("arguments", "said"), WRONG_USE, ids=lambda value: value if isinstance(value, str) else None)
def test_wrong_use_is_reported_in_the_readers_language(thalweg, arguments, said):
    code, text, error = thalweg("--lang", "zh-CN", *arguments)
    assert (code, text) == (2, "")
    assert said in error
    assert not ENGLISH.search(error)


def test_a_command_that_is_given_nothing_shows_its_help(thalweg):
    for arguments in ([], ["data"]):
        code, _, error = thalweg(*arguments)
        assert code == 2
        assert "Commands:\n" in error
        assert "Error" not in error


def test_an_unknown_sentence_stays_as_it_is():
    with speaking("zh-CN"):
        assert sentence_of("Something new.") == "Something new."


def test_lines_break_by_columns_of_the_terminal():
    assert wrapped("--max-size is one word", 11) == ["--max-size", "is one word"]
    assert wrapped("照片（像素）。", 6) == ["照片", "（像", "素）。"]
    assert wrapped("", 10) == [""]


@pytest.mark.parametrize(
    ("arguments", "now"),
    [
        (["train", "food", "--clip", "1"], "--clip is now --clip-grad-norm"),
        (["train", "food", "--select", "best"], "--select is now --keep"),
        (["surface", "valley", "--rules", "sgd"], "--rules is now --optimizers"),
        (["diagnose", "runs/a", "--prove"], "--prove is now --try-fix"),
    ],
)
def test_a_renamed_option_names_its_new_name(thalweg, arguments, now):
    code, _, error = thalweg(*arguments)
    assert code == 2
    assert now in error

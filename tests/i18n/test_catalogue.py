"""Both languages have the same sentences with the same placeholders, and every key that the code names exists."""

import ast
import json
import re
from pathlib import Path
from string import Formatter

import pytest

from thalweg.i18n import LANGUAGES, get_language, set_language, t


SRC = Path(__file__).parents[2] / "src" / "thalweg"
DOMAINS = sorted(path.stem for path in (SRC / "i18n" / "en").glob("*.json"))


def catalogue(language, domain):
    return json.loads((SRC / "i18n" / language / f"{domain}.json").read_text(encoding="utf-8"))


def placeholders(sentence):
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.parametrize("domain", DOMAINS)
def test_languages_agree(domain):
    english, chinese = catalogue("en", domain), catalogue("zh-CN", domain)
    assert english.keys() == chinese.keys()
    assert list(english) == sorted(english)
    for key in english:
        assert placeholders(english[key]) == placeholders(chinese[key]), key


def test_no_domain_is_in_one_language_only():
    assert sorted(path.stem for path in (SRC / "i18n" / "zh-CN").glob("*.json")) == DOMAINS


def keys_named_in_the_code():
    looks_like_a_key = re.compile(r"^[a-z_]+\.[a-z0-9_]+$")
    for module in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                key = node.args[0].value
                if (name == "t" or name.endswith("Error")) and isinstance(key, str) and looks_like_a_key.match(key):
                    yield key, module.name


def test_every_key_named_in_the_code_exists():
    known = {f"{domain}.{name}" for domain in DOMAINS for name in catalogue("en", domain)}
    missing = [f"{key} ({module})" for key, module in keys_named_in_the_code() if key not in known]
    assert not missing


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_is_set(language):
    set_language(language)
    try:
        assert get_language() == language
        assert "timm" in t("errors.missing_extra", package="timm", extra="zoo")
    finally:
        set_language(None)


@pytest.mark.parametrize(
    ("value", "expected"), [("zh_CN.UTF-8", "zh-CN"), ("en_GB.UTF-8", "en"), ("C", "en"), ("zh-TW", "zh-CN")]
)
def test_language_comes_from_the_environment(monkeypatch, value, expected):
    for name in ("THALWEG_LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", value)
    assert get_language() == expected

"""Both languages have the same sentences with the same placeholders, and every key that the code names exists.

The Chinese pages of the documentation keep to the words and the punctuation of the catalogue.
"""

import ast
import json
import re
from pathlib import Path
from string import Formatter

import pytest

from thalweg.i18n import LANGUAGES, get_language, set_language, t


ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "thalweg"
CHINESE_PAGES = [ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.zh-CN.md"))]
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,;:!?]|[,;!?][\u4e00-\u9fff]|[\u4e00-\u9fff]\(|\)[\u4e00-\u9fff]")
TIGHT = re.compile(r"[\u4e00-\u9fff][a-zA-Z0-9]|[a-zA-Z0-9%][\u4e00-\u9fff]")
DOMAINS = sorted(path.stem for path in (SRC / "i18n" / "en").glob("*.json"))


def catalogue(language, domain):
    return json.loads((SRC / "i18n" / language / f"{domain}.json").read_text(encoding="utf-8"))


def placeholders(sentence):
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_languages_agree():
    wrong = []
    for domain in DOMAINS:
        english, chinese = catalogue("en", domain), catalogue("zh-CN", domain)
        if list(english) != sorted(english):
            wrong.append(f"{domain}: the keys are not sorted")
        wrong += [f"{domain}.{key}: in one language only" for key in english.keys() ^ chinese.keys()]
        wrong += [
            f"{domain}.{key}: other placeholders in Chinese"
            for key in english.keys() & chinese.keys()
            if placeholders(english[key]) != placeholders(chinese[key])
        ]
    assert not wrong, "\n".join(wrong)


def test_no_domain_is_in_one_language_only():
    assert sorted(path.stem for path in (SRC / "i18n" / "zh-CN").glob("*.json")) == DOMAINS


# One word for one thing, and the reader is addressed in one way: the word that is not used, and the one that is.
CHINESE_WORDS_NOT_USED = {
    "您": "你",
    "标注": "标签",
    "把握": "置信度",
    "动词": "命令",
    "更新规则": "优化器",
    "轮数": "回合数",
    "轮次": "回合",
    "数值格式": "数值精度",
    "处理器": "CPU",
    "批归一化": "批量归一化",
    "batch norm": "批量归一化",
    "BatchNorm": "批量归一化",
    "layer norm": "层归一化",
    "运行统计量": "滑动统计量",
    "Hessian": "海森矩阵",
    "极小值": "局部最小值",
    "非数值": "NaN",
    "死亡单元": "死亡神经元",
    "死亡的单元": "死亡神经元",
    "提前停止": "早停",
    "对数坐标": "对数刻度",
    "训练结果的文件夹": "运行的文件夹",
    "训练留下的文件夹": "运行的文件夹",
    "（得到 ": "（收到 ",
    "此版本": "本版本",
    "名字": "名称",
    "证明": "试验",
    "「": "“",
    "短跑": "短训练",
}


def test_chinese_has_one_word_for_one_thing():
    wrong = []
    for domain in DOMAINS:
        for key, sentence in catalogue("zh-CN", domain).items():
            wrong += [
                f"{domain}.{key}: {word}, not {instead}"
                for word, instead in CHINESE_WORDS_NOT_USED.items()
                if word in sentence
            ]
    assert not wrong, "\n".join(wrong)


def test_chinese_sentences_have_full_width_punctuation():
    wrong = []
    for domain in DOMAINS:
        for key, sentence in catalogue("zh-CN", domain).items():
            wrong += [f"{domain}.{key}: {found}" for found in HALF_WIDTH.findall(re.sub(r"`[^`]*`", "", sentence))]
    assert not wrong, "\n".join(wrong)


def test_chinese_has_a_space_beside_latin_letters_and_digits():
    wrong = []
    for domain in DOMAINS:
        for key, sentence in catalogue("zh-CN", domain).items():
            wrong += [f"{domain}.{key}: {found}" for found in TIGHT.findall(re.sub(r"{[^}]*}", "", sentence))]
    assert not wrong, "\n".join(wrong)


def prose(page):
    """The words of a page, without code and without where its links lead."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\]\([^)]*\)|<[^>]*>", "]", text)


@pytest.mark.parametrize("page", CHINESE_PAGES, ids=lambda page: page.name)
def test_a_chinese_page_has_full_width_punctuation_and_spaces_beside_latin_letters(page):
    text = prose(page)
    assert HALF_WIDTH.findall(text) + TIGHT.findall(text) == []


def test_the_chinese_pages_of_the_verdicts_have_the_words_of_the_catalogue():
    pages = [page for page in CHINESE_PAGES if page.parent.name == "verdicts"]
    assert pages
    wrong = []
    for page in pages:
        text = prose(page)
        wrong += [f"{page.name}: {word}, not {right}" for word, right in CHINESE_WORDS_NOT_USED.items() if word in text]
    assert not wrong, "\n".join(wrong)


ENGLISH_WORDS_NOT_USED = (
    "remed",
    "cure ",
    "cured",
    "verb ",
    "update rule",
    "cannot be meant",
    "is not to be had",
    "colour",
)


def test_english_has_the_words_of_the_field():
    wrong = []
    for domain in DOMAINS:
        for key, sentence in catalogue("en", domain).items():
            wrong += [f"{domain}.{key}: {word}" for word in ENGLISH_WORDS_NOT_USED if word in sentence.lower()]
    assert not wrong, "\n".join(wrong)


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
        assert "timm" in t("errors.missing_extra", package="timm", extra="timm")
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

"""Every verdict has a page in both languages that says what the rules say."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from thalweg.diagnosis import CODES
from thalweg.diagnosis.fixes import FIXES_OF
from thalweg.diagnosis.rules import REPLICA_CODES, RULES
from thalweg.i18n import LANGUAGES


ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "verdicts"
NAMES = (*CODES, "unsure", "README")
END = {"en": ".md", "zh-CN": ".zh-CN.md"}
IF_KNOWN = {"en": " (if known)", "zh-CN": "，若已知"}
SOURCE = {"en": "## Source", "zh-CN": "## 来源"}
HEADINGS = {
    "Evidence": "证据",
    "What to try": "可以尝试",
    "Easily confused with": "容易混淆",
    "Source": "来源",
    "How a verdict is reached": "诊断结论怎样得出",
}
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| ([<>]) \| (\S+) \| (.*) \|$", re.MULTILINE)
ORIGIN = re.compile(r"^- `(\w+)`(?:: |：)\S", re.MULTILINE)
FIX = re.compile(r"^\d+\. `(\w+)`(?:: |：)\S", re.MULTILINE)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|<(https://[^>]+)>")
NUMBER = re.compile(r"(?<![\w.])\d+(?:[,.]\d+)*(?:e-?\d+)?", re.ASCII)
both = pytest.mark.parametrize("language", LANGUAGES)


def text_of(code, language="en"):
    return (PAGES / f"{code}{END[language]}").read_text(encoding="utf-8")


def titles(language):
    path = ROOT / "src" / "thalweg" / "i18n" / language / "diagnosis.json"
    words = json.loads(path.read_text(encoding="utf-8"))
    return {code: words[f"verdict_{code}_title"] for code in (*CODES, "unsure")}


def links(text):
    """Where the links of a page lead, without the language."""
    return Counter((local or other).replace(".zh-CN.md", ".md") for local, other in LINK.findall(text))


def test_no_page_and_no_picture_is_missing_or_left_over():
    assert {path.name for path in PAGES.glob("*.md")} == {name + end for name in NAMES for end in END.values()}
    assert {path.stem for path in (PAGES / "pictures").iterdir()} == set(CODES) - REPLICA_CODES


@both
@pytest.mark.parametrize("code", CODES)
def test_the_thresholds_of_a_page_are_those_of_the_rules(code, language):
    said = [
        (int(way), name, relation, float(threshold), words.endswith(IF_KNOWN[language]))
        for way, name, relation, threshold, words in ROW.findall(text_of(code, language))
    ]
    rules = [rule for rule in RULES if rule.code == code]
    meant = [
        (way, c.name, c.relation, c.threshold, c.optional)
        for way, rule in enumerate(rules, start=1)
        for c in rule.conditions
    ]
    assert said == meant, "python tools/verdict_pages.py --tables writes the tables anew"


@both
@pytest.mark.parametrize("code", CODES)
def test_a_table_has_the_words_of_the_catalogue(code, language):
    path = ROOT / "src" / "thalweg" / "i18n" / language / "diagnosis.json"
    catalogue = json.loads(path.read_text(encoding="utf-8"))
    for _, name, _, _, words in ROW.findall(text_of(code, language)):
        meant = catalogue[f"evidence_{name}"].replace("|", "\\|")
        assert words.removesuffix(IF_KNOWN[language]) == meant, "python tools/verdict_pages.py --tables"


@both
@pytest.mark.parametrize("code", CODES)
def test_a_page_says_where_each_threshold_comes_from(code, language):
    origins = ORIGIN.findall(text_of(code, language))
    assert set(origins) == {c.name for rule in RULES if rule.code == code for c in rule.conditions}
    assert len(origins) == len(set(origins))


@both
@pytest.mark.parametrize("code", CODES)
def test_a_page_has_the_fixes_in_their_order(code, language):
    assert tuple(FIX.findall(text_of(code, language))) == FIXES_OF[code]


@both
@pytest.mark.parametrize("code", CODES)
def test_a_page_names_a_source(code, language):
    assert "https://" in text_of(code, language).partition(SOURCE[language])[2]


@both
@pytest.mark.parametrize("code", sorted(set(CODES) - REPLICA_CODES))
def test_a_page_shows_its_picture(code, language):
    assert f"(pictures/{code}.png)" in text_of(code, language)
    path = PAGES / "pictures" / f"{code}.png"
    assert path.stat().st_size <= 60_000
    with Image.open(path) as picture:
        assert picture.size == (810, 450)


@both
def test_the_index_has_every_verdict_with_its_title_and_first_fix(language):
    index = text_of("README", language)
    title_of = titles(language)
    row = re.compile(rf"^\| \[`(\w+)`\]\(\1{re.escape(END[language])}\) \| (.+) \| `?(\w+)`?.* \|$", re.MULTILINE)
    rows = row.findall(index)
    assert [code for code, _, _ in rows] == [*sorted(CODES), "unsure"]
    for code, meaning, fix in rows:
        if code != "unsure":
            assert title_of[code].startswith(meaning)
            assert fix == (FIXES_OF[code] or (fix,))[0]


@pytest.mark.parametrize("code", [*CODES, "unsure"])
def test_a_chinese_page_has_the_title_that_the_program_says(code):
    head, _, title = text_of(code, "zh-CN").partition("\n")[0].partition("：")
    assert head == f"# `{code}`"
    assert title
    assert titles("zh-CN")[code].startswith(title)


@pytest.mark.parametrize("name", NAMES)
def test_a_chinese_page_has_the_parts_of_the_english_one(name):
    """Headings, bullets, links and the codes in quotes are the same; the sentences are not compared."""
    english, chinese = text_of(name), text_of(name, "zh-CN")
    assert [HEADINGS[head] for head in HEADING.findall(english)] == HEADING.findall(chinese)
    assert ORIGIN.findall(english) == ORIGIN.findall(chinese)
    assert len(re.findall("^(?:- |\\d+\\. )", english, re.MULTILINE)) == len(
        re.findall("^(?:- |\\d+\\. )", chinese, re.MULTILINE)
    )
    assert links(english) == links(chinese)
    assert set(re.findall("`([^`]+)`", english)) == set(re.findall("`([^`]+)`", chinese))


@pytest.mark.parametrize("name", NAMES)
def test_a_chinese_page_has_the_numbers_of_the_english_one(name):
    def numbers(language):
        return Counter(NUMBER.findall(re.sub(r"<https[^>]*>", "", text_of(name, language))))

    assert numbers("zh-CN") - numbers("en") == numbers("en") - numbers("zh-CN")


def test_a_chinese_page_leads_to_chinese_pages():
    for name in NAMES:
        for local, _ in LINK.findall(text_of(name, "zh-CN")):
            target = local.partition("#")[0]
            if target.endswith(".md") and not target.startswith("..") and (name, target) != ("README", "README.md"):
                assert target.endswith(".zh-CN.md"), f"{name}: {local}"


@pytest.mark.parametrize(("readme", "words"), [("README.md", "{} causes"), ("README.zh-CN.md", "{} 种原因")])
def test_the_readme_counts_the_causes(readme, words):
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert f"[{words.format(len(set(CODES) - {'healthy', 'converged'}))}](docs/verdicts/{readme})" in text

"""Every verdict has a page that says what the rules say."""

import re
from pathlib import Path

import pytest
from PIL import Image

from thalweg.diagnosis import CODES
from thalweg.diagnosis.fixes import FIXES_OF
from thalweg.diagnosis.rules import REPLICA_CODES, RULES


PAGES = Path(__file__).parents[2] / "docs" / "verdicts"
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| ([<>]) \| (\S+) \| (.*) \|$", re.MULTILINE)


def text_of(code):
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def test_no_page_and_no_picture_is_missing_or_left_over():
    assert {path.stem for path in PAGES.glob("*.md")} == {*CODES, "unsure", "README"}
    assert {path.stem for path in (PAGES / "pictures").iterdir()} == set(CODES) - REPLICA_CODES


@pytest.mark.parametrize("code", CODES)
def test_the_thresholds_of_a_page_are_those_of_the_rules(code):
    said = [
        (int(way), name, relation, float(threshold), "(if known)" in words)
        for way, name, relation, threshold, words in ROW.findall(text_of(code))
    ]
    rules = [rule for rule in RULES if rule.code == code]
    meant = [
        (way, c.name, c.relation, c.threshold, c.optional)
        for way, rule in enumerate(rules, start=1)
        for c in rule.conditions
    ]
    assert said == meant, "python tools/verdict_pages.py --tables writes the tables anew"


@pytest.mark.parametrize("code", CODES)
def test_a_page_says_where_each_threshold_comes_from(code):
    origins = set(re.findall(r"^- `(\w+)`: \S", text_of(code), re.MULTILINE))
    assert origins == {c.name for rule in RULES if rule.code == code for c in rule.conditions}


@pytest.mark.parametrize("code", CODES)
def test_a_page_has_the_fixes_in_their_order(code):
    assert tuple(re.findall(r"^\d+\. `(\w+)`: \S", text_of(code), re.MULTILINE)) == FIXES_OF[code]


@pytest.mark.parametrize("code", CODES)
def test_a_page_names_a_source(code):
    assert "https://" in text_of(code).partition("## Source")[2]


@pytest.mark.parametrize("code", sorted(set(CODES) - REPLICA_CODES))
def test_a_page_shows_its_picture(code):
    assert f"(pictures/{code}.png)" in text_of(code)
    path = PAGES / "pictures" / f"{code}.png"
    assert path.stat().st_size <= 60_000
    with Image.open(path) as picture:
        assert picture.size == (810, 450)


def test_the_index_has_every_verdict():
    index = text_of("README")
    assert [code for code in (*CODES, "unsure") if f"[`{code}`]({code}.md)" not in index] == []

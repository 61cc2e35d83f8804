"""Numbers that stand in the documents: they are those of the code."""

import re
from pathlib import Path

import pytest

from thalweg.diagnosis import CODES
from thalweg.playground.presets.catalogue import CASES


ROOT = Path(__file__).parents[2]
NO_CAUSE = {"healthy", "converged", "unsure"}
COUNTS = [
    ("README.md", r"(\d+) causes\]", len(set(CODES) - NO_CAUSE)),
    ("README.zh-CN.md", r"(\d+) 种原因\]", len(set(CODES) - NO_CAUSE)),
    ("README.md", r"one of (\d+) trainings", len(CASES)),
    ("README.zh-CN.md", r"(\d+) 次训练之一", len(CASES)),
    ("docs/page.md", r"each of the (\d+) numbers is a code", len(CASES)),
]


@pytest.mark.parametrize(("page", "sentence", "count"), COUNTS)
def test_a_document_names_the_number_that_there_is(page, sentence, count):
    found = re.findall(sentence, (ROOT / page).read_text(encoding="utf-8"))
    assert found == [str(count)]

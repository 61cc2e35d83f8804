"""Every measure is an object that something uses; none is computed for nobody."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from thalweg.diagnosis import diagnose_folder
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures import table
from thalweg.diagnosis.rules import RULES
from thalweg.i18n import LANGUAGES, set_language


PACKAGE = Path(table.__file__).parents[1]
DECIDING = {condition.measure for rule in RULES for condition in rule.conditions}


def test_each_measure_is_used_by_a_rule_a_comparison_a_fix_or_is_shown():
    used = DECIDING | {*table.SHOWN, *table.TOLD, *table.COMPARED, *table.USED_BY_FIXES, *table.CHECKED_BY.values()}
    used |= {*table.USED_BY_TRIALS, *table.USED_BY_EDITS}
    assert {measure.name for measure in table.MEASURES.values()} == {measure.name for measure in used}


def test_what_is_declared_as_used_is_used():
    users = {"judging.py": table.COMPARED, "fixes.py": table.USED_BY_FIXES, "edits.py": table.USED_BY_EDITS}
    for module, measures in users.items():
        text = (PACKAGE / module).read_text(encoding="utf-8")
        words = set(re.findall(r"\w+", text)) | {f"gain_{name}" for name in re.findall(r"\w+", text)}
        assert [measure.name for measure in measures if measure.name not in words] == []


def test_a_printed_measure_has_words_in_both_languages():
    for language in LANGUAGES:
        set_language(language)
        assert all(measure.words for measure in DECIDING | set(table.SHOWN))


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A verdict, and the folder that the watch was saved in."""
    folder = tmp_path_factory.mktemp("watched")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, weight_decay=1e-4)
    x = torch.randn(64, 8)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            watch.step(loss)
        watch.validate(1.0)
    verdict = watch.diagnose(batch=(x, y), loss_fn=cross_entropy)
    watch.save(folder)
    return verdict, folder


def test_nothing_is_measured_that_is_not_in_the_table(watched):
    verdict, _ = watched
    assert set(verdict.measures) <= set(table.MEASURES)


def test_a_folder_with_the_words_of_an_older_version_opens(watched, tmp_path):
    verdict, folder = watched
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "watch.json"
    facts = json.loads(path.read_text())
    for old, new in table.OLD_NAMES.items():
        facts["measures"][old] = facts["measures"].pop(new)
    path.write_text(json.dumps(facts))
    again = diagnose_folder(tmp_path)
    assert again.code == verdict.code
    assert again.measures["largest_eigenvalue"] == verdict.measures["largest_eigenvalue"]
    assert "curvature" not in again.unchecked


def test_the_first_line_says_how_sure_the_verdict_is():
    verdict = judge({"steps": 100.0, "uncleared": 1.0})
    assert 0.5 <= verdict.confidence <= 0.99
    assert {confidence for _, confidence in verdict.alternatives} == {None}
    assert json.loads(json.dumps(verdict.to_dict()))["confidence"] == verdict.confidence
    assert str(verdict).splitlines()[0].endswith(f"({verdict.confidence:.0%} sure)")
    assert judge({"steps": 100.0}).confidence is None

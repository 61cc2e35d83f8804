"""A confidence is a counted share, and holds on programs of families that were not counted."""

import random

import pytest

from thalweg.diagnosis.calibration import (
    MOST,
    OTHERS,
    SHRINKAGE,
    Calibration,
    Said,
    calibration_error,
    from_json,
    key_of,
    kind_of,
    shipped,
    to_json,
)
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.rules import RULES


def said(count, right, *, family="a", rule="r", kind="inferred", healthy=False):
    return [Said(family, rule, kind, healthy, at < right) for at in range(count)]


def test_a_rule_that_was_often_said_is_as_sure_as_it_was_right():
    of = Calibration(said(1000, 800) + said(1000, 600, rule="s"))
    assert of.confidence("r", "inferred") == pytest.approx((800 + SHRINKAGE * 0.7) / (1000 + SHRINKAGE), abs=1e-3)
    assert of.confidence("s", "inferred") == pytest.approx(0.6, abs=1e-2)


def test_a_rule_that_was_never_said_is_as_sure_as_the_rules_of_its_kind():
    kinds = {"inferred": 9, "tried": 6}
    of = Calibration(
        [
            one
            for kind, right in kinds.items()
            for n in range(200)
            for one in said(10, right, rule=f"{kind} {n}", kind=kind)
        ]
    )
    assert of.confidence("new", "inferred") == pytest.approx(0.9, abs=1e-2)
    assert of.confidence("new", "tried") == pytest.approx(0.6, abs=1e-2)
    assert of.confidence("new", "unheard of") == pytest.approx(0.75, abs=1e-2)


def test_each_rule_of_a_kind_counts_once_for_a_rule_that_was_never_said():
    """One rule holds often and is good; nine hold once, and one of them is right."""
    seldom = [one for n in range(9) for one in said(1, n == 0, rule=f"seldom {n}")]
    of = Calibration(said(991, 991) + seldom)
    assert of.confidence("new", "inferred") == pytest.approx(0.2, abs=0.01)


def test_programs_of_others_correct_what_the_families_say():
    families = said(1000, 900) + said(1000, 600, rule="s")
    of = Calibration(families + said(36, 18, family=OTHERS))
    assert of.confidence("r", "inferred") == pytest.approx((18 + SHRINKAGE * 0.9) / (36 + SHRINKAGE), abs=1e-3)
    assert of.confidence("s", "inferred") == pytest.approx(Calibration(families).confidence("s", "inferred"), abs=1e-3)
    assert Calibration(said(4, 2, family=OTHERS)).confidence("r", "inferred") == 0.5


def test_what_is_shipped_has_programs_of_others():
    others = [one for one in shipped() if one.is_of_others]
    assert len(others) > 100
    assert {one.healthy for one in others} == {False, True}


def test_no_count_gives_certainty():
    assert Calibration(said(10_000, 10_000)).confidence("r", "inferred") == MOST


def test_healthy_and_faulty_programs_count_equally():
    """One alarm on one of ten healthy programs weighs as ten of the hundred faulty ones."""
    of = Calibration(said(100, 100) + said(1, 0, healthy=True) + said(9, 9, rule="healthy", kind="quiet", healthy=True))
    assert of.confidence("r", "inferred") == pytest.approx(100 / 110, abs=0.01)


@pytest.mark.parametrize(("truth", "least", "most"), [(0.9, 0.0, 0.03), (0.5, 0.25, 0.36)])
def test_the_error_is_that_of_families_left_out(truth, least, most):
    """Nine families are right in nine of ten; the tenth, as large as they, is as often, or much less."""
    draw = random.Random(0)
    usual = [Said(f"f{at % 9}", "r", "inferred", at % 2 == 0, draw.random() < 0.9) for at in range(900)]
    other = [Said("other", "r", "inferred", at % 2 == 0, draw.random() < truth) for at in range(900)]
    assert least <= calibration_error(usual + other) <= most


def test_counts_come_back_from_json():
    verdicts = said(3, 2) + said(2, 1, family="b", rule="s", kind="quiet", healthy=True)
    assert sorted(map(str, from_json(to_json(verdicts)))) == sorted(map(str, verdicts))


def test_what_is_shipped_was_counted_with_the_present_rules():
    rules = {key_of(rule): kind_of(rule) for rule in RULES}
    assert {one.rule: one.kind for one in shipped()}.items() <= rules.items(), "python tools/calibrate.py"


def test_what_is_shipped_is_calibrated_on_families_left_out():
    assert len({one.family for one in shipped()}) >= 13
    assert calibration_error(shipped()) <= 0.05


def test_what_is_less_sure_than_a_half_is_not_said():
    for rule in RULES:
        numbers = {
            c.name: c.threshold + (2 if c.relation == ">" else -2) * (abs(c.threshold) + 1) for c in rule.conditions
        }
        verdict = judge({"steps": 200.0, **numbers})
        assert verdict.code == "unsure" or verdict.confidence >= 0.5


@pytest.mark.parametrize(("share", "code"), [(0.2, "unsure"), (0.8, "diverged")])
def test_a_rule_that_is_mostly_wrong_is_not_followed(monkeypatch, share, code):
    monkeypatch.setattr("thalweg.diagnosis.judging.confidence_of", lambda _rule: share)
    verdict = judge({"steps": 200.0, "nonfinite_step": 50.0})
    assert verdict.code == code
    assert verdict.confidence == (share if code != "unsure" else None)

"""The next causes come from programs that answered alike."""

import json
import math
from importlib.resources import files

import pytest

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.likeness import FILE, MISREAD, REACH, Likeness, Program, answers_of, from_json, to_json
from thalweg.diagnosis.measures.table import FALLING, LEFT, MEASURES, PEAK, STEPS
from thalweg.diagnosis.verdict import CODES


QUESTIONS = [FALLING < 0.006, LEFT > 0.2, PEAK > 3, STEPS > 30]
PROGRAMS = [
    Program(("lr_too_large",), misread=False, answers="yyyy"),
    Program(("wrong_loss", "bad_targets"), misread=True, answers="yynn"),
]


def test_each_cause_has_its_share_by_the_kernel():
    found = Likeness(QUESTIONS, PROGRAMS).likely("yyyn")
    near, far = math.exp(-0.25 / REACH), MISREAD * math.exp(-0.25 / REACH)
    assert found["lr_too_large"] == pytest.approx(near / (near + far))
    assert found["wrong_loss"] == found["bad_targets"] == pytest.approx(far / (near + far) / 2)


def test_the_program_itself_is_nearest():
    measures = {"falling": 0.0, "left": 0.5, "peak": 9.0, "steps": 300.0}
    assert answers_of(QUESTIONS, measures) == "yyyy"
    assert Likeness(QUESTIONS, PROGRAMS).causes(measures)["lr_too_large"] > 0.99


def test_little_that_is_known_is_like_nothing():
    assert Likeness(QUESTIONS, PROGRAMS).causes({"steps": 300.0}) == {}


def test_what_is_written_is_read_again_without_questions_that_tell_nothing():
    text = to_json(QUESTIONS, PROGRAMS)
    assert [name for name, _, _ in json.loads(text)["questions"]] == ["peak", "steps"]
    own = [Program(one.faults, one.misread, one.answers[2:]) for one in PROGRAMS]
    assert from_json(text).likely("yn") == Likeness(QUESTIONS[2:], own).likely("yn")


SHIPPED = json.loads(files("thalweg.diagnosis").joinpath(FILE).read_text(encoding="utf-8"))


def test_what_is_shipped_asks_for_measures_and_names_verdicts():
    assert {name for name, _, _ in SHIPPED["questions"]} <= set(MEASURES)
    assert {fault for faults, _, _ in SHIPPED["programs"] for fault in faults} <= set(CODES)
    assert {len(answers) for _, _, answers in SHIPPED["programs"]} == {len(SHIPPED["questions"])}


def test_most_programs_are_told_by_those_that_are_kept():
    """Each tenth program is left out; guessing the most frequent cause is right in one of ten."""
    questions = [tuple(one) for one in SHIPPED["questions"]]
    programs = [Program(tuple(faults), misread, answers) for faults, misread, answers in SHIPPED["programs"]]
    kept = Likeness(questions, [one for at, one in enumerate(programs) if at % 10])
    likely = [(one, kept.likely(one.answers)) for one in programs[::10]]
    right = sum(max(found, key=found.__getitem__) in one.faults for one, found in likely)
    assert right > 0.5 * len(likely)


def test_a_verdict_names_two_others_and_no_cause_that_is_measured_to_be_otherwise():
    measured = {
        condition[0]: condition[2] + (1 if condition[1] == "<" else -1) * (0.5 + abs(condition[2]))
        for condition in SHIPPED["questions"]
    }
    verdict = judge(measured | {"steps": 300.0, "uncleared": 0.0})
    named = [code for code, _ in verdict.alternatives]
    assert len({verdict.code, *named}) == 3
    assert "zero_grad_missing" not in named

"""Each preset of *guess the cause* gets the verdict that it was made for, for every seed, and its repair helps.

`THALWEG_SEEDS=20 pytest -m slow tests/playground/test_presets.py` tries all seeds that the page may use.
"""

import math
import os

import pytest

from thalweg.diagnosis import CODES
from thalweg.diagnosis.rules import REPLICA_CODES
from thalweg.errors import UsageError
from thalweg.i18n import LANGUAGES, speaking
from thalweg.playground import case_of, compare, diagnose_case
from thalweg.playground.asking import Comparison, Curves
from thalweg.playground.case import SEEDS, WELL
from thalweg.playground.presets.catalogue import CASES


BY_CODE = {one.code: one for one in CASES}
TRIED = int(os.environ.get("THALWEG_SEEDS", "4"))  # of twenty seeds; all of them take a quarter of an hour
QUICK = ("optimizer_not_stepping", "wrong_mode")  # the diagnosis asks them least


def test_every_code_has_a_preset():
    # a column that holds the labels makes every map good: its repair cannot be seen in the plane
    assert set(BY_CODE) == set(CODES) - REPLICA_CODES - {"target_leakage"}
    assert len(CASES) == len(BY_CODE)


def test_the_numbers_tell_nothing_of_the_causes():
    codes = [one.code for one in CASES]
    assert codes != sorted(codes)
    assert [case_of(number).code for number in range(1, len(CASES) + 1)] == codes
    for number in (0, len(CASES) + 1):
        with pytest.raises(UsageError, match=f"no case {number}"):
            case_of(number)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hint_does_not_name_the_cause(language):
    with speaking(language):
        for one in CASES:
            assert one.hint
            assert one.about != one.hint
            assert one.code in WELL or one.changed


def test_a_case_and_its_twin_have_the_same_points_and_start_unless_the_start_is_the_fault():
    for one in CASES:
        if one.code in WELL:
            with pytest.raises(UsageError, match="goes well"):
                one.loop(0, repaired=True)
            continue
        faulty, repaired = one.loop(5), one.loop(5, repaired=True)
        assert (faulty.points.inputs_N2 == repaired.points.inputs_N2).all(), one.code
        assert one.fault is not one.mended or one.repair or one.repaired_steps, one.code
    with pytest.raises(UsageError, match="from 0 to 19"):
        CASES[0].loop(SEEDS)


@pytest.mark.parametrize("code", QUICK)
def test_the_verdict_is_the_cause(code):
    assert diagnose_case(BY_CODE[code], 0).code == code


@pytest.mark.slow
@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_the_verdict_is_the_cause_for_every_seed(code):
    wrong = {seed: found for seed in range(TRIED) if (found := diagnose_case(BY_CODE[code], seed).code) != code}
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("code", sorted(set(BY_CODE) - set(WELL)))
def test_the_repair_helps(code):
    for seed in (0, 7):
        found = compare(BY_CODE[code], seed)
        assert found.helped, (seed, found.text)


@pytest.mark.parametrize(
    ("before", "after", "helped"),
    [
        ((1.0, 0.5), (0.9, 0.5), True),
        ((1.0, 0.5), (0.96, 0.5), False),
        ((1.0, 0.5), (1.0, 0.6), True),
        ((math.nan, 0.5), (1.0, 0.5), True),
        ((1.0, 0.5), (math.nan, 0.5), False),
        ((math.inf, 0.5), (math.inf, 0.9), False),
    ],
)
def test_a_twin_that_diverges_has_not_helped(before, after, helped):
    ends = [Curves([0], [loss], [loss], [accuracy]) for loss, accuracy in (before, after)]
    assert Comparison(*ends).helped == helped

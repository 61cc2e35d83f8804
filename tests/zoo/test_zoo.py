"""Trainings whose trouble is known: the cause is named."""

import pytest

from thalweg.diagnosis import CODES
from thalweg.diagnosis.rules import REPLICA_CODES
from thalweg.diagnosis.zoo import confusion, load_all, run_case, run_zoo, shares
from thalweg.diagnosis.zoo.table import Setting


CASES = load_all()
ILL = [case for case in CASES.values() if case.ill]
WELL = [case for case in CASES.values() if not case.ill]


def test_the_zoo_is_as_large_as_it_says():
    assert len(ILL) >= 26
    assert len(WELL) >= 12
    causes = {code for case in CASES.values() for code in case.truth}
    assert causes == set(CODES) - REPLICA_CODES, "every verdict on one process has a case"
    assert all(case.make.__doc__ for case in CASES.values())


@pytest.mark.slow
def test_a_training_is_a_pure_function_of_its_setting():
    case = CASES["rate_a_thousandth"]
    first, second = (run_case(case, Setting("perceptron", "sgd", 3)) for _ in range(2))
    assert first.code == second.code
    for name, value in first.measures.items():
        assert value == pytest.approx(second.measures[name], rel=1e-6, nan_ok=True), name


# One of each cause, the quickest setting: the whole table runs with the slow tests.
QUICK = {case.truth[0]: case for case in reversed(ILL)}


AT_ONCE = ("bad_targets", "zero_grad_missing")


@pytest.mark.parametrize(
    "code", [code if code in AT_ONCE else pytest.param(code, marks=pytest.mark.slow) for code in sorted(QUICK)]
)
def test_the_cause_is_named(code):
    case = QUICK[code]
    outcome = run_case(case, Setting(case.networks[0], case.optimizers[0], 0))
    assert outcome.right, (outcome.code, outcome.second)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_short", "digits_cosine", "line_converged", "digits_with_norm"])
def test_what_is_well_is_called_well(name):
    case = CASES[name]
    outcome = run_case(case, Setting(case.networks[0], "adam", 0))
    assert outcome.right, (outcome.code, outcome.second)


@pytest.mark.slow
def test_the_whole_table_of_the_perceptron_for_one_seed():
    outcomes = [
        run_case(case, setting)
        for case in CASES.values()
        for setting in case.settings([11])
        if setting.network == "perceptron"
    ]
    found = shares(outcomes)
    wrong = [(outcome.case, outcome.optimizer, outcome.code) for outcome in outcomes if not outcome.right]
    assert found["first"] >= 0.9, wrong
    assert found["first_two"] >= 0.92, wrong
    assert found["false_alarms"] <= 0.05, wrong


@pytest.mark.slow
def test_counts_add_up():
    outcomes = run_zoo(seeds=[1], cases=["zero_grad_forgotten"])  # nine small trainings
    outcomes = [outcome for outcome in outcomes if outcome.network == "perceptron"]
    assert sum(confusion(outcomes)["zero_grad_missing"].values()) == len(outcomes) == 3

"""The judge is a pure function of numbers; its table is held to what it promises."""

import math

import pytest

from thalweg.diagnosis import CODES, judge
from thalweg.diagnosis.fixes import FIXES_OF
from thalweg.diagnosis.rules import RULES
from thalweg.diagnosis.verdict import Evidence
from thalweg.i18n import LANGUAGES, set_language, t


def satisfying(rule):
    """Numbers that pass every threshold of a rule by far, and nothing else."""
    measures = {"steps": 500.0}
    for condition in rule.conditions:
        step = 3 * max(abs(condition.threshold), 1e-9)
        value = condition.threshold + (step if condition.relation == ">" else -step)
        measures[condition.name] = value
    return measures


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code}-{rule.conditions[0].name}")
def test_a_rule_that_holds_is_named_among_the_first_two_or_yields_to_an_earlier_cause(rule):
    verdict = judge(satisfying(rule))
    order = [candidate.code for candidate in RULES]
    named = [verdict.code, *(code for code, _ in verdict.alternatives)]
    assert rule.code in named or order.index(verdict.code) < order.index(rule.code)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_rule_remedies_and_words_in_both_languages(code):
    assert code in {rule.code for rule in RULES}
    assert FIXES_OF[code] or code == "healthy"
    for language in LANGUAGES:
        set_language(language)
        assert t(f"diagnosis.verdict_{code}_title")
        assert t(f"diagnosis.verdict_{code}_text")
        for condition in (condition for rule in RULES for condition in rule.conditions):
            assert t(f"diagnosis.evidence_{condition.name}")


def test_no_rule_names_a_code_that_is_none():
    assert {rule.code for rule in RULES} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_verdict_prints_in_both_languages_with_every_number_in_it(code):
    rule = next(rule for rule in RULES if rule.code == code)
    measures = satisfying(rule) | {"lr_last": 0.1, "lr_most": 0.2, "gradient_last": 3.0}
    for language in LANGUAGES:
        set_language(language)
        verdict = judge(measures)
        text = verdict.explain()
        assert "{" not in text
        assert all(str(remedy) in text for remedy in verdict.fixes)
        assert verdict.to_dict()["title"] in text


def test_the_evidence_speaks_for_the_verdict():
    verdict = judge({"steps": 300, "update_ratio": 1e-6, "gain_same": 1e-7, "gain_tenfold": 1e-4, "left": 0.99})
    assert verdict.code == "unsure"
    verdict = judge(
        {"steps": 300, "update_ratio": 1e-6, "gain_same": 1e-7, "gain_tenfold": 1e-3, "left": 0.99, "falling": 0.0}
    )
    assert verdict.code == "lr_too_small"
    assert all(item.supports for item in verdict.evidence)
    assert verdict.fixes[0].code == "raise_rate"


def test_too_little_is_not_enough():
    assert judge({}).code == "unsure"
    assert "few_steps" in judge({"steps": 3, "falling": 0.5}).unchecked
    assert judge({"steps": 3, "falling": 0.5}).code == "unsure"


def test_what_is_exact_needs_no_trend():
    assert judge({"steps": 1, "inputs_nonfinite": 0.1}).code == "bad_inputs"
    assert judge({"steps": 2, "missing": 0.9}).code == "untrained_parameters"


def test_not_a_number_is_not_known():
    assert judge({"steps": 100, "uncleared": math.nan}).code == "unsure"


def test_what_was_not_asked_is_named():
    unchecked = judge({"steps": 100, "falling": 0.2}).unchecked
    assert {"batch", "curvature", "short_runs", "validation"} <= set(unchecked)


def test_evidence_knows_its_side():
    assert Evidence("left", 0.2, "<", 0.3).supports
    assert not Evidence("left", 0.2, ">", 0.3).supports


def test_evidence_has_its_numbers_with_units_and_a_flag_has_none():
    assert Evidence("left", 0.2, "<", 0.3).numbers == "20% (< 30%)"
    assert str(Evidence("left", 0.2, "<", 0.3)) == "loss now, relative to the first loss 20% (< 30%)"
    assert not Evidence("targets_broadcast", 1.0, ">", 0.5).numbers
    assert str(Evidence("targets_broadcast", 1.0, ">", 0.5)) == t("diagnosis.evidence_targets_broadcast")


LEARNING = {"steps": 300, "loss_last": 0.5, "loss_constant": 2.3, "falling": 0.2}


def test_a_training_that_learns_is_accused_only_of_what_is_exact():
    inferred = {"late_noise": 0.9, "update_ratio_first": 0.9, "left": 0.5, "peak": 9.0, "above_lowest": 0.5}
    assert judge(LEARNING | inferred).code == "healthy"
    assert judge(LEARNING | {"squashed_twice": 1.0}).code == "wrong_loss"


def test_a_training_that_learned_until_it_diverged_has_diverged():
    assert judge(LEARNING | {"nonfinite_step": 120.0}).code == "diverged"


def test_what_is_exact_and_was_measured_otherwise_is_not_near():
    verdict = judge(
        LEARNING
        | {"evaluating": 0.0, "mode_matters": 1.0, "validated_in_training": 0.0}
        | {"targets_kinds": 10.0, "targets_count": 48.0, "left": 0.4}
    )
    assert verdict.code == "healthy"
    assert not {"wrong_mode", "not_shuffled"} & {code for code, _ in verdict.alternatives}

"""A verdict prints in eight lines, each true of its numbers, and explains itself in full when it is asked."""

from dataclasses import replace

import pytest

from thalweg.cli import diagnose as diagnose_command
from thalweg.diagnosis import CODES, judge
from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.measures.trends import accuracy_trends
from thalweg.diagnosis.rules import RULES
from thalweg.diagnosis.verdict import UNSURE, Evidence, Trial, Verdict
from thalweg.diagnosis.wording import BY, COLUMNS, COMMON, LINES, cut, fitting, text_of, width, wrapped
from thalweg.i18n import LANGUAGES, speaking, t


NUMBERS = {"lr_last": 3e-7, "lr_most": 3e-7, "gradient_last": 1.25e-5, "gain_tenfold": 0.1}
# Their plain sentence is true of a rule, too.
SHARED = (
    "batchnorm_mismatch",
    "class_imbalance",
    "clipped_too_hard",
    "dead_units",
    "decayed_too_early",
    "exploding_gradients",
    "gradients_not_averaged",
    "inputs_ignored",
    "lr_too_small",
    "model_too_small",
    "noise_floor",
    "optimizer_not_stepping",
    "samples_mixed",
    "saturated_units",
    "symmetric_weights",
    "too_few_steps",
    "wrong_mode",
)
PROBLEMS = ("no_step", "step_early", "not_copied:RecurrentPolicy", "holes", "batch_fails")


def verdict_of(rule, **other):
    """A verdict as the rule makes it, each number at twice its threshold."""
    evidence = tuple(
        Evidence(c.name, 2 * c.threshold + (1e-3 if c.relation == ">" else -1), c.relation, c.threshold)
        for c in rule.conditions
    )
    measures = NUMBERS | {item.name: item.value for item in evidence}
    nearest = tuple((code, None) for code in ("batchnorm_mismatch", "zero_grad_missing") if code != rule.code)
    return replace(Verdict(rule.code, None, evidence, (), nearest, PROBLEMS, measures), **other)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code}-{rule.conditions[0].name}")
def test_every_verdict_prints_in_eight_lines(rule, language):
    plain = verdict_of(rule, fixes=fixes_of(rule.code, NUMBERS))
    tried = [
        Trial(fix, "loss_eval", 100, 2.3026, 2.3025, 2.1875, 40, helped) for fix in plain.fixes for helped in (0, 1)
    ]
    with speaking(language):
        for trial in (None, Trial.not_made(), Trial.not_made("no_batch"), *tried):
            lines = str(replace(plain, trial=trial)).splitlines()
            assert len(lines) <= LINES
            assert max(map(width, lines)) <= COLUMNS
            assert lines[0] == t(f"diagnosis.verdict_{rule.code}_title")
            assert lines[-1] == t("diagnosis.brief_more", how="verdict.explain()")
            assert str(plain.evidence[0]) in str(plain) or plain.evidence[0].name in COMMON
            if trial and trial.fix:
                assert any(f"{trial.changed:.4g}" in line for line in lines)
            assert "…" not in "".join(lines[:2]), "the sentence of a verdict is never cut"


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_of_it_is_told_on_demand(language):
    for rule in RULES:
        verdict = verdict_of(rule, fixes=fixes_of(rule.code, NUMBERS), trial=Trial.not_made())
        with speaking(language):
            told = verdict.explain()
            assert all(str(item) in told for item in (*verdict.evidence, *verdict.fixes, verdict.trial))
            assert "{" not in told


@pytest.mark.parametrize("code", CODES)
def test_each_way_to_a_verdict_has_a_sentence_of_its_own_or_shares_the_only_one(code):
    for rule in (rule for rule in RULES if rule.code == code):
        names = [condition.name for condition in rule.conditions]
        sentence = text_of(code, names, {})
        assert (sentence == t(f"diagnosis.verdict_{code}_text")) == (code not in BY) or code in SHARED


STEEP = {"sharpness_ratio": 3.0, "left": 0.8, "falling": 0.2, "gain_same": 0.1}


@pytest.mark.parametrize(
    ("code", "numbers", "says", "never"),
    [
        ("lr_too_large", {**STEEP, "gain_tenth": 0.3}, "curvature", "falling"),
        ("lr_too_large", {**STEEP, "gain_tenth": 0.3, "tried_lower_rate": 0.1}, "curvature", "constant"),
        ("too_few_steps", {"steps": 15.0, "tried_longer": 0.4, "to_constant": 0.9}, "still lower", "gradients"),
        ("lr_too_large", {"peak": 5.0, "left": 0.9, "falling": 0.0}, "not falling", "tenth"),
        ("diverged", {"nonfinite_step": 9.0}, "no longer a finite", "grown"),
        ("diverged", {"rise": 90.0}, "grown", "finite"),
        ("untrained_parameters", {"frozen": 0.9, "falling": 0.0, "fit_left": 0.9}, "frozen", "optimizer"),
        (
            "untrained_parameters",
            {"frozen": 0.9, "falling": 0.02, "fit_left": 0.9, "tried_unfrozen": 0.4, "to_constant": 0.95},
            "learn more",
            "not falling",
        ),
        ("untrained_parameters", {"missing": 0.2}, "in no group", "frozen"),
        ("bad_inputs", {"inputs_scale": 255.0, "inputs_spread": 0.5}, "larger than", "NaN"),
        ("bad_targets", {"targets_broadcast": 1.0}, "shape", "NaN"),
        ("wrong_loss", {"log_missing": 1.0}, "log-prob", "again"),
    ],
)
def test_a_sentence_is_true_of_the_numbers_beside_it(code, numbers, says, never):
    verdict = judge({"steps": 300.0, **numbers})
    assert verdict.code == code
    assert says in verdict.text
    assert never not in verdict.text


def test_a_rise_is_a_fault_unless_a_generator_learns():
    """A discriminator's loss rises while its generator learns."""
    risen = {"steps": 300.0, "above_lowest": 0.3, "left": 0.8, "falling": 0.1}
    assert judge(risen).code == "lr_too_large"
    assert judge(risen | {"unused_passes": 1.0}).code != "lr_too_large"
    assert "has been lower" in text_of("lr_too_large", ["above_lowest"], {})


def test_a_finished_training_with_a_gap_says_that_the_gap_is_the_news():
    numbers = {"steps": 900.0, "loss_first": 2.4, "loss_last": 0.03, "left": 0.0125, "falling": 0.1, "lr_left": 0.0}
    verdict = judge(numbers | {"valid_last": 1.1, "valid_gap": 0.97, "valid_rise": 0.02})
    assert verdict.code == "overfitting"
    assert "finished; the gap is the news" in verdict.text


def test_a_classifier_that_was_only_fitted_is_told_to_train_its_layers():
    numbers = {"steps": 110.0, **accuracy_trends([0.99], [0.73])}
    told = {fitted: judge(numbers | {"only_classifier": fitted}) for fitted in (0.0, 1.0)}
    assert {verdict.code for verdict in told.values()} == {"overfitting"}
    assert [fix.code for fix in told[1.0].fixes] == ["train_all_layers", "more_data"]
    assert "train_all_layers" not in [fix.code for fix in told[0.0].fixes]


@pytest.mark.parametrize("loss", [0.02, 0.5], ids=["small", "smoothed labels"])
def test_the_gap_of_the_accuracies_counts_whatever_the_losses_say(loss):
    numbers = {"steps": 900.0, "loss_first": 2.4, "loss_last": loss, "left": loss / 2.4, "falling": 0.1}
    numbers |= {"valid_last": 2 * loss, "valid_gap": 0.5, "valid_rise": 0.0, **accuracy_trends([0.99], [0.73])}
    verdict = judge(numbers)
    assert verdict.code == "overfitting"
    assert "right far more often" in verdict.text
    assert "the gap is the news" in judge(numbers | {"lr_left": 0.0}).text
    assert judge(numbers | accuracy_trends([0.99], [0.9])).code == "healthy"
    assert accuracy_trends([], [0.9]) == {}


def test_what_went_wrong_with_a_watch_shows_in_the_short_form():
    verdict = judge({"steps": 100.0, "falling": 0.2}, problems=["step_early"])
    assert t("diagnosis.unchecked_step_early") in str(verdict)
    assert t("diagnosis.unchecked_validation") not in str(verdict)  # nobody asked for it
    assert t("diagnosis.unchecked_validation") in verdict.explain()
    assert t("diagnosis.unchecked_few_steps") in str(judge({"steps": 3.0}))


def test_a_trial_that_was_not_made_says_so():
    for why in ("loss", "no_batch", "not_copied"):
        assert "not made" in str(Trial.not_made(why))
        assert Trial.from_dict(Trial.not_made(why).to_dict()).yardstick == why


def test_lines_are_cut_and_broken_by_the_columns_that_they_take():
    assert [width(line) <= COLUMNS for line in wrapped("损失变平，" * 60)] == [True, True]
    assert "".join(wrapped("word " * 30)).split() == ["word"] * 30
    assert cut("损失" * 10, 9) == "损失损失…"
    assert fitting(["a" * 60, "b" * 60, "c"], "Not: {}.".format).endswith("a; 2 more.")
    assert fitting(["a", "b"], "Not: {}.".format) == "Not: a; b."
    assert Verdict(UNSURE, None, (), (), (), (), {}).brief("--full").endswith("--full")


def test_the_command_is_short_and_full_on_demand(tmp_path, command_runner):
    (tmp_path / "log.txt").write_text("2.3026\n" * 50)
    call = command_runner(diagnose_command, "diagnose")
    short = call(str(tmp_path / "log.txt")).stdout
    assert len(short.splitlines()) <= LINES
    assert short.splitlines()[1].startswith("2.3026 = ln 10: ")
    assert short.splitlines()[-1].endswith("thalweg diagnose --full")
    full = call(str(tmp_path / "log.txt"), "--full").stdout
    assert t("diagnosis.fix_other_rates") in full
    assert t("diagnosis.unchecked_short_runs") in full


def test_no_fault_is_said_to_be_near_a_training_that_is_well():
    well = judge({"steps": 300.0, "falling": 0.3, "to_constant": 0.6, "left": 0.6})
    assert (well.code, well.others.split(":")[0]) == ("healthy", "If that is wrong")
    assert judge({"steps": 3.0}).others.startswith("Next nearest")
    assert judge({"steps": 100.0, "uncleared": 1.0}).others.startswith("Next nearest")

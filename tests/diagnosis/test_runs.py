"""Runs of the project, diagnosed from their folder; and the command."""

import json

import pytest

from thalweg.cli import diagnose as diagnose_verb
from thalweg.cli import zoo as zoo_verb
from thalweg.diagnosis import diagnose_run, try_fix_on_run
from thalweg.errors import RunError, UsageError


def files_of(run):
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_rate_that_is_too_small_is_named_and_the_run_left_alone(slow_run, command_runner):
    before = files_of(slow_run)
    found = json.loads(command_runner(diagnose_verb, "diagnose")(str(slow_run), "--json").stdout)
    assert found["code"] == "lr_too_small"
    assert found["evidence"][0]["supports"]
    assert not {"batch", "curvature", "short_runs", "validation"} & set(found["unchecked"])
    assert files_of(slow_run) == before


@pytest.mark.slow
def test_it_is_tried_in_words_and_the_run_left_alone(slow_run, command_runner):
    before = files_of(slow_run)
    verdict = diagnose_run(slow_run, try_fix=True)
    assert verdict.code == "lr_too_small"
    assert verdict.trial.helped
    assert "learning rate is too small" in command_runner(diagnose_verb, "diagnose")(str(slow_run)).stdout
    assert files_of(slow_run) == before


@pytest.mark.slow
def test_the_trial_alone(slow_run):
    trial = try_fix_on_run(slow_run, steps=4)
    assert trial.steps == 4
    assert trial.to_dict()["fix"]["code"] == "raise_rate"


def test_the_command_asks_for_what_it_needs(tmp_path, command_runner):
    call = command_runner(diagnose_verb, "diagnose")
    (tmp_path / "log.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(UsageError, match="What should be diagnosed"):
        call()
    with pytest.raises(UsageError, match="not both"):
        call(str(tmp_path), "--csv", str(tmp_path / "log.csv"))
    with pytest.raises(UsageError, match="needs a run"):
        call("--csv", str(tmp_path / "log.csv"), "--try-fix")
    with pytest.raises(RunError, match="neither a run"):
        call(str(tmp_path))
    assert "Not sure" in call("--csv", str(tmp_path / "log.csv")).stdout


@pytest.mark.slow
def test_the_zoo_lists_its_cases_and_counts(command_runner):
    call = command_runner(zoo_verb, "zoo")
    assert "zero_grad_forgotten" in call("--list").stdout
    with pytest.raises(UsageError, match="no such case"):
        call("--cases", "unicorn")
    found = json.loads(call("--cases", "convex_valley", "--seeds", "1", "--processes", "1", "--json").stdout)
    assert found["figures"]["ill"] == 6
    assert sum(found["confusion"]["ill_conditioned"].values()) == 6

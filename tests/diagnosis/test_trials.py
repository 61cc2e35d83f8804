"""The first fix on a copy, beside the unchanged training: whether it helps is said, and is so."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from thalweg.diagnosis import judge, try_fix
from thalweg.diagnosis.attempts import FIXES, Attempt, apply, can_be_tried
from thalweg.diagnosis.fixes import FIXES_OF
from thalweg.diagnosis.verdict import Fix, Verdict
from thalweg.i18n import set_language
from thalweg.probes.copies import Copy


def training(lr=0.1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    inputs = torch.randn(96, 8)
    labels = (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()
    return model, torch.optim.SGD(model.parameters(), lr=lr), (inputs, labels)


def verdict_with(*fixes):
    return Verdict("lr_too_small", None, (), tuple(Fix(*fix) for fix in fixes), (), (), {})


def test_a_larger_rate_is_tried_where_the_rate_is_too_small():
    model, optimizer, batch = training(lr=1e-4)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            loss = cross_entropy(model(batch[0]), batch[1])
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=batch, loss_fn=cross_entropy, try_fix=True)
    assert verdict.code == "lr_too_small"
    trial = verdict.trial
    assert trial.helped
    assert trial.fix.code == "raise_rate"
    assert trial.changed < trial.unchanged <= trial.before
    assert trial.sooner is not None
    for language in ("en", "zh-CN"):
        set_language(language)
        assert f"{trial.changed:.4g}" in str(verdict)


def test_the_unchanged_copy_is_the_training_itself_judged_on_samples_kept_out():
    model, optimizer, (inputs, labels) = training()
    wanted = verdict_with(("raise_rate", {"lr": 0.1, "to": 0.1}))
    batches = [(inputs[:72], labels[:72]), (inputs[72:], labels[72:])]
    divided = try_fix(wanted, model, optimizer, cross_entropy, [(inputs, labels)], steps=7)
    given = try_fix(wanted, model, optimizer, cross_entropy, batches, steps=7)
    for _ in range(7):
        optimizer.zero_grad()
        cross_entropy(model(inputs[:72]), labels[:72]).backward()
        optimizer.step()
    expected = cross_entropy(model(inputs[72:]), labels[72:]).item()
    for trial in (divided, given):
        assert trial.unchanged == pytest.approx(expected, rel=1e-6)
        assert trial.changed == trial.unchanged
        assert trial.kept_out
        assert not trial.helped
        assert "kept out" in str(trial)


def test_learning_a_batch_by_heart_is_no_help():
    model, optimizer, (inputs, _) = training(lr=1e-3)
    labels = torch.randint(3, (96,), generator=torch.Generator().manual_seed(1))
    wanted = verdict_with(("raise_rate", {"lr": 1e-3, "to": 1.0}))
    trial = try_fix(wanted, model, optimizer, cross_entropy, [(inputs, labels)], steps=200)
    assert trial.changed > trial.unchanged
    assert not trial.helped


def test_a_batch_too_small_to_divide_judges_itself_and_says_nothing_else():
    model, optimizer, (inputs, labels) = training()
    wanted = verdict_with(("momentum", {}))
    trial = try_fix(wanted, model, optimizer, cross_entropy, [(inputs[:7], labels[:7])], steps=5)
    assert not trial.kept_out
    assert "kept out" not in str(trial)


@pytest.mark.slow
def test_a_fix_that_makes_it_worse_is_no_help():
    model, optimizer, batch = training()
    trial = try_fix(verdict_with(("raise_rate", {"lr": 0.1, "to": 1e9})), model, optimizer, cross_entropy, [batch])
    assert not trial.helped
    assert not trial.changed < trial.unchanged


def test_what_no_copy_can_be_given_is_said():
    model, optimizer, batch = training()
    trial = try_fix(verdict_with(("more_data", {})), model, optimizer, cross_entropy, [batch])
    assert trial.fix is None
    assert math.isnan(trial.changed)
    assert "not made" in str(trial)


def test_the_first_that_can_be_tried_is_tried():
    model, optimizer, batch = training()
    wanted = verdict_with(("more_data", {}), ("momentum", {}))
    assert try_fix(wanted, model, optimizer, cross_entropy, [batch]).fix.code == "momentum"


def test_any_of_them_can_be_asked_for():
    model, optimizer, batch = training()
    wanted = verdict_with(("more_data", {}), ("momentum", {}), ("adaptive", {}))
    asked = [try_fix(wanted, model, optimizer, cross_entropy, [batch], fix=code) for code in ("adaptive", "more_data")]
    assert [trial.fix and trial.fix.code for trial in asked] == ["adaptive", None]


def test_the_originals_are_left_alone():
    model, optimizer, batch = training()
    before = [parameter.clone() for parameter in model.parameters()]
    random = torch.get_rng_state()
    for code in filter(can_be_tried, FIXES):
        values = {"lr": 0.1, "to": 0.2, "norm": 1.0}
        try_fix(verdict_with((code, values)), model, optimizer, cross_entropy, [batch], steps=3)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert torch.equal(random, torch.get_rng_state())
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert len(optimizer.param_groups) == 1


def test_every_fix_is_some_verdicts_fix():
    assert set(FIXES) <= {code for codes in FIXES_OF.values() for code in codes}


def test_a_judged_verdict_has_no_trial_of_itself():
    assert judge({"steps": 100, "uncleared": 1.0}).trial is None


def test_a_regression_has_no_share_of_right_answers():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    inputs = torch.randn(32, 4)
    batch = (inputs, inputs.sum(dim=1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def wrong_loss(outputs, targets):  # each output with every target
        return (outputs - targets).square().mean()

    trial = try_fix(verdict_with(("match_shapes", {})), model, optimizer, wrong_loss, [batch], steps=40)
    assert trial.helped
    assert trial.yardstick == "r_squared"
    for language in ("en", "zh-CN"):
        set_language(language)
        assert "R²" in str(trial)


def test_a_fix_that_changes_nothing_is_not_reported_as_tried():
    model, optimizer, batch = training()
    trial = try_fix(verdict_with(("hand_all_over", {}), ("unfreeze", {})), model, optimizer, cross_entropy, [batch])
    assert trial.fix is None
    assert "not made" in str(trial)
    model[2].requires_grad_(False)
    assert try_fix(verdict_with(("unfreeze", {})), model, optimizer, cross_entropy, [batch], steps=3).fix is not None


def test_group_norm_norms_each_sample_with_the_weights_of_the_batch_norm():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.BatchNorm1d(36, affine=False))
    nn.init.normal_(model[1].weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    copied = Copy.of(model, optimizer, nn.MSELoss())
    attempt = apply(Attempt(copied, copied.loss_fn), Fix("group_norm", {}))
    assert attempt is not None
    images_NCHW = torch.randn(3, 1, 5, 5)
    maps_NCHW = nn.functional.group_norm(copied.model[0](images_NCHW), 1, copied.model[1].weight, copied.model[1].bias)
    expected_NF = nn.functional.group_norm(maps_NCHW.flatten(1), 1)
    assert torch.allclose(copied.model(images_NCHW), expected_NF, atol=1e-6)
    held = {id(parameter) for group in copied.optimizer.param_groups for parameter in group["params"]}
    assert {id(parameter) for parameter in copied.model.parameters()} == held
    assert isinstance(model[1], nn.BatchNorm2d)
    assert apply(Attempt(copied, copied.loss_fn), Fix("group_norm", {})) is None, "there is no batch norm any more"

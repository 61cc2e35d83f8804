"""The first remedy on a copy, beside the unchanged training: whether it helps is said, and is so."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import thalweg
from thalweg.diagnosis import judge, prove
from thalweg.diagnosis.cures import _CURES
from thalweg.diagnosis.remedies import REMEDIES
from thalweg.diagnosis.verdict import Remedy, Verdict
from thalweg.i18n import set_language


def training(lr=0.1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    inputs = torch.randn(96, 8)
    labels = (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()
    return model, torch.optim.SGD(model.parameters(), lr=lr), (inputs, labels)


def verdict_with(*remedies):
    return Verdict("lr_too_small", 0.9, (), tuple(Remedy(*remedy) for remedy in remedies), (), (), {})


def test_a_larger_rate_is_proved_where_the_rate_is_too_small():
    model, optimizer, batch = training(lr=1e-4)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            loss = cross_entropy(model(batch[0]), batch[1])
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=batch, loss_fn=cross_entropy, prove=True)
    assert verdict.code == "lr_too_small"
    proof = verdict.proof
    assert proof.helped
    assert proof.remedy.code == "raise_rate"
    assert proof.changed < proof.unchanged <= proof.before
    assert proof.sooner is not None
    for language in ("en", "zh-CN"):
        set_language(language)
        assert f"{proof.changed:.4g}" in str(verdict)


def test_the_unchanged_copy_is_the_training_itself():
    model, optimizer, batch = training()
    proof = prove(
        verdict_with(("raise_rate", {"lr": 0.1, "to": 0.1})), model, optimizer, cross_entropy, [batch], steps=7
    )
    for _ in range(7):
        optimizer.zero_grad()
        cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
    expected = cross_entropy(model(batch[0]), batch[1]).item()
    assert proof.unchanged == pytest.approx(expected, rel=1e-6)
    assert proof.changed == proof.unchanged
    assert not proof.helped


def test_a_remedy_that_makes_it_worse_is_no_help():
    model, optimizer, batch = training()
    proof = prove(verdict_with(("raise_rate", {"lr": 0.1, "to": 1e9})), model, optimizer, cross_entropy, [batch])
    assert not proof.helped
    assert not proof.changed < proof.unchanged


def test_what_no_copy_can_be_given_is_said():
    model, optimizer, batch = training()
    proof = prove(verdict_with(("more_data", {})), model, optimizer, cross_entropy, [batch])
    assert proof.remedy is None
    assert math.isnan(proof.changed)
    assert "none of these" in str(proof)


def test_the_first_that_can_be_tried_is_tried():
    model, optimizer, batch = training()
    wanted = verdict_with(("more_data", {}), ("momentum", {}))
    assert prove(wanted, model, optimizer, cross_entropy, [batch]).remedy.code == "momentum"


def test_any_of_them_can_be_asked_for():
    model, optimizer, batch = training()
    wanted = verdict_with(("more_data", {}), ("momentum", {}), ("adaptive", {}))
    asked = [prove(wanted, model, optimizer, cross_entropy, [batch], remedy=code) for code in ("adaptive", "more_data")]
    assert [proof.remedy and proof.remedy.code for proof in asked] == ["adaptive", None]


def test_the_originals_are_left_alone():
    model, optimizer, batch = training()
    before = [parameter.clone() for parameter in model.parameters()]
    random = torch.get_rng_state()
    for code in _CURES:
        values = {"lr": 0.1, "to": 0.2, "norm": 1.0}
        prove(verdict_with((code, values)), model, optimizer, cross_entropy, [batch], steps=3)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert torch.equal(random, torch.get_rng_state())
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert len(optimizer.param_groups) == 1


def test_every_cure_is_some_verdicts_remedy():
    assert set(_CURES) <= {code for codes in REMEDIES.values() for code in codes}


def test_a_judged_verdict_has_no_proof_of_itself():
    assert judge({"steps": 100, "uncleared": 1.0}).proof is None

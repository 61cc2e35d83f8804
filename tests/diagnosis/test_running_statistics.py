"""Running statistics of batch norm: those of the last batch alone are told from those of the training."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import thalweg
from made import in_turn, train_watched
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.running_statistics import norm_measures, norms_of, restated_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS = 3 + 2 * torch.randn(256, 1, generator=DRAW)
STANDARD = (INPUTS - 3) / 2
CONSTANT = float(STANDARD.square().mean())  # the loss of the best constant
LATEST = Batch(INPUTS[:16], STANDARD[:16])


def trained(momentum, *, size=4, **options):
    """Batch norm alone, whose right outputs are the standardized inputs; its last batch is an odd one."""
    norm = nn.BatchNorm1d(1, momentum=momentum, **options)
    for part in (*INPUTS.split(size), INPUTS.sort(dim=0).values[-size:]):
        norm(part)
    return norm


def copy_of(model):
    return Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), mse_loss)


def restated(model, *, size=4, inputs=INPUTS):
    kept = Batch(inputs, STANDARD[: len(inputs)])
    return restated_measures(copy_of(model), kept, LATEST, size, CONSTANT).get("restated")


@pytest.mark.parametrize("momentum", [0.001, 0.999])
def test_statistics_that_never_settle(momentum):
    norm = trained(momentum)
    with torch.no_grad():
        by_hand = mse_loss((INPUTS[128:] - norm.running_mean) / (norm.running_var + norm.eps).sqrt(), STANDARD[128:])
    found = restated(norm)
    assert found == pytest.approx(float(by_hand) / CONSTANT, abs=0.05), "what is left with the right ones is little"
    assert found > 0.2


def test_statistics_that_are_right():
    assert abs(restated(trained(0.1))) < 0.2
    assert restated(trained(None)) == pytest.approx(0, abs=0.02)


def test_inputs_that_drift():
    """Those of the end are 6 higher than those that were kept, which come from the start."""
    norm = nn.BatchNorm1d(1)
    for part in (INPUTS + 6).split(16):
        norm(part)
    kept, latest = Batch(INPUTS, STANDARD), Batch(INPUTS[:16] + 6, STANDARD[:16])
    assert restated_measures(copy_of(norm), kept, LATEST, 16, CONSTANT)["restated"] > 1
    assert "restated" not in restated_measures(copy_of(norm), kept, latest, 16, CONSTANT)


@pytest.mark.parametrize(("size", "much"), [(2, True), (32, False)])
def test_statistics_of_a_batch_are_noise_if_it_is_small(size, much):
    by_hand = 0.0
    for inputs, targets in zip(INPUTS[128:].split(size), STANDARD[128:].split(size), strict=True):
        outputs = (inputs - inputs.mean()) / (inputs.var(correction=0) + 1e-5).sqrt()
        by_hand += float(mse_loss(outputs, targets)) * size / 128
    found = restated_measures(copy_of(trained(None)), Batch(INPUTS, STANDARD), LATEST, size, CONSTANT)["norm_noise"]
    assert found == pytest.approx(by_hand / CONSTANT, abs=0.03), "what is left with the right ones is little"
    assert (found > 0.25) == much


def frozen(norm):
    return norm.eval()


@pytest.mark.parametrize(
    ("model", "inputs", "values"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), torch.ones(6, 3), 2),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), torch.ones(6, 1, 5, 6), 2 * 3 * 4),
        (nn.Sequential(nn.BatchNorm1d(5), nn.Flatten(), nn.BatchNorm1d(35)), torch.ones(6, 5, 7), 2),
        (nn.Sequential(nn.Linear(3, 4), frozen(nn.BatchNorm1d(4))), torch.ones(6, 3), None),
        (nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), torch.ones(6, 3), None),
    ],
    ids=["of outputs", "of maps", "the one with the fewest", "frozen", "no batch norm"],
)
def test_the_values_of_a_channel_in_a_batch_of_two(model, inputs, values):
    before = copy.deepcopy(model.state_dict())
    assert norm_measures(model, Batch(inputs, torch.ones(6)), size=2).get("norm_values") == values
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_of_two_values_only_their_order_is_left():
    outputs = nn.BatchNorm1d(3)(torch.tensor([[1.0, -300.0, 2.0], [5.0, 40.0, 1.0]]))
    assert outputs.tolist() == [pytest.approx([-1, -1, 1], abs=1e-4), pytest.approx([1, 1, -1], abs=1e-4)]


@pytest.mark.parametrize(("norm", "accused"), [(nn.BatchNorm1d, True), (nn.LayerNorm, False)])
def test_a_training_with_batches_of_two(norm, accused):
    """What tells the classes apart is a sum of values, not the order of two samples."""
    torch.manual_seed(0)
    inputs_NF = torch.randn(240, 8) * torch.linspace(0.2, 3, 240)[torch.randperm(240), None]
    labels_N = (inputs_NF.sum(dim=1) > 0).long() + (inputs_NF.square().mean(dim=1) > 2).long()
    model = nn.Sequential(nn.Linear(8, 24), norm(24), nn.ReLU(), nn.Linear(24, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with thalweg.watch(model, optimizer) as watch:
        rows = in_turn(240, steps=240, batch=2)
        train_watched(watch, model, optimizer, inputs_NF, labels_N, cross_entropy, rows)
    verdict = watch.diagnose(batch=(inputs_NF[:2], labels_N[:2]), loss_fn=cross_entropy)
    assert (verdict.code == "batchnorm_mismatch") == accused
    if accused:
        assert verdict.measures["norm_values"] == 2
        assert [fix.code for fix in verdict.fixes] == ["group_norm", "enlarge_batch"]


def test_what_is_not_asked():
    assert restated(trained(0.999), inputs=INPUTS[:32]) is None
    assert restated(trained(0.999), size=1) is None
    assert restated(trained(0.999, track_running_stats=False)) is None
    assert restated(nn.Linear(1, 1)) is None
    assert restated_measures(copy_of(trained(0.999)), None, LATEST, 4, CONSTANT) == {}
    layers = nn.BatchNorm1d(2), nn.LayerNorm(2), nn.BatchNorm2d(2, track_running_stats=False)
    assert norms_of(nn.Sequential(*layers)) == [layers[0]]


def test_the_verdict():
    learning = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.2, "falling": 0.3, "left": 0.2}
    verdict = judge(learning | {"restated": 0.4, "norm_gap": 0.0})
    assert verdict.code == "batchnorm_mismatch"
    assert "anew" in verdict.text
    assert judge(learning | {"restated": 0.1, "norm_gap": 0.0}).code == "healthy"
    assert judge(learning | {"restated": 0.4, "steps": 25.0}).code == "healthy"


@pytest.mark.parametrize(
    ("measure", "beyond", "within"),
    [("norm_noise", 0.35, 0.17), ("norm_values", 2.0, 4.0), ("tried_group_norm", 0.15, 0.05)],
)
def test_batches_that_are_too_small(measure, beyond, within):
    stuck = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.8, "falling": 0.0, "left": 0.8}
    verdict = judge(stuck | {measure: beyond})
    assert verdict.code == "batchnorm_mismatch"
    assert [fix.code for fix in verdict.fixes] == ["group_norm", "enlarge_batch"]
    assert judge(stuck | {measure: within}).code != "batchnorm_mismatch"
    assert judge(stuck | {measure: beyond, "restated": 0.4}).fixes[0].code == "norm_momentum"


def test_a_momentum_near_one_needs_less_harm():
    learning = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.4, "falling": 0.3, "left": 0.4, "restated": 0.14}
    verdict = judge(learning | {"norm_momentum": 0.99})
    assert verdict.code == "batchnorm_mismatch"
    assert "0.1 is usual" in verdict.text
    assert judge(learning | {"norm_momentum": 0.1}).code == "healthy"
    assert judge(learning | {"norm_momentum": 0.99, "restated": 0.01}).code == "healthy"
    norms = nn.Sequential(nn.BatchNorm1d(2, momentum=0.99), nn.BatchNorm1d(2), nn.BatchNorm1d(2, momentum=None))
    assert norm_measures(norms, Batch(torch.ones(4, 2), torch.ones(4)), size=4)["norm_momentum"] == 0.99

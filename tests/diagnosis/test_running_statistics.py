"""Running statistics of batch norm: those of the last batch alone are told from those of the training."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.running_statistics import norms_of, restated_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS = 3 + 2 * torch.randn(256, 1, generator=DRAW)
STANDARD = (INPUTS - 3) / 2
CONSTANT = float(STANDARD.square().mean())  # the loss of the best constant


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
    return restated_measures(copy_of(model), kept, size, CONSTANT).get("restated")


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


def test_what_is_not_asked():
    assert restated(trained(0.999), inputs=INPUTS[:32]) is None
    assert restated(trained(0.999), size=1) is None
    assert restated(trained(0.999, track_running_stats=False)) is None
    assert restated(nn.Linear(1, 1)) is None
    assert restated_measures(copy_of(trained(0.999)), None, 4, CONSTANT) == {}
    layers = nn.BatchNorm1d(2), nn.LayerNorm(2), nn.BatchNorm2d(2, track_running_stats=False)
    assert norms_of(nn.Sequential(*layers)) == [layers[0]]


def test_the_verdict():
    learning = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.2, "falling": 0.3, "left": 0.2}
    verdict = judge(learning | {"restated": 0.4, "norm_gap": 0.0})
    assert verdict.code == "batchnorm_mismatch"
    assert "anew" in verdict.text
    assert judge(learning | {"restated": 0.1, "norm_gap": 0.0}).code == "healthy"
    assert judge(learning | {"restated": 0.4, "steps": 25.0}).code == "healthy"

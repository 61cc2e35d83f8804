"""What a bench says holds together: shares of one whole, and the speed that its parts give."""

import pytest

from thalweg import models
from thalweg.errors import UnknownNameError, UsageError
from thalweg.training import TrainingConfig, bench


@pytest.fixture(scope="module")
def paces(striped):
    config = TrainingConfig(size=32, batch_size=16)
    return list(bench(striped, config, names=["resnet-small", "cnn"], seconds=0.1))


def test_each_network_at_each_precision(paces):
    assert [(pace.model, pace.precision) for pace in paces] == [
        ("resnet-small", "fp32"),
        ("resnet-small", "bf16"),
        ("cnn", "fp32"),
        ("cnn", "bf16"),
    ]
    assert {pace.layout for pace in paces} <= {"channels-last", "channels-first"}


def test_shares_are_of_one_epoch_with_its_evaluation(paces):
    for pace in paces:
        assert pace.data_share + pace.step_share + pace.evaluation_share == pytest.approx(1)
        training, evaluation = 96 / pace.photos_per_second, 24 / pace.evaluated_per_second
        assert pace.evaluation_share == pytest.approx(evaluation / (training + evaluation))


def test_operations_are_the_cards(paces):
    for pace in paces:
        flops = models.describe(pace.model, size=32, classes=3).flops
        step_share_of_training = pace.step_share / (pace.data_share + pace.step_share)
        assert pace.gflops == pytest.approx(3 * flops * pace.photos_per_second / step_share_of_training / 1e9)
        assert pace.of_matmul > 0


def test_what_cannot_be_measured_is_said(striped):
    with pytest.raises(UnknownNameError):
        next(bench(striped, TrainingConfig(size=32), names=["unicorn"]))
    with pytest.raises(UsageError, match="px"):
        next(bench(striped, TrainingConfig(size=1)))

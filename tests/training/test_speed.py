"""What a bench says holds together: shares of one whole, and the speed that its parts give."""

import pytest

from thalweg import models
from thalweg.errors import UnknownNameError, UsageError
from thalweg.runs import TrainingConfig
from thalweg.training import bench


pytestmark = pytest.mark.slow  # each network at each precision is prepared and trained


@pytest.fixture(scope="module")
def speeds(striped):
    config = TrainingConfig(size=32, batch_size=16)
    return list(bench(striped, config, names=["resnet-small", "cnn"], seconds=0.1))


def test_each_network_at_each_precision(speeds):
    assert [(one.model, one.precision) for one in speeds] == [
        ("resnet-small", "fp32"),
        ("resnet-small", "bf16"),
        ("cnn", "fp32"),
        ("cnn", "bf16"),
    ]
    assert {one.layout for one in speeds} <= {"channels-last", "channels-first"}


def test_shares_are_of_one_epoch_with_its_evaluation(speeds):
    for one in speeds:
        assert one.data_share + one.step_share + one.evaluation_share == pytest.approx(1)
        training, evaluation = 96 / one.photos_per_second, 24 / one.evaluated_per_second
        assert one.evaluation_share == pytest.approx(evaluation / (training + evaluation))


def test_operations_are_the_cards(speeds):
    for one in speeds:
        flops = models.describe(one.model, size=32, classes=3).flops
        step_share_of_training = one.step_share / (one.data_share + one.step_share)
        assert one.gflops == pytest.approx(3 * flops * one.photos_per_second / step_share_of_training / 1e9)
        assert one.of_matmul > 0


def test_what_cannot_be_measured_is_said(striped):
    with pytest.raises(UnknownNameError):
        next(bench(striped, TrainingConfig(size=32), names=["unicorn"]))
    with pytest.raises(UsageError, match="px"):
        next(bench(striped, TrainingConfig(size=1)))

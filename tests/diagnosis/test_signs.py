"""Labels of 0 and 1 for losses that take −1 and 1."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.signs import joined_sign_measures, sign_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS = torch.randn(24, 6, generator=DRAW)
LABELS = torch.arange(24) % 2
LEARNING = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.2, "falling": 0.3, "left": 0.2}


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def cosine(outputs, labels):
    return functional.cosine_embedding_loss(outputs[:, 0], outputs[:, 1], labels)


def ranking(outputs, labels):
    return functional.margin_ranking_loss(outputs[:, 0], outputs[:, 1], labels, margin=0.5)


def hinge(outputs, labels):
    return (1 - labels * outputs[:, 0]).clamp(min=0).mean()


def rewarded(outputs, labels):
    return -(labels * outputs[:, 0].sigmoid().log()).mean()


PAIRS = torch.randn(24, 2, 5, generator=DRAW)
ROWS = torch.randn(24, 2, generator=DRAW)


@pytest.mark.parametrize(("outputs", "loss"), [(PAIRS, cosine), (ROWS, ranking), (ROWS, hinge)])
def test_a_loss_that_leaves_out_labels_of_zero(outputs, loss):
    assert sign_measures(outputs, LABELS, loss)["targets_unread"] == 0.5
    assert sign_measures(outputs, 2 * LABELS - 1, loss) == {}


def test_a_hinge_is_known_by_outputs_beyond_its_margin_too(monkeypatch):
    drawn = ROWS / ROWS.abs().max()  # within the margin of 1, a hinge is as straight as a weighted loss
    monkeypatch.setattr(torch, "randn_like", lambda _: drawn)
    assert sign_measures(ROWS, LABELS, hinge)["targets_unread"] == 0.5
    assert sign_measures(ROWS, LABELS, rewarded)["targets_unread"] == 0


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [
        (functional.cross_entropy, ROWS),
        (lambda outputs, labels: functional.binary_cross_entropy_with_logits(outputs[:, 0], labels.float()), ROWS),
        (lambda outputs, labels: functional.mse_loss(outputs[:, 0], labels.float()), ROWS),
        (lambda outputs, labels: functional.cross_entropy(outputs, labels, ignore_index=0), ROWS),
        (lambda outputs, labels: functional.nll_loss(outputs.log_softmax(1), labels), ROWS),
        (rewarded, ROWS),
    ],
    ids=["classes", "binary", "squares", "an ignored class", "likelihood", "rewards"],
)
def test_a_loss_that_means_its_zeros(loss, outputs):
    assert sign_measures(outputs, LABELS, loss)["targets_unread"] == 0.0


MATRIX = torch.arange(96).view(24, 4) % 3 % 2
SCORES = torch.randn(24, 4, generator=DRAW)


@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, labels: (1 - labels * outputs).clamp(min=0).mean(),
        lambda outputs, labels: (1 - labels * outputs).clamp(min=0).square().sum(),
        lambda outputs, labels: functional.soft_margin_loss(outputs, labels.float()),
    ],
    ids=["hinge", "squared hinge", "soft margin"],
)
def test_labels_of_zero_for_each_output_are_left_out(loss):
    share = float((MATRIX == 0).double().mean())
    assert sign_measures(SCORES, MATRIX, loss)["targets_unread"] == share
    assert sign_measures(SCORES, 2 * MATRIX - 1, loss) == {}


def test_labels_of_zero_for_each_output_that_are_meant():
    binary = functional.binary_cross_entropy_with_logits
    assert sign_measures(SCORES, MATRIX, lambda outputs, labels: binary(outputs, labels.float())) == {
        "targets_unread": 0.0
    }


def test_a_network_that_is_beyond_the_margin_of_a_hinge():
    outputs = torch.full((24, 1), 1.5)  # it says 1 of every sample: no label of 1 has a gradient any more
    labels = LABELS[:, None].float()
    hinge_loss = lambda outputs, labels: (1 - labels * outputs).clamp(min=0).mean()  # noqa: E731
    assert sign_measures(outputs, labels, hinge_loss)["targets_unread"] == 0.5


class Two(nn.Module):
    """Scores of both sides of a pair."""

    def __init__(self):
        super().__init__()
        self.score = nn.Linear(6, 1)

    def forward(self, inputs):
        return self.score(inputs).squeeze(1), {"other": self.score(-inputs)}


def test_labels_of_zero_for_several_outputs():
    model = Two()

    def margin(outputs, labels):
        first, second = outputs[0], outputs[1]["other"].squeeze(1)
        return (0.5 - labels * (first - second)).clamp(min=0).mean()

    def found(loss_fn, labels):
        return joined_sign_measures(Copy.of(model, sgd(model), loss_fn), Batch(INPUTS, labels))

    assert found(margin, LABELS) == {"targets_unread": 0.5}
    assert found(margin, 2 * LABELS - 1) == {}
    assert found(lambda outputs, labels: margin(outputs, 2 * labels - 1), LABELS) == {"targets_unread": 0.0}
    assert found(lambda outputs, _: outputs[0].mean(), LABELS[:5]) == {}, "no label for each sample"


def test_the_verdict_on_labels_that_are_left_out():
    assert judge(LEARNING | {"targets_unread": 0.5}).code == "bad_targets"
    assert judge(LEARNING | {"targets_unread": 0.5}).fixes[0].code == "minus_one"
    others = judge({"steps": 200.0, "targets_outside": 0.5}).fixes
    assert "minus_one" not in [fix.code for fix in others], "it is a fix of this finding alone"
    assert judge(LEARNING | {"targets_unread": 0.0}).code == "healthy"
    model = nn.Sequential(nn.Linear(6, 10), nn.Unflatten(1, (2, 5)))
    assert of_batch(model, cosine, [Batch(INPUTS, LABELS)])["targets_unread"] == 0.5

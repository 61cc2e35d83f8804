"""The losses against their formulas and against torch."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from thalweg.training.losses import Objective, Targets, balanced_weights, loss_of


LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_sum_over_targets(smoothing):
    probability = torch.softmax(LOGITS, 1)
    target = torch.eye(3, dtype=torch.float64)[LABELS] * (1 - smoothing) + smoothing / 3
    expected = -(target * probability.log()).sum(1).mean()
    assert loss_of("cross-entropy", LOGITS, LABELS, smoothing).item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected.item() == pytest.approx(cross_entropy(LOGITS, LABELS, label_smoothing=smoothing).item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mean_squared_error_is_between_probabilities_and_one_hot_targets(smoothing):
    total = 0.0
    for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        exponentials = [math.exp(value) for value in row]
        for index, exponential in enumerate(exponentials):
            target = (1 - smoothing) * (index == label) + smoothing / 3
            total += (target - exponential / sum(exponentials)) ** 2
    assert loss_of("mse", LOGITS, LABELS, smoothing).item() == pytest.approx(total / 2, rel=1e-6)


def test_far_from_the_goal_mean_squared_error_is_flat_and_cross_entropy_is_not():
    norms = {}
    for name in ("mse", "cross-entropy"):
        logits = torch.tensor([[-10.0, 10.0, 0.0]], requires_grad=True)
        loss_of(name, logits, torch.tensor([0]), 0.0).backward()
        norms[name] = logits.grad.norm().item()
    assert norms["mse"] < 1e-3
    assert norms["cross-entropy"] > 1


@pytest.mark.parametrize("name", ["cross-entropy", "mse"])
def test_a_mixed_target_is_the_mixed_loss_and_classes_have_weights(name):
    weights, others, shares = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float32), torch.tensor([1, 1]), (0.7, 0.25)
    found = Objective(name, 0.1, weights)(LOGITS, Targets(LABELS, others, torch.tensor(shares)))
    expected = 0.0
    for row in range(2):
        for label, share in ((LABELS[row], shares[row]), (others[row], 1 - shares[row])):
            one = loss_of(name, LOGITS[row : row + 1], label[None], 0.1).item()
            expected += share * weights[label].item() * one / 2
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_target_that_is_soft_is_torchs():
    shares = torch.tensor([0.7, 0.25])
    soft = shares[:, None] * torch.eye(3)[LABELS] + (1 - shares[:, None]) * torch.eye(3)[[1, 1]]
    found = Objective("cross-entropy", 0.0)(LOGITS.float(), Targets(LABELS, torch.tensor([1, 1]), shares))
    assert found.item() == pytest.approx(cross_entropy(LOGITS.float(), soft).item(), rel=1e-5)


def test_balanced_weights_make_classes_equal_and_average_to_one():
    labels = torch.tensor([0] * 6 + [2] * 2 + [3]).numpy()
    weights = balanced_weights(labels, 5)
    assert weights[labels].mean() == pytest.approx(1)
    assert [weights[labels][labels == label].sum() for label in (0, 2, 3)] == pytest.approx([3, 3, 3])
    assert weights[[1, 4]].tolist() == [0, 0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_is_torchs_summed_over_the_classes(smoothing):
    labels = torch.tensor([[1, 0, 1], [0, 0, 0]])
    target = labels * (1 - smoothing) + smoothing / 2
    expected = 3 * binary_cross_entropy_with_logits(LOGITS, target)
    assert loss_of("binary-cross-entropy", LOGITS, labels, smoothing).item() == pytest.approx(expected.item(), rel=1e-6)


def test_label_sets_are_mixed_as_their_targets():
    labels, others, share = torch.tensor([[1, 0, 1], [0, 0, 0]]), torch.tensor([[0, 0, 0], [0, 1, 0]]), 0.3
    found = Objective("binary-cross-entropy", 0.1)(LOGITS, Targets(labels, others, torch.full((2,), share)))
    mixed = share * labels + (1 - share) * others
    expected = 3 * binary_cross_entropy_with_logits(LOGITS, mixed * 0.9 + 0.05)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_right_are_photos_with_exactly_their_labels():
    objective = Objective("binary-cross-entropy", 0.0)
    assert objective.right(LOGITS, torch.tensor([[1, 0, 1], [0, 1, 1]])).item() == 1
    assert Objective("cross-entropy", 0.0).right(LOGITS, LABELS).item() == 1

"""A score that is minimized: right answers have the highest loss, and answers that are all wrong the lowest."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.head import head_of
from thalweg.diagnosis.measures.loss import of_loss


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


N, C, H = 8, 3, 12
MASKS = (drawn(N, 1, H, H) > 0.8).float()
RARE = torch.zeros(N, 1, 64, 64)
RARE[:, :, 30:32, 30:32] = 1
SOFT = functional.avg_pool2d(functional.pad(torch.ones(N, 1, 6, 6), (4, 4, 4, 4)), 3, 1, 1)
CLASSES = (drawn(N, H, H).abs() * 2).long().clamp(max=C - 1)
MANY = (drawn(N, C) > 0.3).float()
HOT = functional.one_hot(torch.arange(N) % C, C).float()
ONE = (torch.arange(N) % 2).float()[:, None]
QUANTITIES = drawn(N, 4, seed=3)
PICTURES = drawn(N, 1, H, H, seed=4).sigmoid()


def none(outputs):
    return outputs * 1.0


def softmax(outputs):
    return outputs.softmax(1)


def overlap(p, targets, smooth=1.0):
    return (2 * (p * targets).sum() + smooth) / (p.sum() + targets.sum() + smooth)


def dice(outputs, targets):
    return overlap(outputs.sigmoid(), targets)


def iou(p, targets):
    both = (p * targets).sum((1, 2, 3))
    return (both / (p.sum((1, 2, 3)) + targets.sum((1, 2, 3)) - both + 1e-6)).mean()


def tversky(outputs, targets):
    p = outputs.sigmoid()
    both = (p * targets).sum()
    return (both + 1) / (both + 0.3 * (p * (1 - targets)).sum() + 0.7 * ((1 - p) * targets).sum() + 1)


def of_classes(outputs, labels):
    hot = functional.one_hot(labels, C).movedim(-1, 1).float()
    p = outputs.softmax(1)
    return (2 * (p * hot).sum((0, 2, 3)) / (p + hot).sum((0, 2, 3))).mean()


def soft_accuracy(p, targets):
    return (p * targets + (1 - p) * (1 - targets)).mean()


def correlation(outputs, targets):
    a, b = outputs - outputs.mean(), targets - targets.mean()
    return (a * b).sum() / (a.norm() * b.norm() + 1e-8)


def similarity(outputs, targets):
    """Structural similarity of whole pictures."""
    a, b = outputs.flatten(1), targets.flatten(1)
    covariance = ((a - a.mean(1, keepdim=True)) * (b - b.mean(1, keepdim=True))).mean(1)
    means = (2 * a.mean(1) * b.mean(1) + 1e-4) / (a.mean(1) ** 2 + b.mean(1) ** 2 + 1e-4)
    return (means * (2 * covariance + 9e-4) / (a.var(1) + b.var(1) + 9e-4)).mean()


def explained(outputs, targets):
    return 1 - (outputs - targets).square().sum() / (targets - targets.mean()).square().sum()


def cosine(outputs, targets):
    return functional.cosine_similarity(outputs, targets, dim=1).mean()


SCORES = [
    ("Dice", none, dice, MASKS),
    ("Dice of small masks", none, lambda o, y: overlap(o.sigmoid(), y), RARE),
    ("Dice of masks that are whole numbers", none, dice, MASKS.long()),
    ("Dice of masks with soft edges", none, dice, SOFT),
    ("Dice after a sigmoid", torch.sigmoid, overlap, MASKS),
    ("IoU", torch.sigmoid, iou, MASKS),
    ("Tversky", none, tversky, MASKS),
    ("logarithm of Dice", none, lambda o, y: dice(o, y).log(), MASKS),
    ("Dice of each class", none, of_classes, CLASSES),
    ("F1 of several labels", none, dice, MANY),
    ("accuracy of several labels", torch.sigmoid, soft_accuracy, MANY),
    ("Dice of one-hot labels", softmax, overlap, HOT),
    ("Dice of one-hot labels, with a softmax in it", none, lambda o, y: overlap(o.softmax(1), y), HOT),
    ("F1 of one number a sample", none, dice, ONE),
    ("F1 of one number a sample, squeezed", lambda o: o[:, 0], dice, ONE[:, 0]),
    ("correlation", none, correlation, QUANTITIES),
    ("cosine similarity", none, cosine, QUANTITIES),
    ("R²", none, explained, QUANTITIES),
    ("structural similarity", torch.sigmoid, similarity, PICTURES),
    ("exponential of an error", none, lambda o, y: (-(o - y).square()).exp().mean(), QUANTITIES),
]


def contrastive(distances, same):
    return (same * distances.square() + (1 - same) * functional.relu(1 - distances).square()).mean()


def of_distances(outputs, same):
    """Logistic loss of distances less their margin: a label of 1 wants a small output."""
    return functional.binary_cross_entropy_with_logits(-outputs, same)


def focal(outputs, targets):
    losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    return ((1 - (-losses).exp()).square() * losses).mean()


def focal_tversky(outputs, targets):
    return (1 - tversky(outputs, targets)) ** 0.75


def expected_cost(outputs, costs):
    return (outputs.softmax(1) * costs).sum(1).mean()


ADVANTAGES = drawn(N, seed=7) - 0.5
SIGNS = 2 * MANY - 1

SOUND = [
    ("BCE", none, functional.binary_cross_entropy_with_logits, MASKS),
    ("BCE with a weight", none, nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1000.0)), MASKS),
    ("BCE and Dice", none, lambda o, y: nn.BCEWithLogitsLoss()(o, y) + 1 - dice(o, y), MASKS),
    ("BCE, with a little Dice left", none, lambda o, y: nn.BCEWithLogitsLoss()(o, y) + 0.1 * dice(o, y), MASKS),
    ("1 less Dice", none, lambda o, y: 1 - dice(o, y), MASKS),
    ("minus Dice", none, lambda o, y: -dice(o, y), MASKS),
    ("minus the logarithm of Dice", none, lambda o, y: -dice(o, y).log(), MASKS),
    ("1 less Dice of each class", none, lambda o, y: 1 - of_classes(o, y), CLASSES),
    ("1 less IoU", torch.sigmoid, lambda p, y: 1 - iou(p, y), MASKS),
    ("focal", none, focal, MASKS),
    ("Tversky", none, lambda o, y: 1 - tversky(o, y), MASKS),
    ("focal Tversky", none, focal_tversky, MASKS),
    ("BCE of smoothed labels", none, functional.binary_cross_entropy_with_logits, 0.9 * MANY + 0.05),
    ("squared error of raw outputs", none, functional.mse_loss, MANY),
    ("BCE after a sigmoid", torch.sigmoid, functional.binary_cross_entropy, MANY),
    ("cross-entropy", none, functional.cross_entropy, HOT),
    ("squared error of a softmax", softmax, functional.mse_loss, HOT),
    ("contrastive", torch.abs, contrastive, ONE),
    ("contrastive, distances below 1", lambda o: o.abs().clamp(max=1), contrastive, ONE),
    ("logistic of distances", none, of_distances, ONE),
    ("hinge of distances", none, lambda o, y: functional.relu(1 + o * (2 * y - 1)).mean(), ONE),
    ("squared error of the other class", torch.sigmoid, lambda p, y: functional.mse_loss(1 - p, y), ONE),
    ("cross-entropy of the other class", torch.sigmoid, lambda p, y: nn.BCELoss()(1 - p, y), ONE),
    ("ones for a generator", none, functional.binary_cross_entropy_with_logits, torch.ones(N, 1)),
    ("policy gradient", none, lambda o, y: -((o.log_softmax(1) * y).sum(1) * ADVANTAGES).mean(), HOT),
    ("policy gradient of ratios", softmax, lambda p, y: -((p * y).sum(1) * ADVANTAGES).mean(), HOT),
    ("hinge of signs", none, lambda o, y: functional.relu(1 - o * y).mean(), SIGNS),
    ("squared error", none, functional.mse_loss, QUANTITIES),
    ("minus a correlation", none, lambda o, y: -correlation(o, y), QUANTITIES),
    ("1 less cosine similarity", none, lambda o, y: 1 - cosine(o, y), QUANTITIES),
    ("1 less R²", none, lambda o, y: 1 - explained(o, y), QUANTITIES),
    ("1 less structural similarity", torch.sigmoid, lambda o, y: 1 - similarity(o, y), PICTURES),
    ("costs of actions", none, expected_cost, QUANTITIES),
    ("advantages", none, lambda o, y: -(o * y).mean(), QUANTITIES),
    ("a squared correlation, to be none", none, lambda o, y: correlation(o, y).square(), QUANTITIES),
    ("a likelihood with a constant", none, lambda o, y: 50 + 0.5 * functional.mse_loss(o, y), QUANTITIES),
    ("Poisson", none, functional.poisson_nll_loss, QUANTITIES.abs()),
]


def measured(head, loss_fn, targets):
    shape = targets.shape if targets.shape != CLASSES.shape else (N, C, H, H)
    if targets.ndim == 1:
        shape = (N, 1)
    outputs = head(1.5 * drawn(*shape, seed=9).requires_grad_())
    return of_loss(outputs.detach(), targets, loss_fn, head_of(outputs))


@pytest.mark.parametrize("row", SCORES, ids=lambda row: row[0])
def test_a_score_that_is_minimized_is_known(row):
    assert measured(*row[1:])["wrong_is_best"] == 1


@pytest.mark.parametrize("row", SOUND, ids=lambda row: row[0])
def test_a_loss_is_no_score(row):
    assert measured(*row[1:]).get("wrong_is_best", 0.0) == 0


def test_a_network_that_has_unlearned_all_is_told_what_to_minimize():
    outputs = -40 + drawn(N, 1, H, H)
    found = of_loss(outputs, MASKS, dice, "none") | {"left": 0.01, "to_constant": 0.1, "falling": 0.001}
    verdict = judge(found)
    assert (verdict.code, verdict.evidence[0].name) == ("wrong_loss", "wrong_is_best")
    assert [fix.code for fix in fixes_of("wrong_loss", found)] == ["minus_score"]

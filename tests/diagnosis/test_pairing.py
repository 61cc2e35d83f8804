"""Whether each output is compared with its own target: asked of losses that do, that do not, and of more than pairs."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.pairing import pairing_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS, NUMBERS = torch.randn(12, 5, generator=DRAW), torch.randn(12, generator=DRAW)
LABELS = torch.randint(3, (12,), generator=DRAW)
IMAGES, MASKS = torch.randn(8, 2, 6, 6, generator=DRAW), torch.randint(4, (8, 6, 6), generator=DRAW)
CHOSEN = torch.stack([torch.arange(12) % 3, NUMBERS], dim=1)


def measured(model, loss_fn, inputs, targets):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return pairing_measures(Copy.of(model, optimizer, loss_fn), Batch(inputs, targets))


def squared(outputs, targets):
    return (outputs - targets).square().mean()


def value_of_action(outputs, chosen):
    return squared(outputs.gather(1, chosen[:, :1].long()), chosen[:, 1])


def value_of_action_alone(outputs, chosen):
    return squared(outputs.gather(1, chosen[:, :1].long())[:, 0], chosen[:, 1])


def supervised_contrast(outputs, labels):
    scores = functional.normalize(outputs, dim=1) @ functional.normalize(outputs, dim=1).T
    same = (labels[:, None] == labels).float()
    return -(scores.log_softmax(dim=1) * same).sum() / same.sum()


def same_moments(outputs, targets):
    return (outputs.mean() - targets.mean()).square() + (outputs.std() - targets.std()).square()


def share_of_each_class(outputs, labels):
    return (outputs.softmax(dim=1).mean(dim=0) - functional.one_hot(labels, 3).float().mean(dim=0)).square().sum()


def kernel_discrepancy(outputs, targets):
    def alike(one, other):
        return (-(one - other.T).square()).exp().mean()

    return alike(outputs, outputs) + alike(targets, targets) - 2 * alike(outputs, targets)


def by_count(outputs, targets):
    return (outputs[:, 0] - targets[:, 0]).square().sum() / targets[:, 1].sum()


@pytest.mark.parametrize(
    ("width", "loss_fn", "targets", "unpaired"),
    [
        (1, squared, NUMBERS, 1.0),
        (1, value_of_action, torch.stack([torch.zeros(12), NUMBERS], dim=1), 1.0),
        (3, value_of_action, CHOSEN, 1.0),
        (3, value_of_action_alone, CHOSEN, 0.0),
        (1, lambda outputs, targets: squared(outputs, targets).sqrt(), NUMBERS, 1.0),
        (1, lambda outputs, targets: (outputs - targets).abs().mean(), NUMBERS, 1.0),
        (1, same_moments, NUMBERS[:, None], 0.0),
        (1, kernel_discrepancy, NUMBERS[:, None], 0.0),
        (3, share_of_each_class, LABELS, 0.0),
        (1, by_count, torch.stack([NUMBERS, torch.arange(12.0) % 5 + 1], dim=1), 0.0),
        (1, squared, NUMBERS[:, None], 0.0),
        (1, lambda outputs, targets: mse_loss(outputs[:, 0], targets), NUMBERS, 0.0),
        (3, cross_entropy, LABELS, 0.0),
        (3, lambda outputs, labels: cross_entropy(outputs, labels, weight=torch.tensor([1.0, 2.0, 9.0])), LABELS, None),
        (3, lambda outputs, labels: cross_entropy(outputs, labels, label_smoothing=0.2), LABELS, 0.0),
        (3, supervised_contrast, LABELS, 0.0),
        (1, binary_cross_entropy_with_logits, (NUMBERS > 0).float()[:, None], 0.0),
        (3, mse_loss, torch.randn(12, 3, generator=DRAW), 0.0),
        (3, cross_entropy, torch.full((12,), 2), None),
        (3, lambda outputs, _: outputs.square().mean(), LABELS, None),
    ],
    ids=[
        "(N, 1) against (N,)",
        "one action against all",
        "actions against all",
        "actions",
        "a root of all",
        "absolute differences of all",
        "moments",
        "a kernel",
        "shares",
        "a count",
        "a column",
        "numbers",
        "classes",
        "weights in float32",
        "smoothed classes",
        "contrast",
        "yes or no",
        "several numbers",
        "one class",
        "no targets",
    ],
)
@pytest.mark.parametrize("collapsed", [False, True])
def test_targets_that_change_places(width, loss_fn, targets, unpaired, collapsed):
    model = nn.Linear(5, width)
    if collapsed:  # every sample gets the same output: that must not look like a loss without pairs
        nn.init.zeros_(model.weight)
    assert measured(model, loss_fn, INPUTS, targets).get("unpaired") == unpaired


@pytest.mark.parametrize("head", [nn.Sigmoid(), nn.Tanh(), nn.Softmax(dim=1)], ids=["sigmoid", "tanh", "softmax"])
def test_outputs_that_differ_little_beside_large_targets_are_pairs(head):
    model = nn.Sequential(nn.Linear(5, 1), head)
    found = measured(model, mse_loss, INPUTS, 2e5 + 300 * NUMBERS[:, None])
    assert found.get("unpaired", 0.0) == 0.0


def dice(outputs, masks):
    p, hot = outputs.softmax(dim=1), functional.one_hot(masks, 4).movedim(-1, 1)
    return 1 - 2 * (p * hot).sum() / (p.square().sum() + hot.sum())


def smoothed_in_space(outputs, masks):
    """Labels that are smoothed over their neighbors, Islam and Glocker 2021."""
    weight = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]).expand(21, 1, 3, 3) / 16
    shares = functional.conv2d(functional.one_hot(masks, 21).movedim(-1, 1).float(), weight, padding=1, groups=21)
    return -(shares * outputs.log_softmax(dim=1)).sum(dim=1).mean()


def test_labels_that_are_smoothed_over_neighbors_pull_their_own_scores():
    model = nn.Conv2d(2, 21, 1)
    assert measured(model, smoothed_in_space, IMAGES, MASKS)["mispaired"] == 0.0
    mixed = measured(model, lambda o, t: cross_entropy(o.reshape(-1, 21), t.reshape(-1)), IMAGES, MASKS)
    assert mixed["mispaired"] == 1.0


@pytest.mark.parametrize(
    ("loss_fn", "mispaired"),
    [
        (lambda o, t: cross_entropy(o.reshape(-1, 4), t.reshape(-1)), 1.0),
        (lambda o, t: cross_entropy(o.reshape(8, 36, 4).flatten(0, 1), t.flatten()), 1.0),
        (lambda o, t: cross_entropy(o.permute(0, 2, 3, 1).reshape(-1, 4), t.reshape(-1)), 0.0),
        (cross_entropy, 0.0),
        (lambda o, t: cross_entropy(o, t, weight=torch.tensor([1.0, 5.0, 2.0, 1.0])), 0.0),
        (lambda o, t: cross_entropy(o, t, label_smoothing=0.1, reduction="sum"), 0.0),
        (dice, 0.0),
    ],
    ids=["reshaped", "reshaped twice", "permuted", "as it is", "weighted", "smoothed", "dice"],
)
def test_scores_that_were_reshaped_without_moving_the_classes(loss_fn, mispaired):
    assert measured(nn.Conv2d(2, 4, 1), loss_fn, IMAGES, MASKS)["mispaired"] == mispaired


def test_as_many_classes_as_positions_pull_their_own_scores():
    inputs_NTF, labels_NT = torch.randn(8, 6, 5, generator=DRAW), torch.randint(6, (8, 6), generator=DRAW)

    def of_tokens(outputs_NTC, labels):
        return cross_entropy(outputs_NTC.flatten(0, 1), labels.flatten())

    assert not measured(nn.Linear(5, 6), of_tokens, inputs_NTF, labels_NT).get("mispaired")
    assert not measured(nn.Linear(5, 6), cross_entropy, inputs_NTF, labels_NT).get("mispaired")


def test_labels_that_a_loss_shifts():
    tokens = torch.randint(12, (6, 9), generator=DRAW)
    model = nn.Sequential(nn.Embedding(12, 8), nn.Linear(8, 12))
    shifted = measured(model, lambda o, t: cross_entropy(o[:, :-1].flatten(0, 1), t[:, 1:].flatten()), tokens, tokens)
    assert shifted["mispaired"] == 0.0


@pytest.mark.parametrize(
    ("measure", "code", "fix"), [("unpaired", "bad_targets", "match_shapes"), ("mispaired", "wrong_loss", "permute")]
)
def test_the_verdict_and_its_first_fix(measure, code, fix):
    numbers = {"steps": 200.0, measure: 1.0, "loss_constant": 2.3, "loss_last": 0.9, "falling": 0.3, "left": 0.4}
    assert judge(numbers).code == code
    assert fixes_of(code, numbers)[0].code == fix
    assert judge(numbers | {measure: 0.0}).code == "healthy"

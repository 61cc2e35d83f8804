"""A training that learns its samples by heart: targets read from gradients, and predictors judged on others."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.foretold import agreement, beyond_chance, foretold_measures, sight_measures
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.recovered import recovered
from thalweg.diagnosis.measures.ridge import features_of, ridge
from thalweg.probes.batches import Batch
from thalweg.probes.kept import Rows


DRAW = torch.Generator().manual_seed(0)
LABELS = torch.randint(5, (24,), generator=DRAW)
NUMBERS = torch.randn(24, 2, generator=DRAW)
MASKS = torch.randint(3, (24, 4, 4), generator=DRAW)
WEIGHTS = torch.tensor([1.0, 5.0, 0.2, 1.0, 2.0])


def smoothed(outputs, targets):
    return functional.cross_entropy(outputs, targets, label_smoothing=0.1)


def weighted(outputs, targets):
    return functional.cross_entropy(outputs, targets, weight=WEIGHTS, reduction="sum") / len(targets)


def summed(outputs, targets):
    return functional.mse_loss(outputs, targets, reduction="sum")


def of_probabilities(outputs, targets):
    return functional.binary_cross_entropy(outputs.sigmoid(), targets)


def of_labels(outputs, targets):
    return functional.mse_loss(outputs[:, 0], targets.float())


def of_raw(outputs, targets):
    return functional.nll_loss(outputs.log_softmax(dim=1), targets)


BINARY = functional.binary_cross_entropy_with_logits


def passed(loss_fn, targets, width):
    """Two steps of one batch each, of which the first rows were kept."""
    rows = []
    for part in (slice(0, 12), slice(12, 24)):
        wanted = targets[part]
        outputs = torch.randn(12, *width, generator=DRAW, requires_grad=True)
        loss_fn(outputs, wanted).backward()
        rows.append(Rows((torch.randn(8, 3, generator=DRAW),), outputs.detach()[:8], 8 / 12, outputs.grad[:8]))
    return rows


@pytest.mark.parametrize(
    ("loss_fn", "targets", "width"),
    [
        (functional.cross_entropy, LABELS, (5,)),
        (weighted, LABELS, (5,)),
        (smoothed, LABELS, (5,)),
        (of_raw, LABELS, (5,)),
        (functional.cross_entropy, MASKS, (3, 4, 4)),
        (functional.mse_loss, NUMBERS, (2,)),
        (summed, NUMBERS, (2,)),
        (BINARY, (NUMBERS > 0).float(), (2,)),
        (of_probabilities, (NUMBERS > 0).float(), (2,)),
        (functional.mse_loss, LABELS.float()[:, None], (1,)),
        (of_labels, LABELS, (1,)),
    ],
)
def test_targets_are_read_from_the_gradient(loss_fn, targets, width):
    found = recovered(passed(loss_fn, targets, width), loss_fn, targets[:6])
    assert found is not None
    assert torch.allclose(found.targets, torch.cat([targets[:8], targets[12:20]]), atol=1e-4)
    assert found.targets.dtype == targets.dtype


def dice(outputs, targets):
    return 1 - 2 * (outputs.sigmoid() * targets).sum() / (outputs.sigmoid().sum() + targets.sum())


@pytest.mark.parametrize("loss_fn", [functional.l1_loss, dice])
def test_a_loss_that_does_not_tell_its_targets(loss_fn):
    assert recovered(passed(loss_fn, NUMBERS, (2,)), loss_fn, NUMBERS) is None


def test_a_loss_of_triplets_gets_no_more_than_a_batch_and_tells_no_targets():
    sizes = []

    def triplets(outputs, labels):
        sizes.append(len(outputs))
        distance = torch.cdist(outputs, outputs)
        same = labels[:, None] == labels
        return (distance[:, :, None] - distance[:, None, :] + 1).relu()[same[:, :, None] & ~same[:, None, :]].mean()

    rows = passed(triplets, LABELS, (5,)) * 20
    assert recovered(rows, triplets, LABELS[:12]) is None
    assert max(sizes) <= 24  # twice a batch, to ask whether the loss is a mean


def test_a_sample_that_comes_again_counts_once():
    outputs = torch.randn(6, 5, generator=DRAW, requires_grad=True)
    functional.cross_entropy(outputs, LABELS[:6]).backward()
    rows = Rows((torch.tensor([0, 1, 2, 0, 1, 3]).reshape(6, 1),), outputs.detach(), 1.0, outputs.grad)
    found = recovered([rows], functional.cross_entropy, LABELS)
    assert found.inputs.reshape(-1).tolist() == [0, 1, 2, 3]
    assert found.targets.tolist() == LABELS[[0, 1, 2, 5]].tolist()


def test_agreement_is_in_standard_errors_of_all_orders():
    one, two = torch.randn(40, 3, generator=DRAW), torch.randn(40, 3, generator=DRAW)
    two += 0.5 * one
    centered = one - one.mean(dim=0)
    orders = [torch.randperm(40, generator=DRAW) for _ in range(4000)]
    chance = torch.stack([(centered * two[order]).sum() for order in orders])
    expected = float(((centered * two).sum() - chance.mean()) / chance.std())
    assert agreement(one, two) == pytest.approx(expected, rel=0.1)
    assert agreement(torch.ones(40, 3), two) == 0


@pytest.mark.slow
def test_what_kernels_reach_by_chance_is_measured():
    words = torch.randint(60, (200, 12), generator=torch.Generator().manual_seed(0))
    features_KF = features_of(Batch(words, words[:, 0]))
    raw, beyond = [], []
    for seed in range(60):
        labels = torch.randint(3, (200,), generator=torch.Generator().manual_seed(seed))
        numbers_KD = functional.one_hot(labels).double()
        raw.append(max(agreement(one_KD, numbers_KD) for one_KD in ridge(features_KF, numbers_KD)))
        beyond.append(beyond_chance(features_KF, numbers_KD))
    assert max(raw) > 3 > max(beyond)
    assert beyond_chance(features_KF, functional.one_hot((words < 20).sum(dim=1) // 4).double()) > 4


def test_the_loss_while_every_sample_was_new():
    losses = np.linspace(2.0, 0.0, 100)
    marks = {step: torch.arange(4.0) + 4 * (step % 60) for step in (*range(1, 11), 21, 41, 61, 91)}
    found = sight_measures(marks, losses)
    assert found["loss_first_sight"] == pytest.approx(losses[20:41].mean())
    assert found["comes_again"] == 0.5
    assert sight_measures(marks, np.linspace(2.0, 0.0, 5000))["comes_again"] == 0.5  # long after the last mark
    new = {step: torch.arange(4.0) + 4 * step for step in range(1, 50)}
    assert sight_measures(new, losses) == {}
    assert "loss_first_sight" not in sight_measures({1: torch.ones(4), 2: torch.ones(4)}, losses)


def test_numbers_that_are_too_seldom_are_no_features():
    words = torch.randint(12, (64, 10), generator=DRAW)
    assert features_of(Batch(words, LABELS)).shape == (64, 12)
    assert features_of(Batch(torch.randint(4000, (64, 10), generator=DRAW), LABELS)) is None
    assert features_of(Batch(torch.randint(12, (64, 2), generator=DRAW), LABELS)) is None  # a user and a film
    assert features_of(Batch((words, words), LABELS)) is None


def test_of_a_rare_class_nothing_is_asked():
    """Eight samples of 400: chance hides what plainly foretells them."""
    inputs = torch.randn(400, 10, generator=DRAW)
    model = nn.Linear(10, 2)
    gains = Gains(model, torch.optim.SGD(model.parameters(), lr=0.1), functional.cross_entropy, [], scale=0.69)
    for rare, asked in ((8, False), (100, True)):
        labels = (torch.arange(400) < rare).long()
        samples = Batch(inputs + labels[:, None], labels)
        assert ("foretold" in foretold_measures(gains, samples, {}, {"comes_again": 1.0})) == asked


MEMORIZED = {
    "steps": 300.0,
    "loss_constant": 1.0,
    "loss_last": 0.4,
    "first_sight": 1.0,
    "falling": 0.3,
    "left": 0.4,
    "fit_left": 0.01,
    "foretold": 1.0,
}


def test_the_rule():
    assert judge(MEMORIZED).code == "targets_unrelated"
    for other in ({"foretold": 5.0}, {"foretold": math.nan}, {"first_sight": 0.8}, {"fit_left": 0.7}):
        assert judge({**MEMORIZED, **other}).code == "healthy"


def test_a_loss_far_above_the_constants_says_nothing_of_the_targets():
    flat = {"steps": 250.0, "loss_constant": 1.0, "falling": 0.0, "fit_left": 0.03, "tried_best": 1.0, "left": 0.9}
    flat |= {"update_ratio": 2e-3, "cosine": 0.1}
    assert judge(flat | {"loss_last": 1.0}).code == "targets_unrelated"
    assert judge(flat | {"loss_last": 1.3, "tried_best": 1.3}).code == "unsure"


def test_the_rule_of_pictures():
    stuck = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.9, "falling": 0.0, "left": 0.9, "fit_left": 0.75}
    verdict = judge({**stuck, "pictures_foretold": 1.5})
    assert verdict.code == "targets_unrelated"
    assert "one order" in verdict.text
    for other in ({"pictures_foretold": 9.0}, {"pictures_foretold": math.nan}, {"fit_left": 1.0}):
        assert judge({**stuck, "pictures_foretold": 1.5, **other}).code != "targets_unrelated"


def discs(count=240, size=14):
    """Noisy pictures of a disc each, bright or dark, and where it is: a linear predictor is blind."""
    generator = torch.Generator().manual_seed(4)
    across = torch.arange(float(size))
    centers, radii = torch.rand(count, 2, generator=generator) * size, 2 + 3 * torch.rand(count, generator=generator)
    far = (across[:, None] - centers[:, 0, None, None]) ** 2 + (across - centers[:, 1, None, None]) ** 2
    masks = (far < radii[:, None, None] ** 2).float()[:, None]
    signs = (torch.rand(count, 1, 1, 1, generator=generator) > 0.5).float() * 2 - 1
    return masks * signs + 0.2 * torch.randn(masks.shape, generator=generator), masks


def convolutions(outputs=1, size=3):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, size, padding=size // 2), nn.ReLU(), nn.Conv2d(8, outputs, size, padding=size // 2)
    )


@pytest.mark.slow
@pytest.mark.parametrize("belong", [True, False])
@pytest.mark.parametrize("classes", [True, False])
def test_masks_of_other_pictures(belong, classes):
    pictures, masks = discs()
    wanted = masks if belong else masks[torch.randperm(len(masks), generator=torch.Generator().manual_seed(5))]
    loss_fn = functional.cross_entropy if classes else BINARY
    samples = Batch(pictures, wanted[:, 0].long() if classes else wanted)
    model = convolutions(2 if classes else 1)
    known = {"comes_again": 1.0, "loss_last": 0.55}
    gains = Gains(model, torch.optim.Adam(model.parameters()), loss_fn, [samples], 0.45, 2e-2)
    found = foretold_measures(gains, samples, {}, known)
    assert (found["pictures_foretold"] > 3) == belong
    assert "foretold" not in found


def test_of_what_is_no_pair_of_pictures_nothing_is_asked():
    pictures, masks = discs(160)
    gains = Gains(convolutions(), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), BINARY, [], 0.45)
    for inputs, targets in (
        (pictures, masks[:, :, :7]),
        (pictures.flatten(1), masks),
        (pictures, torch.ones_like(masks)),
    ):
        assert "pictures_foretold" not in foretold_measures(gains, Batch(inputs, targets), {}, {"comes_again": 1.0})


def batches_of(inputs, targets, size=32):
    generator = torch.Generator().manual_seed(2)
    while True:
        for rows in torch.randperm(len(inputs), generator=generator).split(size):
            yield inputs[rows], targets[rows]


def diagnosed(model, feed, loss_fn, steps=400, rate=3e-3):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    with thalweg.watch(model, optimizer) as watch:
        for (inputs, targets), _ in zip(feed, range(steps), strict=False):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch.diagnose(batch=(inputs, targets), loss_fn=loss_fn, seconds=20)


def network(*widths):
    torch.manual_seed(0)
    pairs = pairwise(widths)
    return nn.Sequential(*[layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())][:-1])


def table(count=900):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 8, generator=generator)
    return inputs, (inputs[:, 0] * inputs[:, 1] > 0).long(), generator


@pytest.mark.slow
@pytest.mark.parametrize("belong", [True, False])
def test_labels_of_other_samples(belong):
    inputs, labels, generator = table(500)
    labels = labels if belong else labels[torch.randperm(len(labels), generator=generator)]
    verdict = diagnosed(network(8, 128, 128, 2), batches_of(inputs, labels), functional.cross_entropy, rate=1e-3)
    assert verdict.code == ("healthy" if belong else "targets_unrelated")
    assert (verdict.measures["foretold"] > 3) == belong


@pytest.mark.slow
@pytest.mark.parametrize("belong", [True, False])
def test_numbers_of_other_samples(belong):
    inputs, _, generator = table(600)
    numbers = (inputs[:, :1] - inputs[:, 1:2]).tanh() + 0.3 * torch.randn(600, 1, generator=generator)
    numbers = numbers if belong else numbers.sort(dim=0)[0]
    verdict = diagnosed(network(8, 128, 128, 1), batches_of(inputs, numbers), functional.mse_loss, steps=500)
    assert (verdict.code == "targets_unrelated") == (not belong)


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [True, False])
def test_classes_by_number(ordered):
    """Nine blobs in the plane: their numbers have no order; or the sum of the coordinates, which has one."""
    generator = torch.Generator().manual_seed(1)
    centers = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))[torch.randperm(9, generator=generator)]
    labels = torch.randint(9, (800,), generator=generator)
    inputs = centers[labels] * 2 - 2 + 0.3 * torch.randn(800, 2, generator=generator)
    numbers = (inputs.sum(dim=1, keepdim=True) + 4).round().clamp(0, 8) if ordered else labels.float()[:, None]
    verdict = diagnosed(network(2, 16, 1), batches_of(inputs, numbers, 12), functional.mse_loss)
    assert (verdict.code == "wrong_loss") == (not ordered)
    assert (verdict.measures["numbered_classes"] > 0.15) == (not ordered)


def streamed():
    generator = torch.Generator().manual_seed(3)
    while True:
        inputs = torch.randn(32, 8, generator=generator)
        yield inputs, inputs[:, :1].tanh() + 0.1 * torch.randn(32, 1, generator=generator)


def full_batch():
    inputs, labels, _ = table(150)
    while True:
        yield inputs, labels


def rated():
    """Users and films: only their combination tells, and each comes too seldom in a few hundred."""
    generator = torch.Generator().manual_seed(4)
    users, films = torch.randn(60, 3, generator=generator), torch.randn(40, 3, generator=generator)
    pairs = torch.stack([torch.randint(n, (3000,), generator=generator) for n in (60, 40)], dim=1)
    yield from batches_of(pairs, (users[pairs[:, 0]] * films[pairs[:, 1]]).sum(dim=1), 64)


def reconstructed():
    inputs, _, _ = table(600)
    mixed = inputs @ torch.randn(8, 8, generator=torch.Generator().manual_seed(5))
    yield from batches_of(mixed, mixed)


def weak():
    inputs, _, generator = table(2000)
    yield from batches_of(inputs, 0.4 * inputs[:, :1] + torch.randn(2000, 1, generator=generator), 64)


def wrongly_labelled():
    inputs, labels, generator = table(1200)
    wrong = torch.rand(1200, generator=generator) < 0.2
    yield from batches_of(inputs, torch.where(wrong, 1 - labels, labels))


def parity():
    inputs = torch.randint(2, (900, 8), generator=torch.Generator().manual_seed(6)).float() * 2 - 1
    yield from batches_of(inputs, (inputs[:, 0] * inputs[:, 3] * inputs[:, 5] > 0).long())


def sums():
    """All pairs of numbers: a table that is looked up is to be learned by heart."""
    pairs = torch.cartesian_prod(torch.arange(19), torch.arange(19))
    yield from batches_of(pairs, pairs.sum(dim=1) % 19)


class Rated(nn.Module):
    def __init__(self):
        super().__init__()
        self.users, self.films = nn.Embedding(60, 8), nn.Embedding(40, 8)

    def forward(self, pairs):
        return (self.users(pairs[:, 0]) * self.films(pairs[:, 1])).sum(dim=1)


def lookup():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(19, 16), nn.Flatten(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 19))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("feed", "model", "loss_fn"),
    [
        (streamed, lambda: network(8, 32, 1), functional.mse_loss),
        (full_batch, lambda: network(8, 64, 2), functional.cross_entropy),
        (rated, Rated, functional.mse_loss),
        (reconstructed, lambda: network(8, 32, 8), functional.mse_loss),
        (weak, lambda: network(8, 64, 1), functional.mse_loss),
        (wrongly_labelled, lambda: network(8, 128, 2), functional.cross_entropy),
        (parity, lambda: network(8, 64, 2), functional.cross_entropy),
        (sums, lookup, functional.cross_entropy),
    ],
)
def test_a_sound_training_is_not_accused(feed, model, loss_fn):
    assert diagnosed(model(), feed(), loss_fn).code not in {"targets_unrelated", "same_batch", "bad_targets"}

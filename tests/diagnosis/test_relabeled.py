"""Labels that are no class indices, though the loss takes them for some: they begin with 1, or -1 is left out."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

import thalweg
from thalweg.diagnosis.measures.relabeled import with_class_indices
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS_NF = torch.randn(400, 6, generator=DRAW)
CLASSES_N = (INPUTS_NF @ torch.randn(6, 5, generator=DRAW)).argmax(dim=1)
SOME_N = torch.rand(400, generator=DRAW) < 0.3
ASKED = ("targets_outside", "targets_kinds", "largest_class", "rare_found", "kinds_together", "foretold", "avoidable")
IF_TIME_IS_LEFT = ("foretold", "avoidable")


def from_one(outputs_NC, labels_N):
    labels_N -= 1
    return cross_entropy(outputs_NC, labels_N)


def unseen(outputs_NC, labels_N):
    """Writes without torch's notice."""
    labels_N.numpy()[...] -= 1
    return cross_entropy(outputs_NC, labels_N)


def hot(outputs_NC, labels_N):
    return -(outputs_NC.log_softmax(dim=1) * one_hot(labels_N - 1, 5)).sum(dim=1).mean()


def minus_one_left_out(outputs_NC, labels_N):
    return cross_entropy(outputs_NC, labels_N, ignore_index=-1)


def zero_left_out(outputs_NC, labels_N):
    return cross_entropy(outputs_NC, labels_N - 1, ignore_index=-1)


def by_bytes(outputs_NC, labels_N):
    return cross_entropy(outputs_NC, labels_N.long(), ignore_index=255)


def verdict_of(loss_fn, labels_N):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(60):
            rows = torch.arange(32 * step, 32 * step + 32) % 400
            optimizer.zero_grad()
            loss = loss_fn(model(INPUTS_NF[rows]), labels_N[rows])
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch.diagnose(batch=(INPUTS_NF[:32], labels_N[:32].clone()), loss_fn=loss_fn, seconds=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss_fn", "labels_N", "same_as"),
    [
        (from_one, CLASSES_N + 1, CLASSES_N),
        (unseen, CLASSES_N + 1, CLASSES_N),
        (hot, CLASSES_N + 1, CLASSES_N),
        (lambda outputs, labels: cross_entropy(outputs, labels + 1), CLASSES_N - 1, CLASSES_N),
        (minus_one_left_out, CLASSES_N.masked_fill(SOME_N, -1), CLASSES_N.masked_fill(SOME_N, -100)),
        (zero_left_out, (CLASSES_N + 1).masked_fill(SOME_N, 0), CLASSES_N.masked_fill(SOME_N, -100)),
        (by_bytes, CLASSES_N.masked_fill(SOME_N, 255).byte(), CLASSES_N.masked_fill(SOME_N, -100)),
    ],
    ids=["in place", "in place by NumPy", "one-hot", "from -1", "-1 left out", "0 left out", "255 left out"],
)
def test_what_the_loss_makes_of_its_labels_is_what_is_measured(loss_fn, labels_N, same_as):
    found, wanted = verdict_of(loss_fn, labels_N), verdict_of(cross_entropy, same_as)
    assert found.code == wanted.code != "bad_targets"
    failed, failed_so = ({name for name in of.unchecked if "_too_slow" not in name} for of in (found, wanted))
    assert failed == failed_so  # what a busy machine leaves no time for aside
    for name in ASKED:
        if name not in IF_TIME_IS_LEFT or {name} <= found.measures.keys() & wanted.measures.keys():
            assert found.measures.get(name) == pytest.approx(wanted.measures.get(name)), name


def coded(loss_fn, labels_N, outputs=5):
    model = nn.Linear(6, outputs)
    copied = Copy(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    batch = Batch(INPUTS_NF[: len(labels_N)], labels_N)
    loss_again, (again,) = with_class_indices(copied, loss_fn, [batch])
    assert bool(again.loss(model, loss_again) == batch.loss(model, loss_fn))
    return again.targets


@pytest.mark.parametrize(
    ("loss_fn", "labels_N"),
    [
        (cross_entropy, CLASSES_N),
        (cross_entropy, CLASSES_N.clamp(min=1)),  # no sample of the first class
        (lambda outputs, labels: -cross_entropy(outputs, labels), CLASSES_N),  # a wrong sign
        (lambda outputs, labels: (outputs - labels[:, None]).square().mean(), CLASSES_N),  # no classes
        (
            lambda outputs, labels: cross_entropy(outputs, labels % 5),
            CLASSES_N - (CLASSES_N == 4) * 5,
        ),  # -1 is the last
    ],
    ids=["class indices", "a class is missing", "sign", "numbers", "wrapped"],
)
def test_labels_that_stay_as_they_are(loss_fn, labels_N):
    assert coded(loss_fn, labels_N) is labels_N


def test_a_negative_label_that_counts_is_no_label_that_is_left_out():
    """Indexing by -1 takes the last class: that is a mistake, and stays one."""
    labels_N = CLASSES_N.clone()
    labels_N[:8] = -1

    def indexed(outputs_NC, labels_N):
        return -outputs_NC.log_softmax(dim=1)[torch.arange(len(labels_N)), labels_N].mean()

    assert coded(indexed, labels_N) is labels_N
    assert verdict_of(indexed, labels_N).code == "bad_targets"

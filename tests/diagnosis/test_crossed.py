"""Targets that pull the outputs of other samples."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.crossed import crossed_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
SAMPLES, TIMES, WORDS = 12, 7, 9
TEXT = torch.randint(0, WORDS, (SAMPLES, TIMES), generator=DRAW)
NEXT = torch.randint(0, WORDS, (SAMPLES, TIMES), generator=DRAW)
ROWS, LABELS = torch.randn(SAMPLES, 6, generator=DRAW), torch.arange(SAMPLES) % 3


class Words(nn.Module):
    """Scores of each word: (T, N, C), or with `batch_first` (N, T, C)."""

    def __init__(self, *, batch_first=False):
        super().__init__()
        self.batch_first = batch_first
        self.embed, self.out = nn.Embedding(WORDS, 5), nn.Linear(8, WORDS)
        self.memory = nn.GRU(5, 8, batch_first=batch_first)

    def forward(self, text):
        return self.out(self.memory(self.embed(text if self.batch_first else text.T))[0])


class Then(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.layer, self.change = nn.Linear(6, 3), change

    def forward(self, rows):
        return self.change(self.layer(rows))


def crossed(model, inputs, targets, loss_fn):
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return crossed_measures(copied, Batch(inputs, targets)).get("crossed")


def flat(outputs, targets):
    return cross_entropy(outputs.reshape(-1, WORDS), targets.reshape(-1))


def test_time_and_batch_that_are_both_flattened():
    assert crossed(Words(), TEXT, NEXT, flat) == 1
    square = TEXT[:TIMES]
    assert crossed(Words(), square, NEXT[:TIMES], flat) == 1, "as many times as samples"
    assert crossed(Words(), TEXT, NEXT, lambda outputs, targets: flat(outputs.transpose(0, 1), targets)) == 0
    assert crossed(Words(), TEXT, NEXT, lambda outputs, targets: flat(outputs, targets.T)) == 0
    assert crossed(Words(batch_first=True), TEXT, NEXT, flat) == 0


def test_outputs_in_another_order_than_their_inputs():
    assert crossed(Then(lambda outputs: outputs.flip(0)), ROWS, LABELS, cross_entropy) == 1
    assert crossed(Then(lambda outputs: outputs), ROWS, LABELS, cross_entropy) == 0


@pytest.mark.parametrize(
    "loss_fn",
    [
        lambda outputs, labels: cross_entropy(outputs, labels, ignore_index=2),
        lambda outputs, labels: 0.7 * cross_entropy(outputs, labels) + 0.3 * cross_entropy(outputs, labels.roll(1)),
        lambda outputs, labels: mse_loss(outputs[:, :1], labels.float()),
        lambda outputs, labels: (
            (normalize(outputs) @ normalize(outputs).T).log_softmax(1) * -(labels[:, None] == labels)
        ).mean(),
        lambda outputs, _: outputs.square().mean(),
        lambda outputs, _: outputs.nothing,
    ],
    ids=["ignored class", "mixed up on purpose", "broadcast", "contrastive", "no targets", "a loss that fails"],
)
def test_losses_that_pull_what_belongs_to_a_sample(loss_fn):
    assert not crossed(Then(lambda outputs: outputs), ROWS, LABELS, loss_fn)


def test_a_language_model_whose_loss_shifts_its_labels():
    def shifted(outputs, targets):
        return cross_entropy(outputs[:, :-1].reshape(-1, WORDS), targets[:, 1:].reshape(-1))

    assert crossed(Words(batch_first=True), TEXT, TEXT, shifted) == 0


def test_words_that_are_padding_and_not_counted():
    lengths = torch.arange(SAMPLES)[:, None] % 3 + 2
    ends = torch.arange(TIMES) >= lengths
    padded = NEXT.clamp(min=1).masked_fill(ends, 0)

    def counted(outputs, targets):
        return cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=0)

    assert crossed(Words(batch_first=True), TEXT, padded, counted) == 0
    assert crossed(Words(), TEXT, padded, counted) == 1


def test_an_output_that_nothing_changes_is_not_another_samples():
    """A second derivative through ReLU is zero: its target pulls what no input moves."""

    def loss_fn(outputs, targets):
        return (outputs[:, 1] - targets[:, 0]).square().mean() + (outputs[:, 0] * (targets[:, 0] > 1)).mean()

    assert not crossed(Then(lambda outputs: outputs[:, :2] * torch.tensor([1.0, 0.0])), ROWS, ROWS, loss_fn)


def test_samples_that_share_outputs_are_not_asked():
    neighbors = torch.eye(SAMPLES).roll(1, 0) + torch.eye(SAMPLES).roll(3, 0)
    assert crossed(Then(lambda outputs: neighbors @ outputs), ROWS, LABELS, cross_entropy) is None
    assert crossed(Then(lambda outputs: outputs.softmax(0)), ROWS, LABELS, cross_entropy) is None


def test_the_verdict_on_crossed_targets():
    found = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.5, "falling": 0.1, "left": 0.5, "crossed": 1.0}
    assert judge(found).code == "targets_unrelated"
    assert [fix.code for fix in fixes_of("targets_unrelated", found)] == ["same_order"]
    assert [fix.code for fix in fixes_of("targets_unrelated", found | {"crossed": 0.0})] == ["check_pairs"]
    assert judge(found | {"crossed": 0.2}).code == "healthy"

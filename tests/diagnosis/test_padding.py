"""Padding in the loss is told from words, and named where the words are learned better without it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.padding import padding_measures
from thalweg.i18n import speaking
from thalweg.probes.batches import Batch


LEARNING = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.2, "falling": 0.3, "left": 0.2}
ROWS, LENGTH, WORDS = 24, 12, 9


class Tagger(nn.Module):
    def __init__(self, *, classes_second=False):
        super().__init__()
        self.table, self.out, self.classes_second = nn.Embedding(WORDS, 16), nn.Linear(16, WORDS), classes_second

    def forward(self, tokens):
        logits = self.out(self.table(tokens))
        return logits.transpose(1, 2) if self.classes_second else logits


def texts(*, longest=4, left=False, padding=0):
    """Words of 1 to 8, whose tag is a function of the word, then padding."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, WORDS, (ROWS, LENGTH), generator=draw)
    tags = 1 + (3 * tokens) % (WORDS - 1)
    real = torch.arange(LENGTH) < torch.randint(1, longest + 1, (ROWS, 1), generator=draw)
    real = real.flip(1) if left else real
    return Batch(tokens.where(real, padding), tags.where(real, padding))


def flat(outputs, targets, **options):
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), **options)


def masked(outputs, targets):
    return flat(outputs, targets, reduction="none")[targets.flatten() != 0].mean()


def measured(batch, loss_fn=flat, *, model=None, rate=0.02, seconds=20.0):
    torch.manual_seed(0)
    model = model or Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    return padding_measures(Gains(model, optimizer, loss_fn, [batch], 1.0, 1e-3, seconds))


@pytest.mark.parametrize("left", [False, True])
def test_words_that_are_learned_better_without_the_padding(left):
    batch = texts(left=left)
    found = measured(batch, rate=0.005)
    assert found["padding_counted"] == float((batch.inputs == 0).float().mean()) > 0.7
    assert found["tried_unpadded"] > 0.1
    assert judge(LEARNING | found).code == "class_imbalance"
    assert [fix.code for fix in judge(LEARNING | found).fixes] == ["ignore_padding"]


def test_the_verdict_says_what_was_found():
    verdict = judge(LEARNING | {"padding_counted": 0.9, "tried_unpadded": 0.3})
    for language, words in (("en", "counts the padding"), ("zh-CN", "填充")):
        with speaking(language):
            assert words in verdict.text


def test_classes_in_the_second_dimension():
    found = measured(texts(), functional.cross_entropy, model=Tagger(classes_second=True), rate=0.005)
    assert found["padding_counted"] > 0.7


@pytest.mark.parametrize("loss_fn", [lambda outputs, targets: flat(outputs, targets, ignore_index=0), masked])
def test_a_loss_that_leaves_the_padding_out(loss_fn):
    assert measured(texts(), loss_fn) == {"padding_counted": 0.0}


def test_padding_that_hinders_nothing():
    assert "tried_unpadded" not in measured(texts(longest=LENGTH))  # less than half
    assert judge(LEARNING | {"padding_counted": 0.9, "tried_unpadded": 0.0}).code == "healthy"
    assert judge(LEARNING | {"padding_counted": 0.3}).code == "healthy"


def test_of_a_sum_the_words_count_the_same_without_padding():
    """A word has its own row of the table and of the outputs: what is left out of a sum changes nothing for it."""
    torch.manual_seed(0)
    model = Tagger()
    nn.init.eye_(model.table.weight)
    model.out.bias = None

    def summed(outputs, targets):
        return flat(outputs, targets, reduction="sum") / 1000

    assert measured(texts(), summed, model=model)["tried_unpadded"] == 0.0


def test_what_is_not_beyond_doubt_is_no_padding():
    batch = texts()
    zeros = batch.inputs.clone()
    zeros[0, 0] = 0  # the number is a word, too
    whole = Batch(batch.inputs.where(batch.inputs > 0, 5), batch.targets)
    equal = texts(longest=1)  # rows of one length: a column that is always the same
    other = batch.targets.clone()
    other[:, -1] = 3  # the padding has several targets
    for odd in (Batch(zeros, batch.targets), whole, equal, Batch(batch.inputs, other)):
        assert measured(odd) == {}
    assert measured(Batch(batch.inputs[:4], batch.targets[:4])) == {}
    assert measured(Batch(batch.inputs, batch.targets.float()), lambda outputs, _: outputs.mean()) == {}


def test_a_trial_that_would_take_too_long_is_not_made():
    assert list(measured(texts(), seconds=0.03)) == ["padding_counted"]

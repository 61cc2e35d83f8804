"""What a loss function hands to torch's own losses: probabilities for logarithms, and what CTC takes."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    ctc_loss,
    kl_div,
    logsigmoid,
    mse_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    one_hot,
)

import thalweg
from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.called import called_measures, mended
from thalweg.diagnosis.measures.head import from_layer
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
X, LABELS = torch.randn(16, 5, generator=DRAW), torch.arange(16) % 3
HOT = one_hot(LABELS, 3).float()
SHARES = torch.randn(16, 3, generator=DRAW).softmax(dim=1)
TIMES, SAMPLES, CLASSES, LONGEST = 8, 8, 6, 3
SERIES = torch.randn(SAMPLES, TIMES, 4, generator=DRAW)
TEXTS = torch.randint(1, CLASSES, (SAMPLES, LONGEST), generator=DRAW)
WHOLE, LENGTHS = torch.full((SAMPLES,), TIMES), torch.full((SAMPLES,), LONGEST)


def found(loss_fn, model=None, inputs=X, targets=LABELS):
    torch.manual_seed(0)
    model = nn.Linear(5, 3) if model is None else model
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return called_measures(copied, Batch(inputs, targets))


MISMATCHES = [
    ("softmax before cross-entropy", "squashed_twice", lambda o, y: cross_entropy(o.softmax(1), y)),
    ("softmax before a module", "squashed_twice", lambda o, y: nn.CrossEntropyLoss()(o.softmax(1), y)),
    ("softmax in half of a sum", "squashed_twice", lambda o, y: cross_entropy(o, y) + cross_entropy(o.softmax(1), y)),
    ("sigmoid before cross-entropy", "squashed_twice", lambda o, y: cross_entropy(o.sigmoid(), y)),
    ("by keyword", "squashed_twice", lambda o, y: cross_entropy(target=y, input=o.softmax(1))),
    ("sigmoid, flattened", "squashed_twice", lambda o, _: multilabel_soft_margin_loss(o.sigmoid(), HOT)),
    (
        "sigmoid before its logits",
        "squashed_twice",
        lambda o, _: binary_cross_entropy_with_logits(o.sigmoid().flatten(), HOT.flatten()),
    ),
    ("raw outputs", "log_missing", nll_loss),
    ("probabilities", "log_missing", lambda o, y: nll_loss(o.softmax(1), y)),
    ("activated", "log_missing", lambda o, y: nll_loss(o.relu(), y)),
    ("log-sigmoid", "log_of_each", lambda o, y: nll_loss(logsigmoid(o), y)),
    ("logarithm of a sigmoid", "log_of_each", lambda o, y: nll_loss(o.sigmoid().log(), y)),
    ("divergence", "log_missing", lambda o, _: kl_div(o.softmax(1), SHARES, reduction="batchmean")),
    ("divergence of torch", "log_missing", lambda o, _: torch.kl_div(o.softmax(1), SHARES).mean()),
    ("over the batch", "softmax_misplaced", lambda o, y: nll_loss(o.log_softmax(0), y)),
]
SOUND = [
    ("cross-entropy", cross_entropy),
    ("after log-softmax", lambda o, y: cross_entropy(o.log_softmax(1), y)),
    ("smoothed and weighted", nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 3.0]))),
    ("soft targets", lambda o, _: cross_entropy(o, SHARES)),
    ("one-hot targets", lambda o, _: cross_entropy(o, HOT)),
    ("ignored", lambda o, y: cross_entropy(o, y.where(y > 0, -100))),
    ("likelihood", lambda o, y: nll_loss(o.log_softmax(1), y)),
    ("of small probabilities", lambda o, y: nll_loss((o.softmax(1) + 1e-8).log(), y)),
    ("focal", lambda o, y: nll_loss((1 - o.softmax(1)) ** 2 * o.log_softmax(1), y)),
    ("advantages", lambda o, y: nll_loss(o.log_softmax(1) * torch.linspace(-1, 1, 16)[:, None], y)),
    ("negative samples", lambda o, y: nll_loss(logsigmoid(o), y) + nll_loss(logsigmoid(-o), (y + 1) % 3)),
    ("divergence", lambda o, _: kl_div(o.log_softmax(1), SHARES, reduction="batchmean")),
    ("of logarithms", lambda o, _: kl_div(o.log_softmax(1), SHARES.log(), log_target=True, reduction="sum")),
    ("logits", lambda o, _: binary_cross_entropy_with_logits(o, HOT)),
    ("probabilities that it takes", lambda o, _: functional.binary_cross_entropy(o.sigmoid(), HOT)),
    ("squares of probabilities", lambda o, _: mse_loss(o.softmax(1), HOT)),
    ("looked at", lambda o, y: (cross_entropy(o.softmax(1), y), cross_entropy(o, y))[1]),
    ("weighted by zero", lambda o, y: cross_entropy(o, y) + 0 * cross_entropy(o.softmax(1), y)),
    ("without a gradient", lambda o, y: cross_entropy(o, y) + cross_entropy(o.detach().softmax(1), y)),
    ("no loss at all", lambda o, _: o.nothing),
    ("no graph", lambda o, y: cross_entropy(o.detach(), y)),
]


@pytest.mark.parametrize(("flag", "loss_fn"), [case[1:] for case in MISMATCHES], ids=[case[0] for case in MISMATCHES])
def test_what_a_loss_does_not_take_is_seen_in_its_call(flag, loss_fn):
    assert found(loss_fn) == {flag: 1.0}


@pytest.mark.parametrize("loss_fn", [case[1] for case in SOUND], ids=[case[0] for case in SOUND])
def test_a_loss_that_gets_what_it_takes_is_not_accused(loss_fn):
    assert found(loss_fn) == {}


def test_a_loss_within_the_network_is_seen():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, x):
            return cross_entropy(self.layer(x).softmax(dim=1), LABELS)

    assert found(lambda loss, _: loss, Whole()) == {"squashed_twice": 1.0}


def test_what_comes_from_a_layer():
    layer, x = nn.Linear(4, 3), torch.randn(2, 6, 4).transpose(0, 1)
    assert from_layer(layer(x))  # three dimensions, not contiguous: a product, and a sum with the bias
    assert from_layer(layer(x).transpose(0, 1))
    assert not from_layer(layer(x) + torch.ones(3))
    assert not from_layer(layer(x) + layer(x))
    assert not from_layer(torch.ones(3))


class Reader(nn.Module):
    """A recurrent network with an output for each time: samples × times × classes."""

    def __init__(self):
        super().__init__()
        self.memory, self.layer = nn.GRU(4, 8, batch_first=True), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.layer(self.memory(x)[0])


def likely(outputs_NTC):
    return outputs_NTC.transpose(0, 1).log_softmax(2)


def of_ctc(prepare=likely, texts=TEXTS, times=WHOLE, lengths=LENGTHS, model=None, **settings):
    def loss_fn(outputs, targets):
        return ctc_loss(prepare(outputs), targets[0], targets[1], targets[2], **settings)

    return found(loss_fn, Reader() if model is None else model, SERIES, (texts, times, lengths))


@pytest.mark.parametrize(
    ("prepare", "flag"),
    [
        (lambda o: o.transpose(0, 1), "log_missing"),
        (lambda o: o.transpose(0, 1).softmax(2), "log_missing"),
        (lambda o: o.transpose(0, 1).log_softmax(1), "softmax_misplaced"),
        (lambda o: o.log_softmax(2), "samples_as_times"),
    ],
    ids=["raw", "probabilities", "over the samples", "samples first"],
)
def test_what_ctc_does_not_take(prepare, flag):
    assert of_ctc(prepare) == {flag: 1.0}


def test_labels_of_ctc_that_are_the_blank():
    padded = functional.pad(TEXTS, (0, 2))
    assert of_ctc(texts=TEXTS - 1) == {"blank_in_targets": pytest.approx(float((TEXTS == 1).float().mean()))}
    assert of_ctc(texts=(TEXTS - 1).flatten()).keys() == {"blank_in_targets"}
    assert of_ctc(texts=padded, lengths=LENGTHS + 2) == {"blank_in_targets": pytest.approx(2 / (LONGEST + 2))}
    assert of_ctc(texts=padded) == {}
    assert of_ctc(texts=TEXTS - 1, blank=CLASSES - 1) == {}


def test_texts_of_ctc_that_have_no_alignment():
    same = torch.ones(SAMPLES, LONGEST, dtype=torch.long)  # needs a blank between them: five times
    short = torch.where(torch.arange(SAMPLES) < 2, 4, 5)
    assert of_ctc(texts=same, times=short, zero_infinity=True) == {"targets_too_long": 0.25}
    assert of_ctc(texts=same, times=short) == {"targets_too_long": 0.25}
    assert of_ctc(texts=same, times=torch.full((SAMPLES,), 5)) == {}


@pytest.mark.parametrize("texts", [TEXTS, TEXTS.flatten()], ids=["a row each", "in one row"])
def test_ctc_that_gets_what_it_takes(texts):
    assert of_ctc(texts=texts) == {}
    assert of_ctc(texts=texts, times=(TIMES,) * SAMPLES, lengths=(LONGEST,) * SAMPLES) == {}


def test_a_network_that_treats_times_as_it_does_samples_does_not_tell_them_apart():
    assert of_ctc(lambda o: o.log_softmax(2), model=nn.Linear(4, CLASSES)) == {}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (lambda o, y: cross_entropy(o.softmax(1), y), cross_entropy),
        (lambda o, y: nll_loss(o.softmax(1), y), cross_entropy),
        (nll_loss, cross_entropy),
        (
            lambda o, _: binary_cross_entropy_with_logits(o.sigmoid(), HOT),
            lambda o, _: binary_cross_entropy_with_logits(o, HOT),
        ),
        (
            lambda o, _: kl_div(o.softmax(1), SHARES, reduction="batchmean"),
            lambda o, _: kl_div(o.log_softmax(1), SHARES, reduction="batchmean"),
        ),
        (lambda o, y: cross_entropy(input=o.softmax(1), target=y), cross_entropy),
        (mse_loss, mse_loss),
        (cross_entropy, cross_entropy),
    ],
)
def test_a_mended_loss_gets_what_it_takes(wrong, right):
    outputs = torch.randn(16, 3, generator=DRAW)
    targets = HOT if wrong is mse_loss else LABELS
    assert torch.allclose(mended(wrong)(outputs, targets), right(outputs, targets), atol=1e-4)


def trained(loss_fn, model, inputs, targets, *, try_fix=False):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(30):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch.diagnose(batch=(inputs, targets), loss_fn=loss_fn, seconds=0.5, try_fix=try_fix)


@pytest.mark.slow
def test_a_softmax_within_the_loss_is_named_and_its_trial_mends_it():
    torch.manual_seed(0)
    inputs = torch.randn(64, 5, generator=DRAW)
    labels = (inputs[:, :3]).argmax(dim=1)
    verdict = trained(lambda o, y: cross_entropy(o.softmax(1), y), nn.Linear(5, 3), inputs, labels, try_fix=True)
    assert verdict.code == "wrong_loss"
    assert verdict.fixes[0].code == "logits"
    assert verdict.trial.helped
    assert verdict.trial.changed > 0.8  # of accuracy: the trial takes logarithms of the probabilities


def test_a_blank_among_the_labels_is_named():
    torch.manual_seed(0)

    def loss_fn(outputs, targets):
        return ctc_loss(likely(outputs), targets[0], targets[1], targets[2])

    verdict = trained(loss_fn, Reader(), SERIES, (TEXTS - 1, WHOLE, LENGTHS))
    assert verdict.code == "bad_targets"
    assert verdict.fixes[0].code == "own_blank"
    assert "blank" in str(verdict)


def test_the_rules_of_ctc():
    assert judge({"steps": 30.0, "samples_as_times": 1.0}).fixes[0].code == "times_first"
    assert judge({"steps": 30.0, "targets_too_long": 0.05, "nonfinite_step": 1.0}).fixes[0].code == "longer_outputs"
    assert judge({"steps": 30.0, "targets_too_long": 0.5}).code == "bad_targets"
    assert judge({"steps": 30.0, "targets_too_long": 0.05}).code != "bad_targets"
    assert [fix.code for fix in fixes_of("bad_targets", {})] == ["check_targets", "match_shapes"]


@pytest.mark.parametrize("within", [True, False])
def test_a_log_sigmoid_is_named_as_what_it_is(within):
    model = nn.Sequential(nn.Linear(5, 3), *([nn.LogSigmoid()] if within else []))
    loss_fn = nll_loss if within else lambda o, y: nll_loss(logsigmoid(o), y)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_fn(model(X), LABELS)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(X, LABELS), loss_fn=loss_fn, seconds=0.1)
    assert verdict.code == "wrong_loss"
    assert "log-sigmoid of each class" in verdict.text
    assert [fix.code for fix in verdict.fixes] == ["log_softmax"]


BINARY = torch.tensor([0.0, 1.0, 1.0, 0.0]).repeat(4)
SIGNED = [
    ("cosine", lambda o, y: functional.cosine_embedding_loss(o, o.roll(1, 0), y)),
    ("distance", lambda o, y: nn.HingeEmbeddingLoss()((o - 1).norm(dim=1), y)),
    ("ranking", lambda o, y: functional.margin_ranking_loss(o[:, 0], o[:, 1], y, margin=0.2)),
    ("ranking of two networks", lambda o, y: nn.MarginRankingLoss(0.2)(target=y, input1=o[:, 0], input2=o[:, 1])),
    ("soft margin", lambda o, y: nn.SoftMarginLoss()(o[:, 0], y)),
]


@pytest.mark.parametrize("loss_fn", [loss_fn for _, loss_fn in SIGNED], ids=[name for name, _ in SIGNED])
def test_labels_of_zero_for_a_loss_that_takes_minus_one(loss_fn):
    assert found(loss_fn, targets=BINARY) == {"targets_unread": 0.5}
    assert found(loss_fn, targets=2 * BINARY - 1) == {}
    assert found(lambda o, y: loss_fn(o, 2 * y - 1), targets=BINARY) == {}, "the loss itself makes −1 of 0"
    assert found(loss_fn, targets=torch.ones(16)) == {}, "no label of 0 says that there is a second class"


def test_zeros_and_ones_for_a_loss_that_takes_numbers_of_classes():
    hot = (torch.rand(16, 3, generator=DRAW) > 0.5).long()
    numbers = torch.tensor([[0, 2, -1], [1, -1, 0]]).repeat(8, 1)
    margin = nn.MultiLabelMarginLoss()
    assert found(margin, targets=hot) == {"targets_multi_hot": 1.0}
    assert found(margin, targets=numbers) == {}
    assert found(lambda o, y: functional.multilabel_soft_margin_loss(o, y.float()), targets=hot) == {}
    verdict = judge({"steps": 200.0, "targets_multi_hot": 1.0})
    assert (verdict.code, [fix.code for fix in verdict.fixes]) == ("wrong_loss", ["each_class"])

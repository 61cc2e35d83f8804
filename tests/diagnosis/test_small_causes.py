"""Terms that drown one another, steps that are rounded away, samples that pass alone."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.mixing import mixing_measures
from thalweg.diagnosis.measures.rounding import rounding_measures
from thalweg.diagnosis.measures.terms import Term, terms_measures, terms_now
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
INPUTS = torch.randn(24, 6, generator=DRAW)
LABELS = torch.arange(24) % 2
LEARNING = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.2, "falling": 0.3, "left": 0.2}
STUCK = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 1.0, "falling": 0.0, "left": 1.0}


def sgd(model, rate=0.1):
    return torch.optim.SGD(model.parameters(), lr=rate)


def in_two(pixels, *, in_place=False):
    """A loss of a class and of a place."""

    def loss_fn(outputs, targets):
        total = functional.cross_entropy(outputs[:, :2], targets[:, 0].long())
        place = functional.mse_loss(outputs[:, 2], pixels * targets[:, 1])
        if in_place:
            total += place
            return total / 2
        return 0.5 * (total + place)

    return loss_fn


BOTH = torch.stack([LABELS.float(), INPUTS[:, 0] + 1], dim=1)


def drowned(loss_fn, steps=150, targets=BOTH):
    return measured_terms(loss_fn, targets, steps=steps).get("drowned_term")


def measured_terms(loss_fn, targets, steps=0):
    torch.manual_seed(1)  # a start that has learned no label by chance
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model(INPUTS), targets).backward()
        optimizer.step()
    return terms_measures(Copy.of(model, optimizer, loss_fn), start, Batch(INPUTS, targets))


def test_a_penalty_drowns_no_term():
    """Without its factor its gradient is a thousand times as large; a critic at the balance has learned nothing."""

    def loss_fn(outputs, labels):
        loss = functional.cross_entropy(outputs, labels)
        return loss + 1e-3 * sum(1e3 * weights.square().sum() for weights in model.parameters())

    torch.manual_seed(1)
    model = nn.Linear(6, 2)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    model.weight.data *= 1e-3
    copied, batch = Copy.of(model, sgd(model), loss_fn), Batch(INPUTS, LABELS)
    fitted, *penalties = terms_now(copied, batch)
    assert fitted.is_idle(1.0)
    assert penalties
    assert "drowned_term" not in terms_measures(copied, start, batch)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_term_that_another_drowns(in_place):
    assert drowned(in_two(1e4, in_place=in_place), steps=0) < 0.01
    assert drowned(in_two(1.0, in_place=in_place), steps=0) > 0.01


def test_terms_that_learn_and_terms_without_targets():
    seen = torch.stack([(INPUTS[:, 1] > 0).float(), INPUTS[:, 0]], dim=1)
    assert drowned(in_two(1.0), targets=seen) is None

    def with_penalty(outputs, targets):
        return functional.mse_loss(outputs[:, 0], targets[:, 1]) + 1e-6 * outputs.square().mean()

    assert drowned(with_penalty, targets=seen) is None

    def as_a_whole(outputs, targets):
        return 1e4 * functional.mse_loss(outputs[:, 0], targets[:, 1]) + (outputs.mean() - targets.mean()).square()

    assert drowned(as_a_whole, targets=seen) is None
    assert drowned(lambda outputs, targets: functional.mse_loss(outputs[:, 0], targets[:, 1])) is None


@pytest.mark.parametrize("shared", [False, True])
def test_a_term_with_weights_of_its_own_is_not_drowned(shared):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.kind, self.place = (nn.Linear(6, n) for n in (6, 6, 2, 1))

        def forward(self, rows):
            first, second = self.first(rows).tanh(), self.second(rows).tanh()
            return torch.cat([self.kind(second), self.place(second if shared else first)], dim=1)

    torch.manual_seed(1)
    model = Both()
    found = terms_measures(Copy.of(model, sgd(model), in_two(1e4)), {}, Batch(INPUTS, BOTH))
    assert (found.get("drowned_term", 1.0) < 0.01) == shared


def test_the_verdict_on_a_drowned_term():
    assert judge(LEARNING | {"drowned_term": 1e-4}).code == "wrong_loss"
    assert judge(LEARNING | {"drowned_term": 0.2}).code == "healthy"
    assert judge(LEARNING | {"drowned_term": 1e-4, "steps": 60.0}).code == "healthy"
    large = judge(LEARNING | {"drowned_term": 1e-4, "drowning_targets": 300.0})
    assert large.code == "bad_targets"
    assert [fix.code for fix in large.fixes] == ["scale_targets", "balance_terms"]
    assert judge(LEARNING | {"drowned_term": 1e-4, "drowning_targets": 2.0}).code == "wrong_loss"


def test_numbers_that_drown_a_class():
    """Pixels in the targets, or a weight before the term: the verdicts differ, so must what is measured."""
    pixels = BOTH * torch.tensor([1.0, 300.0])
    found = measured_terms(in_two(1.0), pixels)
    assert found["drowned_term"] < 0.01
    assert found["drowning_targets"] == pytest.approx(float(pixels[:, 1].square().mean().sqrt()), rel=1e-5)
    assert measured_terms(in_two(1e4), BOTH)["drowning_targets"] < 10


def test_a_class_is_no_large_number():
    """Scores of classes drown a place: the number of a class says nothing of a scale."""

    def loss_fn(outputs, targets):
        kinds = functional.cross_entropy(1e5 * outputs[:, :2], targets[:, 0].long() // 50)
        return kinds + functional.mse_loss(outputs[:, 2], targets[:, 1])

    unseen = torch.stack([LABELS.float() * 50, torch.randn(len(INPUTS), generator=torch.Generator().manual_seed(9))], 1)
    found = measured_terms(loss_fn, unseen)
    assert found["drowned_term"] < 0.01
    assert "drowning_targets" not in found


def test_a_term_above_the_best_constant_has_learned_nothing():
    """Its own targets fit a little better than another sample's by chance, and worse than no answer at all."""
    assert Term(2.43, 2.50, 2.21).is_idle(2.3)
    assert not Term(2.13, 2.50, 2.21).is_idle(2.3)
    assert not Term(0.01, 2.43, 0.0).is_idle(2.3)  # an output scales it, to zero for a constant's
    assert not Term(2.43, 2.43, 2.21).is_idle(2.3)  # it takes no notice of whose the targets are
    torch.manual_seed(1)
    model = nn.Linear(6, 3)
    kind, place = terms_now(Copy.of(model, sgd(model), in_two(1.0)), Batch(INPUTS, BOTH))
    assert kind.constant == pytest.approx(math.log(2), rel=1e-3)
    assert place.constant == pytest.approx(float(BOTH[:, 1].var(correction=0)), rel=1e-3)


def lost(kind, rate):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 2)).to(kind)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    batch = Batch(INPUTS.to(kind), LABELS)
    pair = [
        Copy.of(model, optimizer, lambda outputs, labels: functional.cross_entropy(outputs.float(), labels))
        for _ in "ab"
    ]
    return rounding_measures(*pair, batch).get("rounded_away")


def test_steps_that_the_type_of_the_weights_rounds_away():
    assert lost(torch.bfloat16, 1e-5) > 0.9
    assert lost(torch.bfloat16, 1e-2) < 0.1
    assert lost(torch.float32, 1e-5) == 0
    assert judge(STUCK | {"rounded_away": 0.9}).code == "lr_too_small"
    assert judge(LEARNING | {"rounded_away": 0.9}).code == "healthy"
    assert [fix.code for fix in judge(STUCK | {"rounded_away": 0.9}).fixes] == ["wider_weights"]


class Weighed(nn.Module):
    """The mean of tokens, weighed by a softmax over them or over the batch."""

    def __init__(self, dim):
        super().__init__()
        self.weigh, self.out, self.dim = nn.Linear(4, 1), nn.Linear(4, 2), dim

    def forward(self, tokens):
        return self.out((self.weigh(tokens).softmax(self.dim) * tokens).sum(dim=1))


def apart(model, inputs, loss_fn=functional.cross_entropy):
    return mixing_measures(Copy.of(model, sgd(model), loss_fn), Batch(inputs, LABELS), 0.7)


def trained(model, inputs):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), LABELS).backward()
        optimizer.step()
    return model


def test_samples_that_get_another_answer_alone():
    tokens = torch.randn(24, 5, 4, generator=torch.Generator().manual_seed(0))
    tokens[:, 2, 0] += 4 * LABELS
    found = apart(trained(Weighed(0), tokens), tokens)
    assert found["samples_mixed"] > 0.9
    assert found["loss_apart"] > 0.1
    assert judge(LEARNING | found).code == "samples_mixed"
    assert "baseline 40% (> 10%)" in judge(LEARNING | found | {"loss_apart": 0.4}).explain()
    assert judge(LEARNING | found | {"loss_apart": 0.0}).code == "healthy"
    assert apart(trained(Weighed(1), tokens), tokens) == {"samples_mixed": 0.0}


class Tagger(nn.Module):
    """A kind for each token, which depends on the tokens around it; the first dimension counts tokens."""

    def __init__(self):
        super().__init__()
        self.table, self.both, self.out = nn.Embedding(4, 8), nn.GRU(8, 16, bidirectional=True), nn.Linear(32, 4)

    def forward(self, tokens):
        return self.out(self.both(self.table(tokens))[0])


def test_steps_of_a_sequence_belong_together():
    tokens = torch.randint(4, (20, 8), generator=torch.Generator().manual_seed(0))
    kinds = (tokens + tokens.roll(1, 0)) % 4
    torch.manual_seed(0)
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)

    def loss_fn(outputs, targets):
        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    for _ in range(60):
        optimizer.zero_grad()
        loss_fn(model(tokens), kinds).backward()
        optimizer.step()
    found = mixing_measures(Copy.of(model, optimizer, loss_fn), Batch(tokens, kinds), 1.4)
    assert found["samples_mixed"] > 0.1
    assert "loss_apart" not in found


def test_a_batch_of_one_that_the_network_does_not_take():
    class Centered(nn.Module):
        def forward(self, rows):
            if len(rows) < 2:
                raise ValueError("one row has no spread")
            return ((rows - rows.mean(dim=0)) / rows.std(dim=0))[:, :2]

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 3), Centered())
    assert list(apart(model, INPUTS)) == ["samples_mixed", "batch_as_time"]


def test_attention_over_the_batch_at_a_token_that_all_samples_share():
    class Read(nn.Module):
        def __init__(self, *, batch_first):
            super().__init__()
            self.table = nn.Embedding(9, 8)
            self.attend = nn.MultiheadAttention(8, 2, batch_first=batch_first)

        def forward(self, tokens):
            hidden = self.table(tokens)
            return self.attend(hidden, hidden, hidden, need_weights=False)[0][:, 0, :2]

    torch.manual_seed(0)
    tokens = torch.randint(1, 9, (24, 6), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = 0
    assert apart(Read(batch_first=False), tokens)["samples_mixed"] > 0.9
    assert apart(Read(batch_first=True), tokens) == {"samples_mixed": 0.0}


class Marked(nn.Module):
    """Read at a token of its own, as a ViT is."""

    def __init__(self, *, batch_first, blind=False):
        super().__init__()
        self.mark, self.norm = nn.Parameter(torch.zeros(1, 1, 8)), nn.Threshold(9.0, 0.0) if blind else nn.Identity()
        self.lift, self.out = nn.Linear(1, 8), nn.Linear(8, 2)
        self.attend = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)

    def forward(self, rows):
        hidden = self.lift(self.norm(rows)[..., None])
        return self.out(self.attend(torch.cat([self.mark.expand(len(rows), -1, -1), hidden], dim=1))[:, 0])


def test_attention_over_the_batch_that_no_output_shows():
    torch.manual_seed(0)
    found = apart(Marked(batch_first=False), INPUTS)
    assert found == {"mixed_within": 1.0}
    assert judge(STUCK | found | {"inputs_seen": 0.0}).code == "samples_mixed"
    assert judge(STUCK | {"mixed_within": 0.0, "inputs_seen": 0.0}).code == "inputs_ignored"
    assert apart(Marked(batch_first=True), INPUTS) == {"samples_mixed": 0.0}
    assert apart(Marked(batch_first=True, blind=True), INPUTS) == {"mixed_within": 0.0}


def test_time_first_where_as_many_steps_as_samples_are_turned():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRU(1, 4)

        def forward(self, rows):
            return 0 * self.cell(rows.T[..., None])[0][-1, :, :2]

    torch.manual_seed(0)
    square = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))
    assert apart(Turned(), square) == {"mixed_within": 0.0}


def test_inputs_most_of_which_are_the_same():
    unknown = torch.ones(24, 5, dtype=torch.long)
    unknown[:6] = torch.arange(30).reshape(6, 5)
    model = nn.Sequential(nn.Embedding(30, 4), nn.Flatten(), nn.Linear(20, 2))
    assert of_batch(model, functional.cross_entropy, [Batch(unknown, LABELS)])["inputs_repeated"] == 0.75
    assert of_batch(nn.Linear(6, 2), functional.cross_entropy, [Batch(INPUTS, LABELS)])["inputs_repeated"] == 1 / 24
    assert judge(STUCK | {"inputs_repeated": 0.75}).code == "bad_inputs"
    assert judge(STUCK | {"inputs_repeated": 0.75}).fixes[0].code == "check_inputs"
    assert judge(LEARNING | {"inputs_repeated": 0.75}).code == "healthy"

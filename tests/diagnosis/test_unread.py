"""Losses that leave a part of the outputs and of the targets unread, beside losses that only look like it."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, relu

import thalweg
from thalweg.diagnosis.measures.unread import unread_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy
from thalweg.probes.kept import Rows


class Twofold(nn.Module):
    """A trunk and two heads, whose outputs come in some form."""

    def __init__(self, form):
        super().__init__()
        self.trunk, self.colour, self.price = nn.Linear(6, 12), nn.Linear(12, 3), nn.Linear(12, 1)
        self.form = form

    def forward(self, x):
        hidden = relu(self.trunk(x))
        return self.form(self.colour(hidden), self.price(hidden), hidden)


def samples(count=32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=draw)
    return x, x[:, :3].argmax(dim=1), x[:, 3:].sum(dim=1)


def measured(model, loss_fn, *batches, rows=()):
    return unread_measures(Copy.of(model, torch.optim.SGD(model.parameters()), loss_fn), list(batches), rows)


x, colour, price = samples()
TABLE = torch.stack([colour.float(), price], dim=1)
FORMS = {  # of outputs; targets; how a loss takes both apart
    "columns": (lambda c, p, _: torch.cat([c, p], dim=1), TABLE, lambda o: (o[:, :3], o[:, 3]), lambda t: t.unbind(1)),
    "pairs": (lambda c, p, _: (c, p[:, 0]), (colour, price), lambda o: o, lambda t: t),
    "names": (
        lambda c, p, _: {"colour": c, "price": p[:, 0]},
        {"colour": colour, "price": price},
        lambda o: (o["colour"], o["price"]),
        lambda t: (t["colour"], t["price"]),
    ),
}


@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_a_term_that_another_overwrote(form, kept):
    form, targets, outputs_of, targets_of = FORMS[form]

    def terms(outputs, targets):
        (scores, sums), (classes, numbers) = outputs_of(outputs), targets_of(targets)
        return cross_entropy(scores, classes.long()), mse_loss(sums, numbers)

    model, batch = Twofold(form), Batch(x, targets)
    assert measured(model, lambda *given: sum(terms(*given)), batch) == {"part_unread": 0.0}
    assert measured(model, lambda *given: terms(*given)[kept], batch) == {"part_unread": 1.0}


def test_what_is_unread_for_a_good_reason():
    both, one = FORMS["columns"][0], Batch(x, TABLE)

    def first(outputs, targets):
        return cross_entropy(outputs[:, :3], targets[:, 0].long())

    # Numbers beside the targets that nobody predicts, such as the number of the sample.
    alone = Twofold(lambda c, _p, _h: c)
    assert measured(alone, first, one) == {"part_unread": 0.0}
    # Outputs that are read elsewhere, of which the targets know nothing.
    assert measured(Twofold(both), lambda o, t: cross_entropy(o[:, :3], t), Batch(x, colour)) == {"part_unread": 0.0}
    # Features that come along with the scores and have no weights of their own, beside numbers of samples.
    featured = Twofold(lambda c, _p, hidden: (c, hidden))
    pairs = Batch(x, (colour, torch.arange(len(x))))
    assert measured(featured, lambda o, t: cross_entropy(o[0], t[0]), pairs) == {"part_unread": 0.0}
    # A part that counts only where a mask says so, which is nowhere in this batch.
    masked = [
        Batch(given, torch.cat([TABLE, torch.full((32, 1), mask)], dim=1)) for given, mask in ((x, 0.0), (x, 1.0))
    ]

    def where_known(outputs, targets):
        return first(outputs, targets) + (targets[:, 2] * (outputs[:, 3] - targets[:, 1]).square()).mean()

    assert measured(Twofold(both), where_known, masked[0]) == {"part_unread": 1.0}
    assert measured(Twofold(both), where_known, *masked) == {"part_unread": 0.0}
    seen = Rows(None, torch.zeros(8, 4), 1.0, gradient=torch.ones(8, 4), step=1)
    assert measured(Twofold(both), where_known, masked[0], rows=[seen]) == {"part_unread": 0.0}


class Answer(dict):
    """As libraries return it: items that are attributes, too."""

    __getattr__ = dict.__getitem__


def test_outputs_of_one_part_and_losses_that_vary():
    answering = Twofold(lambda c, p, _: Answer(scores=c, price=p))
    assert measured(answering, lambda o, t: cross_entropy(o.scores, t), Batch(x, colour)) == {}
    assert measured(nn.Linear(6, 1), mse_loss, Batch(x, price[:, None])) == {}
    model = Twofold(FORMS["columns"][0])
    assert measured(model, lambda o, _: o[:, 0].mean() + float(next(COUNTS)), Batch(x, TABLE)) == {}


COUNTS = iter(range(1000))


@pytest.mark.parametrize("lost", [False, True])
def test_a_watched_training_that_lost_a_term(lost):
    torch.manual_seed(0)
    given, classes, numbers = samples(256, seed=1)
    model = Twofold(FORMS["columns"][0])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    targets = torch.stack([classes.float(), numbers], dim=1)

    def loss_fn(outputs, targets):
        loss = mse_loss(outputs[:, 3], targets[:, 1])
        term = cross_entropy(outputs[:, :3], targets[:, 0].long())
        return term if lost else loss + term

    with thalweg.watch(model, optimizer) as watch:
        for _ in range(12):
            for rows in torch.randperm(256).split(32):
                optimizer.zero_grad()
                loss = loss_fn(model(given[rows]), targets[rows])
                loss.backward()
                optimizer.step()
                watch.step(loss)
    verdict = watch.diagnose((given[:64], targets[:64]), loss_fn)
    assert (verdict.code == "untrained_parameters") == lost
    assert not lost or [fix.code for fix in verdict.fixes] == ["add_terms"]

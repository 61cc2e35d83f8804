"""A column of numbers that a network never uses, and that tells in which way its outputs are wrong."""

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.columns import column_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
USERS, FILMS = (torch.randint(20, (400,), generator=DRAW) for _ in range(2))
TASTE, FAME = (torch.randn(20, generator=DRAW) for _ in range(2))
NOISE = torch.randn(400, generator=DRAW)
RATINGS = TASTE[USERS] + FAME[FILMS] + NOISE
PAIRS = torch.stack([USERS, FILMS], dim=1)


class Factors(nn.Module):
    """Multiplies two embeddings, of which the second may be looked up with the user's number."""

    def __init__(self, *, typo):
        super().__init__()
        self.users, self.films = nn.Embedding(20, 4), nn.Embedding(20, 4)
        self.typo = typo

    def forward(self, users, films=None):
        if films is None:
            users, films = users.unbind(dim=1)
        return (self.users(users) * self.films(users if self.typo else films)).sum(dim=1)


def told(model, inputs=PAIRS, targets=RATINGS, loss_fn=mse_loss):
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return column_measures(copied, Batch(inputs, targets)).get("ignored_tells")


@pytest.mark.parametrize("inputs", [PAIRS, (USERS, FILMS)], ids=["a table", "two tensors"])
def test_a_film_that_is_looked_up_with_the_number_of_the_user(inputs):
    torch.manual_seed(0)
    assert told(Factors(typo=True), inputs) > 5
    assert told(Factors(typo=False), inputs) == 0
    yes = (RATINGS > 0).float()
    assert told(Factors(typo=True), inputs, yes, binary_cross_entropy_with_logits) > 5


def test_a_column_that_is_left_out_and_says_nothing_does_no_harm():
    assert told(Factors(typo=True), PAIRS, TASTE[USERS] + NOISE) < 5


def test_weights_that_are_zero_are_no_wiring():
    model = Factors(typo=False)
    nn.init.zeros_(model.users.weight)
    assert told(model) == 0


def test_what_is_not_asked():
    model = Factors(typo=True)
    assert told(model, PAIRS[:40], RATINGS[:40]) is None
    assert told(nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)), PAIRS.float()) is None
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), mse_loss)
    assert column_measures(copied, None) == {}


def test_the_verdict_has_the_fix_for_a_column():
    flat = {"steps": 300.0, "falling": 0.0, "left": 0.8, "loss_last": 1.2, "loss_constant": 1.3, "inputs_seen": 0.5}
    verdict = judge(flat | {"ignored_tells": 15.0})
    assert (verdict.code, [fix.code for fix in verdict.fixes]) == ("inputs_ignored", ["each_column"])
    assert judge(flat | {"ignored_tells": 1.0}).code != "inputs_ignored"

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


CODES = torch.randint(25, (600,), generator=DRAW)
RAIN = torch.randn(600, generator=DRAW)
YIELD = torch.randn(25, generator=DRAW)[CODES] + 0.5 * RAIN
TABLE = torch.stack([CODES.float(), RAIN], dim=1)


class Rounding(nn.Module):
    """Looks up what it is given as sizes."""

    def __init__(self):
        super().__init__()
        self.kinds, self.rain = nn.Embedding(25, 1), nn.Linear(1, 1)

    def forward(self, rows):
        return (self.kinds(rows[:, 0].long()) + self.rain(rows[:, 1:])).squeeze(1)


def sizes_told(model, inputs=TABLE, targets=YIELD, loss_fn=mse_loss):
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return column_measures(copied, Batch(inputs, targets)).get("names_tell")


def by_size(columns=2):
    """A network whose errors are nearly the targets."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(columns, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
    with torch.no_grad():
        model[2].weight.mul_(0.1)
    return model


def test_names_that_a_network_takes_for_sizes():
    assert sizes_told(by_size()) > 5
    over = (YIELD > 0).float()
    assert sizes_told(by_size(), TABLE, over, binary_cross_entropy_with_logits) > 5
    many = torch.cat([TABLE, torch.randn(600, 30, generator=DRAW)], dim=1)
    assert sizes_told(by_size(32), many) > 5
    assert sizes_told(Rounding()) is None, "it looks them up"


@pytest.mark.parametrize(
    "effect", [lambda n: n / 10, lambda n: (n / 4).sin(), lambda n: (n > 12).float()], ids=["slope", "wave", "step"]
)
def test_numbers_whose_neighbours_tell_the_same_are_sizes(effect):
    assert sizes_told(by_size(), TABLE, effect(CODES.float()) + 0.3 * RAIN) == 0


def test_names_that_tell_nothing_do_no_harm():
    noise = torch.randn(600, generator=DRAW)
    assert sizes_told(by_size(), TABLE, 0.5 * RAIN + noise) < 5


def test_what_can_be_no_names():
    assert sizes_told(by_size(), torch.stack([CODES + 0.5, RAIN], dim=1)) is None
    assert sizes_told(by_size(), torch.stack([torch.arange(600.0), RAIN], dim=1)) is None, "each sample has its own"
    assert sizes_told(by_size(), torch.stack([(CODES % 3).float(), RAIN], dim=1)) is None
    pixels = torch.randint(256, (600, 40), generator=DRAW).div(8, rounding_mode="floor").float()
    assert sizes_told(by_size(40), pixels) is None


def test_the_verdict_says_to_look_names_up():
    flat = {"steps": 300.0, "falling": 0.0, "left": 0.6, "loss_last": 0.7, "loss_constant": 1.0, "learns": 1.0}
    verdict = judge(flat | {"names_tell": 9.0})
    assert (verdict.code, [fix.code for fix in verdict.fixes]) == ("bad_inputs", ["look_up"])
    assert judge(flat | {"names_tell": 2.0}).code != "bad_inputs"
    assert judge(flat | {"names_tell": 9.0, "loss_last": 0.05}).code != "bad_inputs"

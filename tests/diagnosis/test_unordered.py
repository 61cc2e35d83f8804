"""Networks that see no order, asked for what depends on it and for what does not."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.unordered import unordered_measures
from thalweg.diagnosis.watching import watch
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


COUNT, LENGTH, WORDS = 400, 8, 10
WORDS_KT = torch.randint(WORDS, (COUNT, LENGTH), generator=torch.Generator().manual_seed(0))
POINTS_KTF = torch.randn(COUNT, LENGTH, 2, generator=torch.Generator().manual_seed(1))
TASKS = {
    "rises": lambda given: (given[:, : LENGTH // 2].sum(1) < given[:, LENGTH // 2 :].sum(1)).long(),
    "begins high": lambda given: (given[:, 0] > given.median()).long(),
    "is high": lambda given: (given.sum(1) > given.sum(1).median()).long(),
    "holds the most": lambda given: (given == given.max()).any(dim=1).long(),
}
BY_ORDER = {"rises", "begins high"}


class Attends(nn.Module):
    """Attention over words or points, with positions or without, read at its mean or at a class token."""

    def __init__(self, *, points=False, positions=False, token=False, outputs=2):
        super().__init__()
        self.begin = nn.Linear(2, 16) if points else nn.Embedding(WORDS, 16)
        self.places = nn.Parameter(torch.randn(LENGTH, 16)) if positions else None
        self.token = nn.Parameter(torch.randn(1, 1, 16)) if token else None
        self.mix, self.end = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), nn.Linear(16, outputs)

    def forward(self, given):
        states = self.begin(given)
        if self.places is not None:
            states = states + self.places
        if self.token is None:
            return self.end(self.mix(states).mean(dim=1))
        return self.end(self.mix(torch.cat([self.token.expand(len(given), -1, -1), states], dim=1))[:, 0])


def measured(model, inputs, targets, loss_fn=functional.cross_entropy):
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return unordered_measures(copied, Batch(inputs, targets))


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_what_depends_on_the_order_of_words(task, token):
    torch.manual_seed(0)
    targets = TASKS[task](WORDS_KT.float())
    found = measured(Attends(token=token), WORDS_KT, targets)
    assert (found["order_tells"] > 0.1) == (task in BY_ORDER)
    assert measured(Attends(token=token, positions=True), WORDS_KT, targets) == {}


@pytest.mark.parametrize("task", ["rises", "begins high", "is high"])
def test_what_depends_on_the_order_of_points(task):
    torch.manual_seed(0)
    found = measured(Attends(points=True), POINTS_KTF, TASKS[task](POINTS_KTF[..., 0]))
    assert (found["order_tells"] > 0.1) == (task in BY_ORDER)


def test_numbers_by_order():
    torch.manual_seed(0)
    slope = (WORDS_KT.float() @ torch.linspace(-1, 1, LENGTH))[:, None]
    assert measured(Attends(outputs=1), WORDS_KT, slope, functional.mse_loss)["order_tells"] > 0.5


def test_what_tells_nothing():
    torch.manual_seed(0)
    targets = TASKS["rises"](WORDS_KT.float())
    flat = nn.Sequential(nn.Embedding(WORDS, 4), nn.Flatten(), nn.Linear(4 * LENGTH, 2))
    assert measured(flat, WORDS_KT, targets) == {}  # it sees the order
    assert measured(Attends(), WORDS_KT[:40], targets[:40]) == {}
    assert measured(nn.Linear(LENGTH, 2), WORDS_KT.float(), targets) == {}  # a table
    same = Attends()
    nn.init.zeros_(same.end.weight)
    assert measured(same, WORDS_KT, targets) == {}  # all samples get one answer: another cause


def test_a_watched_training_is_told_to_add_positions():
    torch.manual_seed(0)
    model, targets = Attends(), TASKS["rises"](WORDS_KT.float())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as watching:
        for step in range(80):
            rows = torch.arange(64) + 64 * step
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(WORDS_KT[rows % COUNT]), targets[rows % COUNT])
            loss.backward()
            optimizer.step()
            watching.step(loss)
    verdict = watching.diagnose((WORDS_KT[:64], targets[:64]), functional.cross_entropy)
    assert verdict.code == "inputs_ignored"
    assert [fix.code for fix in verdict.fixes] == ["add_positions"]
    learning = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.5, "falling": 0.1, "left": 0.5}
    assert judge({**learning, "order_tells": 0.05}).code == "healthy"

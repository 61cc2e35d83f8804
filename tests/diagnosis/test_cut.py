"""A gradient that is cut between the steps of a sequence is told from gradients that are zero for other reasons."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from thalweg.diagnosis.edits import Edits
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.cut import cut_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


SEQUENCES = torch.randn(16, 12, 5, generator=torch.Generator().manual_seed(0))
WORDS = torch.randint(20, (16, 12), generator=torch.Generator().manual_seed(1))
ROWS = torch.randn(16, 1, 12, 5, generator=torch.Generator().manual_seed(2))
STUCK = {"steps": 300.0, "left": 0.9, "falling": 0.01, "loss_constant": 1.39, "loss_last": 1.25}


def kept(state):
    return state


def detached(state):
    return state.detach()


def through_numpy(state):
    return torch.tensor(state.detach().numpy())


def straight_through(state):
    return state + (state.sign() - state).detach()


class Steps(nn.Module):
    """A cell in a loop; what becomes of its state between the steps is given."""

    def __init__(self, between, *, words="", lstm=False, outputs="last", trained=True):
        super().__init__()
        torch.manual_seed(0)
        self.between, self.words, self.lstm, self.outputs, self.trained = between, words, lstm, outputs, trained
        self.table = nn.Embedding(20, 5)
        self.cell = (nn.LSTMCell if lstm else nn.GRUCell)(5, 16).requires_grad_(trained)
        self.out = nn.Linear(16 if trained else 21, 4)

    def forward(self, sequences, _lengths=None):
        sequences = sequences[:, 0] if sequences.ndim == 4 else sequences
        steps = self.table(sequences) if self.words == "at once" else sequences
        state, made = (torch.zeros(len(sequences), 16),) * 2, []
        for at in range(steps.shape[1]):
            step = self.table(sequences[:, at]) if self.words == "one by one" else steps[:, at]
            state = tuple(map(self.between, state))
            state = self.cell(step, state) if self.lstm else (self.cell(step, state[0]), state[1])
            made.append(state[0])
        if not self.trained:  # a reservoir: a readout of a state that nothing trains, and of the last step
            return self.out(torch.cat([state[0].detach(), steps[:, -1]], dim=1))
        return self.out(torch.stack(made, dim=1) if self.outputs == "all" else state[0])


def measured(model, inputs):
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    return cut_measures(copied, Batch(inputs, torch.zeros(16)))


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ({}, SEQUENCES),
        ({"lstm": True}, SEQUENCES),
        ({"outputs": "all"}, SEQUENCES),
        ({"words": "at once"}, WORDS),
        ({"words": "one by one"}, WORDS),
        ({}, ROWS),
        ({}, (SEQUENCES, torch.full((16,), 12))),
    ],
    ids=["numbers", "an LSTM", "an output for each step", "words", "words one by one", "rows", "lengths beside"],
)
def test_a_state_that_is_detached_at_every_step(given, inputs):
    assert measured(Steps(detached, **given), inputs) == {"steps_cut": pytest.approx(11 / 12)}
    assert measured(Steps(kept, **given), inputs) == {"steps_cut": 0.0}


@pytest.mark.parametrize(
    ("between", "cut"), [(through_numpy, True), (torch.no_grad()(torch.clone), True), (straight_through, False)]
)
def test_other_ways_between_the_steps(between, cut):
    assert (measured(Steps(between), SEQUENCES)["steps_cut"] > 0.9) == cut


class Every:
    """Detach the state before every fourth step."""

    def __init__(self):
        self.calls = 0

    def __call__(self, state):
        self.calls += 1
        return state.detach() if (self.calls - 1) // 2 % 4 == 0 else state


def test_a_truncation_that_is_meant():
    assert measured(Steps(Every(), outputs="all"), SEQUENCES) == {"steps_cut": 0.0}


class Maximum(nn.Module):
    """The largest of what each step gives: most steps of few samples have no gradient now, and move nothing now."""

    def __init__(self):
        super().__init__()
        self.each, self.out = nn.Linear(5, 2), nn.Linear(2, 3)

    def forward(self, sequences):
        return self.out(torch.stack([self.each(step).relu() for step in sequences.unbind(1)]).amax(dim=0))


class Views(nn.Module):
    """The first view of a sample is pulled to the others, through which no gradient flows."""

    def __init__(self):
        super().__init__()
        self.encoder, self.predictor = nn.Linear(5, 8), nn.Linear(8, 8)

    def forward(self, views):
        first, *others = map(self.encoder, views.unbind(1))
        return sum(1 - cosine_similarity(self.predictor(first), other.detach()) for other in others)


def test_gradients_that_are_zero_for_another_reason():
    assert measured(Maximum(), torch.randn(3, 60, 5, generator=torch.Generator().manual_seed(3))) == {"steps_cut": 0.0}
    assert measured(Views(), SEQUENCES[:, :4]) == {"steps_cut": 0.0}
    assert measured(Steps(kept, trained=False), SEQUENCES) == {"steps_cut": 0.0}
    assert measured(nn.Sequential(nn.Flatten(), nn.Linear(60, 4)), SEQUENCES) == {"steps_cut": 0.0}
    assert measured(Steps(lambda state: state * 0), SEQUENCES) == {"steps_cut": 0.0}
    assert measured(Steps(kept), torch.zeros(16, 12, 5)) == {"steps_cut": 0.0}


class Detaching(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(5, 4)

    def forward(self, sequences):
        state = torch.zeros(len(sequences), 4)
        for step in sequences.unbind(1):
            state = self.cell(step, state.detach())
        return state


def test_the_verdict_and_the_line_to_change():
    model = Detaching()
    verdict = judge(STUCK | measured(model, SEQUENCES))
    assert verdict.code == "vanishing_gradients"
    assert [fix.code for fix in verdict.fixes] == ["keep_gradient"]
    (fix,) = Edits(model, torch.optim.SGD(model.parameters(), lr=0.1)).added_to(verdict).fixes
    assert fix.line.startswith("test_cut.py:")
    assert fix.line.endswith(": remove `.detach()`.")
    assert judge(STUCK | {"steps_cut": 0.0}).code != "vanishing_gradients"
    assert judge(STUCK | {"steps_cut": 0.9, "loss_last": 0.3, "left": 0.2}).code != "vanishing_gradients"

"""What is measured on copies of a network: mixed samples, copied units, dropout, and how far back it sees."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.dropout import dropout_measures
from thalweg.diagnosis.measures.frozen import frozen_measures
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.ignored import ignored_measures
from thalweg.diagnosis.measures.mixing import mixing_of
from thalweg.diagnosis.measures.sequence import sequence_measures
from thalweg.diagnosis.measures.symmetry import symmetry_of
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy
from thalweg.probes.dropout import WithoutDropout


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(modules)

    def forward(self, inputs):
        return self.function(inputs, *self.parts)


def attention(*, batch_first):
    layer = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    return Function(lambda x, layer: layer(x, x, x)[0].mean(dim=1), layer)


def last_of(recurrent, reshape):
    return Function(lambda x, rnn: rnn(reshape(x))[0][-1], recurrent)


PICTURES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = PICTURES[:, 0]
TOKENS = torch.randint(20, (12, 6), generator=torch.Generator().manual_seed(0))

APART = {
    "convolution, norm, dropout": (
        nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 5)
        ),
        PICTURES,
    ),
    "attention over positions": (attention(batch_first=True), ROWS),
    "tokens": (nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 3)), TOKENS),
    "transposed for an LSTM": (last_of(nn.LSTM(8, 5), lambda x: x.transpose(0, 1)), ROWS),
}
MIXED = {
    "attention over the batch": (attention(batch_first=False), ROWS),
    "view in place of transpose": (last_of(nn.LSTM(8, 5), lambda x: x.reshape(8, 12, 8)), ROWS),
    "statistics of the batch": (Function(lambda x: x.flatten(1) - x.flatten(1).mean(dim=0)), PICTURES),
    "softmax over the batch": (nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Softmax(dim=0)), PICTURES),
    "tokens, view": (
        Function(lambda x, table: table(x).transpose(0, 1).reshape(12, -1), nn.Embedding(20, 4)),
        TOKENS,
    ),
}


@pytest.mark.parametrize("name", APART)
def test_samples_that_are_apart_are_not_called_mixed(name):
    model, inputs = APART[name]
    assert mixing_of(model.train(), Batch(inputs, torch.zeros(12))) == {"samples_mixed": 0.0}


@pytest.mark.parametrize("name", MIXED)
def test_samples_that_are_mixed_are_counted(name):
    model, inputs = MIXED[name]
    assert mixing_of(model, Batch(inputs, torch.zeros(12)))["samples_mixed"] > 0.05


def test_samples_that_are_all_alike_tell_nothing():
    assert mixing_of(nn.Linear(4, 2), Batch(torch.ones(8, 4), torch.zeros(8))) == {}


def trained(model, optimizer, steps=40):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(64, 8, generator=generator)
    labels = (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch, inputs, labels


def network(*, fill=None, p=0.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(p), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))
    for parameter in model.parameters():
        if fill is not None:
            nn.init.constant_(parameter, fill if parameter.ndim > 1 else 0.0)
    return model


@pytest.mark.parametrize(("fill", "share"), [(None, 0.0), (0.1, 1.0), (0.0, 1.0)])
def test_units_that_start_equal_stay_equal_and_others_do_not(fill, share):
    model = network(fill=fill)
    trained(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert symmetry_of(model)["twin_units"] == share


def test_a_last_layer_that_starts_at_zero_is_no_symmetry():
    model = network()
    nn.init.zeros_(model[-1].weight)
    trained(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert symmetry_of(model)["twin_units"] == 0


def test_rows_of_an_embedding_are_no_units():
    table = nn.Embedding(50, 8)
    nn.init.zeros_(table.weight)
    assert symmetry_of(table) == {}


@pytest.mark.parametrize(
    "dropped", [nn.Dropout(0.9), nn.AlphaDropout(0.9), lambda x: functional.dropout(x, 0.9), nn.Dropout1d(0.9)]
)
def test_without_dropout_every_kind_lets_all_pass(dropped):
    values = torch.randn(6, 4, 5)
    with WithoutDropout():
        assert torch.equal(dropped(values), values)


@pytest.mark.parametrize(("p", "hurts"), [(0.95, True), (0.1, False)])
def test_dropout_is_measured_by_doing_without_it(p, hurts):
    model = network(p=p)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    _, inputs, labels = trained(model, optimizer)
    before = [parameter.clone() for parameter in model.parameters()]
    found = dropout_measures(Gains(model, optimizer, cross_entropy, [Batch(inputs, labels)], scale=1.0))
    assert (found["gain_no_dropout_more"] > 0.2) == hurts
    assert ("gain_lower_rate_more" in found) == hurts
    assert found.get("gain_lower_rate_more", 0.0) < 0.2  # at no rate does it learn with so much dropout
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_a_rate_at_which_little_dropout_is_too_much():
    torch.manual_seed(1)
    widths = zip((8, *[64] * 3), [64] * 4, strict=True)
    layers = [part for pair in widths for part in (nn.Linear(*pair), nn.ReLU(), nn.Dropout(0.3))]
    model = nn.Sequential(*layers, nn.Linear(64, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    _, inputs, labels = trained(model, optimizer)
    found = dropout_measures(Gains(model, optimizer, cross_entropy, [Batch(inputs, labels)], scale=1.0, seconds=60.0))
    assert found["gain_no_dropout_more"] > 0.2
    assert found["gain_lower_rate_more"] > 0.5
    stuck = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 1.0, "falling": 0.0, "left": 1.0}
    assert judge(stuck | found).code == "lr_too_large"
    for other in ({}, {"gain_lower_rate_more": 0.1}):
        assert judge(stuck | {"gain_no_dropout_more": 0.9} | other).code == "dropout_too_strong"


@pytest.mark.parametrize(("cell", "length", "blind"), [(nn.RNN, 100, True), (nn.RNN, 10, False), (nn.GRU, 10, False)])
def test_a_recurrent_network_forgets_what_is_long_ago(cell, length, blind):
    torch.manual_seed(0)
    model = Function(lambda x, rnn, last: last(rnn(x)[0][:, -1]), cell(4, 16, batch_first=True), nn.Linear(16, 3))
    batch = Batch(torch.randn(8, length, 4), torch.arange(8) % 3)
    assert (sequence_measures(model, cross_entropy, batch)["sequence_gradient"] < 1e-4) == blind


def test_without_a_sequence_nothing_is_said_of_it():
    assert sequence_measures(nn.Linear(4, 3), cross_entropy, Batch(torch.randn(8, 4), torch.arange(8) % 3)) == {}


@pytest.mark.slow
def test_a_training_in_evaluation_mode_is_named_only_where_the_mode_matters():
    for p, code in ((0.5, "wrong_mode"), (0.0, "healthy")):
        model = network(p=p).eval()
        watch, inputs, labels = trained(model, torch.optim.Adam(model.parameters(), lr=1e-2))
        assert watch.diagnose(batch=(inputs, labels), loss_fn=cross_entropy).code == code


LAYERS = {
    "linear": lambda: nn.Linear(30, 40),
    "convolution": lambda: nn.Conv2d(8, 16, 3),
    "convolution of sequences": lambda: nn.Conv1d(16, 8, 5),
    "LSTM": lambda: nn.LSTM(8, 16),
    "embedding": lambda: nn.Embedding(50, 16),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_frozen_weights_are_told_from_trained_ones_by_their_distribution(kind):
    for seed in range(20):
        torch.manual_seed(seed)
        model = LAYERS[kind]().requires_grad_(False)
        assert frozen_measures(model)["frozen_at_random"] > 0.9
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.8 * weight.std() * torch.randn_like(weight))  # as a training moves them
        assert frozen_measures(model)["frozen_at_random"] < 0.1
    assert frozen_measures(LAYERS[kind]()) == {}


def test_a_matrix_over_the_samples_is_meant_to_mix_them():
    """A graph network relates its nodes by design; the same mixing without such a matrix is a fault."""
    graph = Function(lambda x, linear: linear.mean_NN @ linear(x), nn.Linear(8, 4))
    graph.parts[0].register_buffer("mean_NN", torch.rand(12, 12).softmax(dim=1))
    nodes = torch.randn(12, 8)
    assert mixing_of(graph, Batch(nodes, torch.zeros(12))) == {}
    assert mixing_of(Function(lambda x: x - x.mean(dim=0)), Batch(nodes, torch.zeros(12)))["samples_mixed"] == 1.0


LINKS = torch.rand(12, 12, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
ENDS = torch.randint(12, (2, 40), generator=torch.Generator().manual_seed(0))
GRAPHS = {
    "a matrix": lambda x: LINKS @ x,
    "a sparse matrix": lambda x: torch.sparse.mm(LINKS.to_sparse(), x),
    "one of a list": lambda x: torch.einsum("nm,mf->nf", LINKS, x),
    "edges": lambda x: torch.zeros_like(x).index_add(0, ENDS[0], x[ENDS[1]]),
    "edges by name": lambda x: torch.zeros_like(x).index_add_(dim=0, index=ENDS[0], source=x[ENDS[1]]),
    "scattered edges": lambda x: torch.zeros_like(x).scatter_add_(0, ENDS[:1].T.expand(40, 4), x[ENDS[1]]),
}
MISTAKES = {
    "attention": lambda x: (x @ x.T).softmax(dim=1) @ x,
    "a softmax": lambda x: x.softmax(dim=0),
    "a view": lambda x: x.reshape(4, 12).T,
    "steps as many as samples": lambda x: (LINKS @ x[:, None].expand(12, 12, 4).cumsum(0))[:, -1],
    "sums of as many": lambda x: torch.zeros_like(x).index_add(0, torch.arange(12).flip(0), x),
}


@pytest.mark.parametrize("way", GRAPHS)
def test_a_graph_from_anywhere_is_meant_to_mix(way):
    """It depends on neither inputs nor weights, though no module holds it."""
    model = Function(lambda x, linear: GRAPHS[way](linear(x)), nn.Linear(8, 4))
    assert mixing_of(model, Batch(torch.randn(12, 8), torch.zeros(12))) == {}


@pytest.mark.parametrize("way", MISTAKES)
def test_what_needs_no_graph_is_not_meant_to_mix(way):
    model = Function(lambda x, linear: MISTAKES[way](linear(x)), nn.Linear(8, 4))
    assert mixing_of(model, Batch(torch.randn(12, 8), torch.zeros(12)))["samples_mixed"] > 0


class Reader(nn.Module):
    """Reads words, 0 for padding, and answers from its last state, or from that at the last word."""

    def __init__(self, *, packed):
        super().__init__()
        self.table, self.cell, self.last = nn.Embedding(30, 8), nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 3)
        self.packed = packed

    def forward(self, words_NT):
        words_NTF = self.table(words_NT)
        if self.packed:
            lengths_N = (words_NT != 0).sum(dim=1)
            words = pack_padded_sequence(words_NTF, lengths_N, batch_first=True, enforce_sorted=False)
            return self.last(self.cell(words)[1][0][-1])
        return self.last(self.cell(words_NTF)[0][:, -1])


def texts(padding, *, front=False):
    words_NT = torch.randint(1, 30, (24, 8), generator=torch.Generator().manual_seed(0))
    words_NT = words_NT.where(torch.arange(8) < torch.arange(24)[:, None] % 4 + 5, 0)
    padded_NT = nn.functional.pad(words_NT, (0, padding))
    return padded_NT.flip(1) if front else padded_NT


@pytest.mark.parametrize(
    ("padding", "front", "packed", "forgotten"),
    [(120, False, False, 1.0), (2, False, False, 0.0), (120, True, False, None), (120, False, True, None)],
    ids=["long", "short", "at the front", "packed"],
)
def test_padding_over_which_all_is_forgotten(padding, front, packed, forgotten):
    torch.manual_seed(0)
    model, batch = Reader(packed=packed), Batch(texts(padding, front=front), torch.arange(24) % 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    found = sequence_measures(model, cross_entropy, batch)
    assert found.get("forgotten_in_padding") == forgotten
    found |= ignored_measures(Copy.of(model, optimizer, cross_entropy), batch)
    verdict = judge({"steps": 100.0, "to_constant": 1.0, "left": 1.0, "falling": 0.0, **found})
    assert ("padding" in verdict.text) == bool(forgotten)
    if forgotten:
        assert verdict.code == "vanishing_gradients"
        assert [fix.code for fix in verdict.fixes] == ["last_word"]

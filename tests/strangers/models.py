"""Models as strangers write them: compiled, lazy, sparse, tied, scripted, and with a memory of their own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from strangers.training import batch, case, classifier, plain, sgd


def siamese():
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))

        def forward(self, left, right):
            return (self.branch(left) - self.branch(right)).square().sum(dim=1)

    def pairs_of(number=0):
        left, right = batch(number)[0], batch(number + 100)[0]
        return (left, right), (left[:, 0] > right[:, 0]).float()

    model = Twins()
    return plain(model, sgd(model, lr=1e-3), loss_fn=mse_loss, data=pairs_of, forward=lambda both: model(*both))


def packed():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells, self.head = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, sequences):
            return self.head(self.cells(sequences)[1][-1])

    def sequences(number=0):
        inputs, labels = batch(number)
        return pack_padded_sequence(inputs.reshape(16, 2, 3), [2] * 9 + [1] * 7, batch_first=True), labels

    model = Reader()
    return plain(model, torch.optim.Adam(model.parameters(), lr=1e-2), data=sequences)


def compiled():
    model = torch.compile(classifier(), backend="eager")
    return plain(model, sgd(model), missing=("dead_units",))


def compiled_in_place():
    model = classifier()
    model.compile(backend="aot_eager")
    return plain(model, sgd(model), missing=("dead_units",))


def compiled_in_part():
    model = classifier()
    model[4] = torch.compile(model[4], backend="eager", fullgraph=True)
    return plain(model, sgd(model), missing=("dead_units",))


def parametrized():
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), parametrizations.spectral_norm(nn.Linear(8, 3))
    )
    return plain(model, sgd(model))


def weight_norm_of_old():
    with pytest.warns(FutureWarning, match="deprecated"):
        model = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))
    return plain(model, sgd(model))


def lazy():
    model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    return plain(model, sgd(model))


class Words(nn.Module):
    def __init__(self, *, sparse=True):
        super().__init__()
        self.table, self.head = nn.EmbeddingBag(20, 5, sparse=sparse), nn.Linear(5, 3)

    def forward(self, words):
        return self.head(self.table(words))


def words(number=0):
    inputs, labels = batch(number)
    return (inputs * 5).long().clamp(-9, 9) + 10, labels


def sparse():
    model = Words()
    return plain(model, sgd(model, momentum=0), data=words, missing=("cosine", "gradient_weight_cosine"))


def sparse_and_dense():
    """Two optimizers over one model, and a watch of each."""
    model = Words()
    of_table = torch.optim.SparseAdam(list(model.table.parameters()), lr=1e-2)
    of_head = torch.optim.Adam(model.head.parameters(), lr=1e-2)

    def step(number):
        inputs, labels = words(number)
        of_table.zero_grad()
        of_head.zero_grad()
        loss = cross_entropy(model(inputs), labels)
        loss.backward()
        of_table.step()
        of_head.step()
        return [loss, loss]

    missing = ("cosine", "gradient_weight_cosine", "uncleared")
    return case([(model, of_table), (model, of_head)], step, given=words(), missing=missing)


def tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 6)
            self.last.weight = self.first.weight

        def forward(self, inputs):
            return self.last(self.first(inputs).relu())

    model = Tied()
    return plain(model, sgd(model, lr=1e-2), loss_fn=mse_loss, data=lambda number=0: (batch(number)[0],) * 2)


def data_parallel():
    model = nn.DataParallel(classifier())
    return plain(model, sgd(model))


def frozen():
    model = classifier()
    model[0].requires_grad_(False)
    return plain(model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2))


def complex_numbers():
    class Waves(nn.Module):
        def __init__(self):
            super().__init__()
            self.filter, self.head = nn.Parameter(torch.randn(4, dtype=torch.complex64)), nn.Linear(6, 3)

        def forward(self, inputs):
            return self.head(torch.fft.irfft(torch.fft.rfft(inputs) * self.filter, n=6))

    model = Waves()
    return plain(model, torch.optim.Adam(model.parameters(), lr=1e-2))


def keeps_its_last_features():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = nn.Linear(6, 3), {}

        def forward(self, inputs):
            self.seen["outputs"] = self.layer(inputs)
            return self.seen["outputs"]

    model = Keeps()
    return plain(model, sgd(model))


def scripted():
    with pytest.warns(DeprecationWarning, match="deprecated"):
        model = torch.jit.script(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    return plain(model, sgd(model), missing=("dead_units",))


DRAWS = np.random.default_rng(3)


def draws_from_its_own_generators():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)
            self.torch_draws, self.numpy_draws = torch.Generator().manual_seed(1), np.random.default_rng(2)

        def forward(self, inputs):
            noise = torch.randn(inputs.shape, generator=self.torch_draws) + self.numpy_draws.normal() + DRAWS.normal()
            return self.layer(inputs + 0.1 * noise)

    DRAWS.bit_generator.state = np.random.default_rng(3).bit_generator.state
    model = Noisy()
    return plain(model, sgd(model), also=[lambda: (DRAWS.bit_generator.state["state"], model.torch_draws.get_state())])


def checkpointed():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2)), nn.Linear(8, 3)

        def forward(self, inputs):
            return self.head(checkpoint(self.body, inputs, use_reentrant=False))

    model = Checkpointed()
    return plain(model, sgd(model))


CASES = {
    make.__name__.replace("_", " "): make
    for make in (
        siamese,
        packed,
        compiled,
        compiled_in_place,
        compiled_in_part,
        parametrized,
        weight_norm_of_old,
        lazy,
        sparse,
        sparse_and_dense,
        tied,
        data_parallel,
        frozen,
        complex_numbers,
        keeps_its_last_features,
        scripted,
        draws_from_its_own_generators,
        checkpointed,
    )
}

"""A search leaves no trace: weights, buffers, modes, gradients, random states, and the order of the data."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, RandomSampler, Sampler, TensorDataset

from thalweg.probes.copies import generators_in, own_randomness
from thalweg.rate import find_lr


INPUTS = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
LABELS = INPUTS.argmax(1)


def network():
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 6))
    model[3].eval()  # a mode of its own, as a fine-tuning may set it
    return model


def search(model, loader, **options):
    return find_lr(model, torch.optim.Adam, loader, cross_entropy, **options)


def random_numbers():
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002 - the global ones are meant


def seed_all():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global one is meant
    torch.manual_seed(1)


def test_the_model_is_as_it_was_bit_by_bit():
    model = network()
    cross_entropy(model(INPUTS), LABELS).backward()
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.step()
    before = copy.deepcopy(model.state_dict())
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    identities = [id(parameter.grad) for parameter in model.parameters()]
    modes = [module.training for module in model.modules()]
    kept = copy.deepcopy(optimizer.state_dict())
    assert search(model, DataLoader(TensorDataset(INPUTS, LABELS), 20, shuffle=True)).usable
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert [id(parameter.grad) for parameter in model.parameters()] == identities
    assert [module.training for module in model.modules()] == modes
    now = optimizer.state_dict()
    assert now["param_groups"] == kept["param_groups"]
    assert all(torch.equal(now["state"][k]["exp_avg"], kept["state"][k]["exp_avg"]) for k in now["state"])


def test_random_states_are_as_they_were_even_when_it_fails():
    model = network()
    seed_all()
    expected = random_numbers()
    seed_all()
    search(model, DataLoader(TensorDataset(INPUTS, LABELS), 20, shuffle=True))
    assert random_numbers() == expected
    seed_all()
    with pytest.raises(ZeroDivisionError):
        find_lr(model, torch.optim.Adam, [INPUTS], lambda output, _: output.sum() / (1 // int(0 * random.random())))
    assert random_numbers() == expected


class Counting(Sampler):
    """Counts its epochs, and begins each elsewhere."""

    def __init__(self):
        self.epoch = 0

    def __iter__(self):
        self.epoch += 1
        return iter(torch.arange(200).roll(self.epoch).tolist())

    def __len__(self):
        return 200


class Noisy(Dataset):
    """Draws its augmentation from its own generators."""

    def __init__(self):
        self.random = np.random.default_rng(3)
        self.settings = {"flips": [torch.Generator().manual_seed(4), random.Random(5)]}

    def __len__(self):
        return 200

    def __getitem__(self, index):
        flip, python = self.settings["flips"]
        shift = self.random.normal() + float(torch.rand(1, generator=flip)) + python.random()
        return INPUTS[index] + 0.01 * shift, LABELS[index]


def loaders():
    pairs = TensorDataset(INPUTS, LABELS)
    generator = torch.Generator().manual_seed(7)
    yield "a generator of its own", DataLoader(pairs, 20, shuffle=True, generator=generator)
    yield "of its sampler", DataLoader(pairs, 20, sampler=RandomSampler(pairs, generator=generator))
    yield "a sampler that counts", DataLoader(pairs, 20, sampler=Counting())
    yield "a data set with generators", DataLoader(Noisy(), 20)
    python = random.Random(1)
    order = [(INPUTS[start : start + 20], LABELS[start : start + 20]) for start in range(0, 200, 20)]
    yield "a function that shuffles", lambda: python.sample(order, len(order))


@pytest.mark.parametrize("which", range(5), ids=[name for name, _ in loaders()])
def test_the_order_of_the_data_is_as_if_nothing_had_been_taken(which):
    def epochs(*, with_search):
        _, loader = list(loaders())[which]
        model = network()
        seed_all()
        once = list(loader() if callable(loader) else loader)
        if with_search:
            search(model, loader)
        return once + list(loader() if callable(loader) else loader)

    for (x, y), (expected_x, expected_y) in zip(epochs(with_search=True), epochs(with_search=False), strict=True):
        assert torch.equal(x, expected_x)
        assert torch.equal(y, expected_y)


def test_a_training_with_a_search_in_its_middle_is_the_training_without():
    def trained(*, with_search):
        seed_all()
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        loader = DataLoader(TensorDataset(INPUTS, LABELS), 20, shuffle=True)
        for epoch in range(3):
            for x, y in loader:
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
            if with_search and epoch == 0:
                search(model, loader)
        return model.state_dict()

    alone, searched = trained(with_search=False), trained(with_search=True)
    assert all(torch.equal(searched[name], alone[name]) for name in alone)


@pytest.mark.slow
def test_the_same_seed_finds_the_same():
    model, loader = network(), DataLoader(TensorDataset(INPUTS, LABELS), 20, shuffle=True)
    first = search(model, loader, seed=3)
    torch.rand(5)
    assert search(model, loader, seed=3) == first
    assert search(model, loader, seed=4) != first


def test_inside_no_grad_it_still_trains():
    with torch.no_grad():
        assert search(network(), DataLoader(TensorDataset(INPUTS, LABELS), 20, shuffle=True)).usable


def test_generators_are_found_where_they_hide():
    generator, python = np.random.default_rng(0), random.Random(0)

    def closed_over():
        return generator.normal()

    found = generators_in({"a": [closed_over], "b": python.random})
    assert {id(thing) for thing in found} == {id(generator), id(python)}


def test_own_randomness_is_seeded():
    with own_randomness(5):
        first = random_numbers()
    with own_randomness(5):
        assert random_numbers() == first

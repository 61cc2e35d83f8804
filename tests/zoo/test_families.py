"""Programs of families that no threshold was chosen on: healthy, each learns."""

import pytest
import torch

from thalweg.diagnosis import CODES
from thalweg.diagnosis.zoo.families.program import load_families
from thalweg.diagnosis.zoo.mutations import MUTATIONS
from thalweg.diagnosis.zoo.running import train_watched


FAMILIES = load_families()
QUICK = {"embedding_bag"}


def test_there_are_fourteen_families():
    assert len(FAMILIES) >= 14


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(FAMILIES)]
)
def test_a_healthy_program_learns_what_a_constant_predictor_does_not(name):
    """A recurrent network may stay on its first plateau by chance, which is another on another processor."""
    assert any(learns(FAMILIES[name](seed)) for seed in (3, 4))


def learns(program):
    before = program.held_out()
    train_watched(program.training())
    return program.held_out() > max(0.5, before + 0.3)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_program_is_a_pure_function_of_its_seed(name):
    first, second, other = (FAMILIES[name](seed) for seed in (1, 1, 2))
    for one, two in zip(first.training().batch(4), second.training().batch(4), strict=True):
        assert torch.equal(one, two)
    weights, same, different = (
        torch.cat([part.flatten() for part in program.model.parameters()]) for program in (first, second, other)
    )
    assert torch.equal(weights, same)
    assert not torch.equal(weights, different)


def _state(program):
    training = program.training()
    torch.manual_seed(0)
    (inputs, targets), others = training.batch(0), training.batch(1)
    groups = [
        {**{key: value for key, value in group.items() if key != "params"}, "count": len(group["params"])}
        for group in training.optimizer.param_groups
    ]
    trained = [parameter.requires_grad for parameter in program.model.parameters()]
    flags = (training.steps, training.clear, training.clip, training.evaluating)
    loop = (training.stepped is None, training.rate_at is None, program.loss_fn, repr(program.model))
    return [repr(program.model(inputs)), repr(inputs), repr(targets), repr(others), groups, trained, flags, loop]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_mutation_changes_its_program(name):
    mutation = MUTATIONS[name]
    assert set(mutation.truth) <= set(CODES)
    families = [family for family in sorted(FAMILIES) if mutation.applies(FAMILIES[family](0))]
    assert families
    for family in families[:1]:
        healthy, faulty = FAMILIES[family](0), FAMILIES[family](0)
        assert _state(healthy) == _state(FAMILIES[family](0))
        mutation.inject(faulty)
        assert _state(healthy) != _state(faulty)

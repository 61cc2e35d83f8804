"""Silent errors are named within twenty steps, without a run that is right to compare with.

benchmarks/README.md lists the others of OrderLab's, with what is said of them.
"""

import pytest
import torch

import thalweg
from strangers.silent_errors import CASES, STEPS


NAMED = (
    "frozen but for the norms",
    "gradients are never cleared",
    "dropout in every mode",
    "optimizer made before the wrapper",
    "gradients of a replica",
    "recorded without gradients",
)
NAMED_BY_THE_HISTORY = tuple(name for name in NAMED if name != "dropout in every mode")  # it takes an evaluation
NO_BLAME = {"healthy", "converged", "unsure", "too_few_steps"}


def watched(name):
    torch.manual_seed(0)
    made = CASES[name]()
    with thalweg.watch(made.model, made.optimizer) as watch:
        for number in range(STEPS):
            watch.step(made.step(number))
    return made, watch


@pytest.mark.parametrize("name", NAMED_BY_THE_HISTORY)
def test_the_history_alone_names_the_cause(name):
    made, watch = watched(name)
    assert watch.diagnose().code in made.truth


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_the_first_verdict_names_the_cause(name):
    made, watch = watched(name)
    batches = [made.data(number) for number in range(STEPS - 4, STEPS)]
    assert watch.diagnose(batch=batches, loss_fn=made.loss_fn).code in made.truth


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, make in CASES.items() if not make().truth])
def test_nothing_is_blamed_where_the_program_says_nothing_of_its_fault(name):
    made, watch = watched(name)
    batches = [made.data(number) for number in range(STEPS - 4, STEPS)]
    assert watch.diagnose(batch=batches, loss_fn=made.loss_fn).code in NO_BLAME


@pytest.mark.parametrize(
    ("name", "still", "from_step"),
    [("recorded without gradients", 0, 4), ("encoder that is a transpose", 1, 0), ("frozen but for the norms", 0, 0)],
)
def test_the_weights_of_a_case_stop(name, still, from_step):
    torch.manual_seed(0)
    made = CASES[name]()
    for number in range(STEPS):
        if number == from_step:
            before = made.model[still].weight.detach().clone()
        assert made.step(number).isfinite()
    assert torch.equal(made.model[still].weight, before)


def test_workers_of_one_seed_give_two_batches_in_all():
    data = CASES["drawn by workers of one seed"]().data
    assert len({tuple(data(step)[0].flatten().tolist()) for step in range(STEPS)}) == 2

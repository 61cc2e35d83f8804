"""A watched training is the training, to the last bit, whatever loop and model, and a diagnosis can be asked for.

The table in docs/watch.md says what is measured in each case; each row has its cases in tests/strangers.
"""

import copy
import math
import random
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import thalweg
from strangers import loops, models
from strangers.training import MIDDLE, STEPS
from thalweg.probes.step import STEP_UNITS


CASES = loops.CASES | models.CASES
SLOW = {"compiled in place", "compiled in part"}  # the compiler takes seconds


def run(make, *, watched):
    """Train; return the case, its state at the end, the watches and the verdict of the middle."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - strangers draw from it
    made = make()
    verdict = None
    with ExitStack() as stack:
        watches = [stack.enter_context(thalweg.watch(*pair)) for pair in made.pairs] if watched else []
        for number in range(STEPS):
            for watch, loss in zip(watches, made.step(number), strict=watched):
                watch.step(loss)
            if watched and number == MIDDLE:
                verdict = watches[0].diagnose(batch=made.given, loss_fn=made.loss_fn, seconds=0.01)
    return SimpleNamespace(made=made, state=state_of(made), watches=watches, verdict=verdict)


def state_of(made):
    parts = [torch.get_rng_state(), random.getstate(), np.random.get_state()[1]]  # noqa: NPY002
    parts += [thing() for thing in made.also]
    for model, optimizer in made.pairs:
        parts += [model.state_dict(), [p.grad for p in model.parameters()], [m.training for m in model.modules()]]
        parts += [getattr(optimizer, "optimizer", optimizer).state_dict()]
    return copy.deepcopy(list(leaves(parts)))


def leaves(part):
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            yield from leaves(inner)
    else:
        yield part.detach().to_dense() if isinstance(part, torch.Tensor) else part


def same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    return np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own compiler asks for it
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES])
def test_the_watched_training_is_the_training(name):
    unwatched, watched = run(CASES[name], watched=False), run(CASES[name], watched=True)
    assert len(unwatched.state) == len(watched.state)
    assert all(map(same, unwatched.state, watched.state))
    # a step with several passes has no mark of its inputs, one of a compiled model nothing that a pass would show
    passes = {"dead_units", "saturated_units", "inputs_mark", "nonfinite_inputs", "unused_passes", "driven_passes"}
    due, empty = set(STEP_UNITS) - passes, set()
    for watch in watched.watches:
        assert watch.problems == []
        assert watch.error is None
        assert len(watch.steps) == STEPS
        empty |= {column for column in due if np.isnan(watch.steps[column]).all()}
        assert not np.nanmax(np.append(watch.steps["uncleared"], 0))
        measures = watch.measures()
        assert not measures["gradless"] > 0
        assert measures["missing"] == measures["stopped"] == 0
        assert (measures["frozen"] > 0) == (name == "frozen")
    assert empty == due & set(watched.made.missing)
    assert not {"setup", "watching", "batch_fails", "batch_unreadable"} & set(watched.verdict.unchecked)
    assert math.isfinite(watched.verdict.measures["loss_batch"])

"""Misuses of `watch` are named at once, in one sentence; and what a model is worth outside: copies, files, scripts."""

import copy
import io
import pickle
import re
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import thalweg
from thalweg.errors import UsageError
from thalweg.i18n import set_language


def training(lr=0.05):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, torch.optim.SGD(model.parameters(), lr=lr)


def batch(step=0):
    inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()


def backward(model, optimizer, step):
    optimizer.zero_grad()
    loss = cross_entropy(model(batch(step)[0]), batch(step)[1])
    loss.backward()
    return loss


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "thalweg"]


PAIRS = {
    "swapped": (lambda m, o: (o, m), "The optimizer stands first"),
    "several": (lambda m, o: ([m, m], [o, o]), "one model and one optimizer, and got a list of 2. Watch each pair"),
    "several optimizers": (lambda m, o: (m, [o, o]), "Watch each pair"),
    "a dict of models": (lambda m, o: ({"g": m}, o), "Watch each pair"),
    "parameters": (lambda m, o: (m.parameters(), o), "of type generator, not a torch module"),
    "no optimizer": (lambda m, _: (m, None), "of type NoneType, not a torch optimizer"),
    "a schedule": (lambda m, o: (m, torch.optim.lr_scheduler.StepLR(o, 1)), "of type StepLR, not a torch optimizer"),
    "a class": (lambda _, o: (nn.Linear, o), "of type Linear, not a torch module"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_that_is_none_is_named_before_the_training(name):
    change, sentence = PAIRS[name]
    with pytest.raises(UsageError, match=sentence) as caught:
        thalweg.watch(*change(*training()))
    set_language("zh-CN")
    assert "watch" in str(caught.value)


def outside(watch, model, optimizer):
    for step in range(25):
        loss = backward(model, optimizer, step)
        optimizer.step()
        watch.step(loss)


def too_early(watch, model, optimizer):
    with watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            watch.step(loss)
            optimizer.step()
            if step == 2:
                watch.diagnose()  # a step is open


def before_the_backward_pass(watch, model, optimizer):
    with watch:
        for step in range(25):
            optimizer.zero_grad()
            loss = cross_entropy(model(batch(step)[0]), batch(step)[1])
            watch.step(loss)
            loss.backward()
            optimizer.step()


def twice(watch, model, optimizer):
    with watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss)
            watch.step(loss)


def twice_with_numbers(watch, model, optimizer):
    with watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss.item())
            watch.step(loss.item())


def after_the_end(watch, model, optimizer):
    with watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss)
    watch.step(loss)


def many_losses(watch, model, optimizer):
    with watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss.repeat(3))


def no_loss(watch, model, optimizer):
    with watch:
        for step in range(25):
            backward(model, optimizer, step)
            optimizer.step()
            watch.step(None)


def another_optimizer(watch, model, _optimizer):
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch:
        for step in range(25):
            loss = backward(model, other, step)
            other.step()
            watch.step(loss)


MISUSES = {
    outside: ("outside", 0, "outside the with"),
    too_early: ("step_early", 25, "Call it after optimizer.step()"),
    before_the_backward_pass: ("step_early", 25, "Call it after optimizer.step()"),
    twice: ("step_twice", 25, "Call it once"),
    twice_with_numbers: ("step_twice", 25, "Call it once"),
    after_the_end: ("outside", 25, "outside the with"),
    many_losses: ("loss_not_scalar", 0, r"got Tensor (3,)"),
    no_loss: ("loss_not_scalar", 0, "got NoneType"),
    another_optimizer: ("no_step", 25, "Pass watch the optimizer whose step() runs"),
}


@pytest.mark.parametrize("loop", MISUSES, ids=lambda loop: loop.__name__)
def test_a_misuse_in_the_loop_is_said_once_and_the_training_goes_on(loop, caplog):
    problem, steps, sentence = MISUSES[loop]
    model, optimizer = training()
    watch = thalweg.watch(model, optimizer)
    loop(watch, model, optimizer)
    assert len(watch.steps) == steps
    assert [sentence in line for line in said(caplog)] == [True]
    verdict = watch.diagnose()
    assert problem in verdict.unchecked
    assert verdict.code in {"unsure", "healthy", "optimizer_not_stepping"}  # nothing else is accused
    for language in ("en", "zh-CN"):
        set_language(language)
        assert "watch" in str(verdict) or problem in {"loss_not_scalar", "no_step"}


def test_a_model_that_the_optimizer_does_not_know_is_named_at_the_start(caplog):
    (model, _), (_, optimizer) = training(), training()
    with thalweg.watch(model, optimizer):
        assert ["No parameter of the model is in the optimizer" in line for line in said(caplog)] == [True]


def test_losses_as_people_hand_them_over(caplog):
    model, optimizer = training()
    ways = [lambda x: x, torch.Tensor.detach, torch.Tensor.item, lambda x: x.reshape(1), lambda x: x.detach().numpy()]
    wanted = []
    with thalweg.watch(model, optimizer) as watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(ways[step % len(ways)](loss))
            wanted.append(loss.item())
    assert watch.steps["loss"].tolist() == pytest.approx(wanted)
    assert said(caplog) == []


def test_a_watch_is_entered_again_left_by_an_error_and_nested():
    model, optimizer = training()
    watch = thalweg.watch(model, optimizer)

    def train(first, count):
        for step in range(first, first + count):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss)

    with watch:
        train(0, 5)

    def broken_off():  # between the optimizer's step and ours
        with watch:
            train(5, 3)
            backward(model, optimizer, 8)
            optimizer.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    with watch, watch:
        train(9, 4)
    assert watch.problems == []
    assert len(watch.steps) == 12
    assert not optimizer._optimizer_step_pre_hooks


def test_an_interrupt_inside_a_pass_leaves_nothing_behind():
    class Interrupted(nn.Linear):
        def forward(self, inputs):
            super().forward(inputs)
            raise KeyboardInterrupt

    model = Interrupted(2, 1)
    with pytest.raises(KeyboardInterrupt), thalweg.watch(model, torch.optim.SGD(model.parameters(), lr=0.1)):
        model(torch.ones(1, 2))
    assert torch.overrides._get_current_function_mode() is None


@pytest.mark.slow
def test_a_diagnosis_right_after_a_measured_step_and_in_an_open_one():
    model, optimizer = training()
    with thalweg.watch(model, optimizer) as watch:
        for step in range(30):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.diagnose()
            watch.step(loss)
            watch.diagnose()
    plain, second = training()
    with thalweg.watch(plain, second) as other:
        for step in range(30):
            loss = backward(plain, second, step)
            second.step()
            other.step(loss)
    assert watch.problems == []
    for column in ("loss", "gradient_norm", "update_ratio", "uncleared", "gradient_weight_cosine"):
        np.testing.assert_array_equal(watch.steps[column], other.steps[column])


# ------------------------------------------------------------------------------- what is done with a model meanwhile


def saved(model):
    memory = io.BytesIO()
    torch.save(model, memory)
    memory.seek(0)
    return torch.load(memory, weights_only=False)


USES = {
    "torch.save": saved,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - what people do
    "deepcopy": copy.deepcopy,
    "jit.script": torch.jit.script,
    "jit.trace": lambda model: torch.jit.trace(model, batch()[0]),
    "export": lambda model: torch.export.export(model, (batch()[0],)).module(),
    "fx": torch.fx.symbolic_trace,
    "vmap": lambda model: torch.func.vmap(model, randomness="different"),
    "functional": lambda model: lambda x: torch.func.functional_call(model, dict(model.named_parameters()), (x,)),
    "data parallel": nn.DataParallel,
    "average": torch.optim.swa_utils.AveragedModel,
}


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", USES)
def test_a_watched_model_is_used_as_an_unwatched_one(name):
    model, optimizer = training()
    with thalweg.watch(model, optimizer) as watch:
        for step in range(3):  # all of them are measured in full
            loss = backward(model, optimizer, step)
            other = USES[name](model)
            outputs = other(batch()[0])
            optimizer.step()
            watch.step(loss)
        expected = USES[name](training()[0])
        assert type(other).__name__ == type(expected).__name__
    assert outputs.shape == (16, 3)
    assert watch.problems == []
    assert len(watch.steps) == 3
    if hasattr(other, "graph"):
        graphs = [re.sub(r"_mangle_\d+", "", str(one.graph)) for one in (other, expected)]
        assert graphs[0] == graphs[1]


@pytest.mark.parametrize("name", ["torch.save", "pickle", "deepcopy", "export", "average"])
def test_a_watched_model_beside_a_compiled_one_is_used_as_an_unwatched_one(name):
    (model, optimizer), (other, _) = training(), training()
    other = torch.compile(other, backend="eager")
    with thalweg.watch(model, optimizer) as watch:
        for step in range(3):
            loss = backward(model, optimizer, step)
            assert other(batch()[0]).shape == USES[name](model)(batch()[0]).shape
            optimizer.step()
            watch.step(loss)
    torch._dynamo.reset()
    assert watch.problems == []
    assert watch.steps["dead_units"].tolist() == pytest.approx([0.0] * 3, abs=0.5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])  # noqa: S301
def test_a_copy_of_a_model_that_holds_its_watch_watches_nothing(copied):
    model, optimizer = training()
    with thalweg.watch(model, optimizer) as watch:
        model.watch = watch
        twin = copied(model)
        twin.watch.step(1.0)
        with twin.watch:
            twin.watch.step(1.0)
        twin(batch()[0])
        assert len(twin.watch.steps) == len(watch.steps) == 0
        assert len(copied(optimizer)._optimizer_step_pre_hooks) == 0


# --------------------------------------------------------------------------------------- what cannot be copied


def with_a_lock(model):
    model[0].guard = threading.Lock()


def with_a_generator(model):
    model.source = (number for number in range(3))


@pytest.mark.parametrize(("spoil", "what"), [(with_a_lock, "0.guard: lock"), (with_a_generator, "source: generator")])
def test_a_model_that_cannot_be_copied_is_asked_nothing_and_the_part_is_named(spoil, what):
    model, optimizer = training()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    with thalweg.watch(model, optimizer) as watch:
        for step in range(25):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss)
    spoil(model)
    verdict = watch.diagnose(batch=batch(), loss_fn=cross_entropy, try_fix=True)
    assert len(calls) == 25
    assert f"not_copied:{what}" in verdict.unchecked
    assert not {"batch", "batch_fails", "curvature", "short_runs"} & set(verdict.unchecked)
    for language in ("en", "zh-CN"):
        set_language(language)
        assert what in str(verdict)


def test_a_penalty_on_the_model_is_one_on_the_copy():
    """The loss reads the parameters of `model`: its curvature is there, and nobody's gradient is touched."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def loss_fn(outputs, targets):
        return 0.0 * mse_loss(outputs, targets) + 7.0 * sum(p.square().sum() for p in model.parameters())

    inputs, targets = torch.randn(16, 2), torch.randn(16, 1)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    before = model.weight.grad.clone()
    verdict = watch.diagnose(batch=(inputs, targets), loss_fn=loss_fn, seconds=5)
    assert verdict.measures["largest_eigenvalue"] == pytest.approx(14, rel=1e-3)
    assert verdict.measures["gain_tenfold"] > 2 * verdict.measures["gain_same"] > 0
    assert torch.equal(model.weight.grad, before)


def test_a_network_whose_steps_are_too_slow_for_curvature_is_told_so_and_not_that_its_loss_has_none():
    model, optimizer = training()
    with thalweg.watch(model, optimizer) as watch:
        for step in range(3):
            loss = backward(model, optimizer, step)
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=batch(), loss_fn=cross_entropy, seconds=1e-6)
    assert "curvature_too_slow" in verdict.unchecked
    assert not {"curvature", "batch"} & set(verdict.unchecked)
    for language, words in (("en", "a step of this network takes too long"), ("zh-CN", "一步耗时过长")):
        set_language(language)
        assert words in verdict.explain()

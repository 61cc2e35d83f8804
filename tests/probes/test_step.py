"""The probe against a naive twin, on trainings that it must not change."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.probes import StepProbe
from thalweg.probes.layers import DENSE
from thalweg.probes.table import CAPACITY


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3)
    )


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
}


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)


def train(model, optimizer, steps, probe=None, after=None):
    torch.manual_seed(7)
    for step in range(steps):
        images, labels = batch(step)
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        if probe is not None:
            probe.record(loss)
        if after is not None:
            after(loss)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "adam" else pytest.mark.slow) for name in OPTIMIZERS]
)
def test_a_watched_training_is_bit_identical_over_500_steps(name):
    plain, watched = network(), network()
    optimizer, watched_optimizer = OPTIMIZERS[name](plain.parameters()), OPTIMIZERS[name](watched.parameters())
    train(plain, optimizer, 500)
    random_state = torch.get_rng_state()
    probe = StepProbe(watched, watched_optimizer, every=3)
    probe.attach()
    train(watched, watched_optimizer, 500, probe)
    probe.detach()
    assert torch.equal(random_state, torch.get_rng_state())
    for (key, left), right in zip(plain.state_dict().items(), watched.state_dict().values(), strict=True):
        assert torch.equal(left, right), key
    for left, right in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(left.grad, right.grad)
    assert [module.training for module in plain.modules()] == [module.training for module in watched.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in watched.modules())
    assert not watched_optimizer._optimizer_step_pre_hooks
    assert not watched_optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numbers_are_those_of_a_naive_twin(name):
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters())
    probe = StepProbe(model, optimizer, every=2)
    probe.attach()
    naive = {"loss": [], "gradient_norm": [], "update_ratio": [], "gradients": [], "cosine_to_next": []}
    flat = lambda tensors: torch.cat([tensor.detach().reshape(-1) for tensor in tensors])  # noqa: E731 - short
    before = [flat(model.parameters())]

    def after(loss):
        gradient, now = flat(p.grad for p in model.parameters()).clone(), flat(model.parameters()).clone()
        naive["loss"].append(loss.item())
        naive["gradient_norm"].append(gradient.norm().item())
        naive["update_ratio"].append(((now - before[0]).norm() / now.norm()).item())
        naive["gradients"].append(gradient)
        before[0] = now

    train(model, optimizer, CAPACITY + 20, probe, after)
    probe.read()
    steps = probe.steps
    due = ~np.isnan(steps["update_ratio"])
    assert steps["step"].tolist() == list(range(1, CAPACITY + 21))
    assert due[:DENSE].all()
    assert due[DENSE::2].all()
    assert not due[DENSE + 1 :: 2].any()
    np.testing.assert_allclose(steps["loss"], naive["loss"], rtol=1e-6)
    np.testing.assert_allclose(steps["gradient_norm"], naive["gradient_norm"], rtol=1e-5)
    np.testing.assert_allclose(steps["update_ratio"][due], np.array(naive["update_ratio"])[due], rtol=2e-3)
    cosines = [
        torch.cosine_similarity(left, right, dim=0).item()
        for left, right in zip(naive["gradients"], naive["gradients"][1:], strict=False)
    ]
    known = np.flatnonzero(~np.isnan(steps["cosine"]))
    assert len(known) > 30
    np.testing.assert_allclose(steps["cosine"][known], np.array(cosines)[known], atol=1e-5)


def test_layers_add_up_to_the_whole():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    probe = StepProbe(model, optimizer)
    probe.attach()
    train(model, optimizer, 30, probe)
    probe.read()
    layers, steps = probe.layers, probe.steps
    assert probe.layer_names == ["0", "1", "4", "6"]
    squares = sum(np.square(layers[f"{name}.gradient_norm"]) for name in probe.layer_names)
    rows = np.isin(steps["step"], layers["step"])
    np.testing.assert_allclose(np.sqrt(squares), steps["gradient_norm"][rows], rtol=1e-5)


def test_a_gradient_that_is_no_number_is_seen():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = StepProbe(model, optimizer)
    probe.attach()
    loss = model(torch.tensor([[1.0, math.nan]])).sum()
    loss.backward()
    optimizer.step()
    probe.record(loss)
    probe.read()
    assert math.isnan(probe.steps["gradient_norm"][0])
    assert probe.steps["stepped"][0] == 1


def test_a_step_before_the_backward_pass_is_no_step():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = StepProbe(model, optimizer)
    probe.attach()
    for _ in range(3):
        probe.record(model(torch.ones(1, 2)).sum())
    probe.read()
    assert probe.steps["stepped"].tolist() == [0, 0, 0]
    assert np.isnan(probe.steps["gradient_norm"]).all()


def test_what_never_had_a_gradient_is_counted():
    model = nn.ModuleDict({"used": nn.Linear(3, 1), "unused": nn.Linear(3, 3)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = StepProbe(model, optimizer)
    probe.attach()
    for _ in range(2):
        optimizer.zero_grad()
        loss = model["used"](torch.ones(4, 3)).sum()
        loss.backward()
        optimizer.step()
        probe.record(loss)
    assert probe.gradless == pytest.approx(12 / 16)


LOOPS = {
    "cleared": (lambda o, _: o.zero_grad(), lambda _: None, 0),
    "cleared in place": (lambda o, _: o.zero_grad(set_to_none=False), lambda _: None, 0),
    "cleared after the step": (lambda _o, _s: None, lambda o: o.zero_grad(), 0),
    "never cleared": (lambda _o, _s: None, lambda _: None, 1),
}


@pytest.mark.parametrize("name", LOOPS)
def test_whether_gradients_are_cleared(name):
    before, after, expected = LOOPS[name]
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    probe = StepProbe(model, optimizer)
    probe.attach()
    for step in range(30):
        images, labels = batch(step)
        before(optimizer, step)
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        after(optimizer)
        probe.record(loss)
    probe.read()
    found = probe.steps["uncleared"]
    found = found[~np.isnan(found)]
    assert (found == expected).all()
    assert len(found) or name == "cleared after the step"


@pytest.mark.parametrize("critic_first", [True, False])
@pytest.mark.parametrize("cleared", [True, False])
def test_another_networks_pass_through_a_critic_is_no_fault(critic_first, cleared):
    """The generator's pass leaves gradients in the critic, which a GAN's loop clears before the critic's own."""
    maker, critic = nn.Linear(4, 8), nn.Linear(8, 1)
    making, judging = (torch.optim.SGD(net.parameters(), lr=1e-3) for net in (maker, critic))
    probe = StepProbe(critic, judging)
    probe.attach()

    def make():
        making.zero_grad()
        (-critic(maker(torch.randn(5, 4))).mean()).backward()
        making.step()

    for _ in range(12):
        if not critic_first:
            make()
        if cleared:
            judging.zero_grad()
        loss = critic(torch.randn(5, 8)).mean() + critic(maker(torch.randn(5, 4)).detach()).square().mean()
        loss.backward()
        judging.step()
        if critic_first:
            make()
        probe.record(loss)
    probe.read()
    uncleared, unused = (probe.steps[name][1:-1] for name in ("uncleared", "unused_passes"))
    assert np.nanmax(uncleared) == np.nanmin(uncleared) == (not cleared)
    assert np.nanmin(unused) == (cleared or critic_first)


def test_two_passes_of_the_same_inputs_are_one_method():
    """As of SAM: the gradient of the first pass moves the weights, and is cleared before the second."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    probe = StepProbe(model, optimizer)
    probe.attach()
    for step in range(12):
        images, labels = batch(step)
        for _ in range(2):
            optimizer.zero_grad()
            loss = cross_entropy(model(images), labels)
            loss.backward()
        optimizer.step()
        probe.record(loss)
    probe.read()
    assert np.nanmax(probe.steps["unused_passes"]) == 0


def test_accumulating_over_four_batches_is_no_fault():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    probe = StepProbe(model, optimizer, every=1)
    probe.attach()
    for step in range(40):
        images, labels = batch(step)
        loss = cross_entropy(model(images), labels) / 4
        loss.backward()
        if step % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
        probe.record(loss)
    probe.read()
    found = probe.steps["uncleared"]
    assert not (found == 1).any()


@pytest.mark.parametrize("passes", [1, 3, 7, 16])
def test_a_step_after_several_records_is_measured_though_none_of_them_is_due(passes):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    probe = StepProbe(model, optimizer, every=10)
    probe.attach()
    for step in range(12 * passes):
        images, labels = batch(step)
        loss = cross_entropy(model(images), labels)
        loss.backward()
        if step % passes == passes - 1:
            optimizer.step()
            optimizer.zero_grad()
        probe.record(loss)
    probe.read()
    measured = np.isfinite(probe.steps["update_ratio"]).nonzero()[0]
    assert len(measured) >= 6  # of 12; without that, none for 16 passes
    assert all(probe.steps["stepped"][measured] == 1)


def test_a_copy_of_a_watched_model_is_a_copy_of_the_model():
    model = network()
    probe = StepProbe(model, torch.optim.SGD(model.parameters(), lr=0.1))
    probe.attach()
    probe.detach()
    twin = copy.deepcopy(model)
    assert not any(module._forward_pre_hooks for module in twin.modules())


def one_step(model, optimizer, loss_of, *, closure=False, scaler=None):
    """Take one measured step; return the gradients that it began with, and the rows."""
    probe = StepProbe(model, optimizer)
    probe.attach()
    before = [parameter.detach().clone() for parameter in model.parameters()]

    def backward():
        optimizer.zero_grad()
        loss = loss_of()
        (scaler.scale(loss) if scaler else loss).backward()
        return loss

    if closure:
        loss = optimizer.step(backward)
    else:
        loss = backward()
        if scaler:
            scaler.step(optimizer)
        else:
            optimizer.step()
    probe.record(loss)
    probe.read()
    probe.detach()
    for parameter, value in zip(model.parameters(), before, strict=True):
        parameter.grad, parameter.data = None, value
    loss_of().backward()
    gradients = [p.grad.to_dense() for p in model.parameters()]
    return torch.cat([gradient.reshape(-1) for gradient in gradients]), probe.steps


def linear(*, sparse=False, dtype=torch.float32):
    torch.manual_seed(0)
    if sparse:
        return nn.Sequential(nn.Embedding(7, 3, sparse=True), nn.Linear(3, 1))
    return nn.Linear(3, 1, dtype=dtype)


STEPS = {
    "a closure": (linear, lambda p: torch.optim.SGD(p, lr=0.1), {"closure": True}),
    "lbfgs": (linear, lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3), {"closure": True}),
    "sparse": (lambda: linear(sparse=True), lambda p: torch.optim.SGD(p, lr=0.1), {}),
    "complex": (lambda: linear(dtype=torch.complex64), lambda p: torch.optim.SGD(p, lr=0.1), {}),
    "float64": (lambda: linear(dtype=torch.float64), lambda p: torch.optim.SGD(p, lr=0.1), {}),
    "complex128": (lambda: linear(dtype=torch.complex128), lambda p: torch.optim.SGD(p, lr=0.1), {}),
    "scaled, fused": (
        linear,
        lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
        {"scaler": torch.amp.GradScaler("cpu", init_scale=512.0)},
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_norm_is_that_of_the_gradient_that_the_step_begins_with(name):
    make, optimizer, options = STEPS[name]
    model = make()
    inputs = torch.tensor([1, 1, 4]) if "sparse" in name else torch.randn(5, 3, dtype=model.weight.dtype)
    gradient, steps = one_step(
        model, optimizer(model.parameters()), lambda: model(inputs).abs().square().sum(), **options
    )
    assert steps["gradient_norm"][0] == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert steps["update_ratio"][0] > 0


@pytest.mark.parametrize(
    "spoil", [lambda m: nn.utils.clip_grad_norm_(m.parameters(), 1e-2), lambda m: m[0].bias.grad.mul_(8)]
)
@pytest.mark.parametrize("clear", [True, False])
def test_clearing_is_seen_through_clipping_and_scaling(spoil, clear):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    probe = StepProbe(model, optimizer)
    probe.attach()
    for step in range(8):
        images, labels = batch(step)
        if clear:
            optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        spoil(model)
        optimizer.step()
        probe.record(loss)
    probe.read()
    assert set(probe.steps["uncleared"][1:].tolist()) == {0.0 if clear else 1.0}

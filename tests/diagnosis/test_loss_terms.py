"""What a loss and a table hide: penalties by hand, numbers of classes, columns that repeat each other."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, poisson_nll_loss

import thalweg
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.numbered import numbered_measures
from thalweg.diagnosis.measures.penalty import penalty_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, outputs))


@pytest.mark.parametrize("strength", [0.0, 0.01, 3.0])
def test_the_pull_of_a_penalty_is_that_of_its_closed_form(strength):
    model = network(1)
    inputs, targets = drawn(64, 6), drawn(64, 1, seed=1)

    def loss_fn(outputs, wanted):
        squares = sum(parameter.square().sum() for parameter in model.parameters())
        return mse_loss(outputs, wanted) + strength * squares

    found = penalty_measures(
        Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn), Batch(inputs, targets)
    )
    mse_loss(model(inputs), targets).backward()
    pull = 2 * strength * torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).norm()
    rest = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    assert found.get("penalty_to_gradient", 0.0) == pytest.approx(float(pull / rest), rel=1e-4)


def test_a_loss_of_the_outputs_alone_has_no_penalty():
    model = network(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.0)
    assert penalty_measures(Copy.of(model, optimizer, cross_entropy), Batch(drawn(8, 6), torch.arange(8) % 3)) == {}


def trained(model, optimizer, inputs, targets, loss_fn, *, steps):
    """A watch over some steps on batches of 32."""
    with thalweg.watch(model, optimizer) as watch:
        for step in range(steps):
            chosen = torch.randint(len(inputs), (32,), generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            loss = loss_fn(model(inputs[chosen]), targets[chosen])
            loss.backward()
            optimizer.step()
            watch.step(loss)
    return watch


@pytest.mark.slow
@pytest.mark.parametrize(("strength", "code"), [(0.3, "weight_decay_too_strong"), (1e-5, "healthy")])
def test_a_penalty_by_hand_that_holds_the_network_at_a_constant(strength, code):
    model = network(2)
    inputs = drawn(256, 6)
    labels = (inputs[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def loss_fn(outputs, wanted):
        return cross_entropy(outputs, wanted) + strength * sum(p.square().sum() for p in model.parameters())

    watch = trained(model, optimizer, inputs, labels, loss_fn, steps=400)
    verdict = watch.diagnose(batch=(inputs[:128], labels[:128]), loss_fn=loss_fn)
    assert verdict.code == code
    if code != "healthy":
        assert [fix.code for fix in verdict.fixes] == ["less_penalty"]


def gains(model, batches, loss_fn):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(150):
        optimizer.zero_grad()
        batches[step % len(batches)].loss(model, loss_fn).backward()
        optimizer.step()
    return Gains(model, optimizer, loss_fn, batches, scale=1.0)


def squared(outputs, targets):
    return mse_loss(outputs.squeeze(1), targets.float())


def test_numbers_of_classes_are_better_learned_one_by_one_and_quantities_are_not():
    kinds = drawn(5, 6, seed=3) * 3
    labels = torch.arange(320) % 5
    points = [(kinds[part] + drawn(len(part), 6, seed=4), part) for part in labels.split(80)]
    named = numbered_measures(gains(network(1), [Batch(*pair) for pair in points], squared))
    inputs = drawn(320, 6, seed=5)
    counts = (2 + 1.5 * inputs[:, 0]).round().clamp(0, 4).long()
    batches = [Batch(*pair) for pair in zip(inputs.split(80), counts.split(80), strict=True)]
    counted = numbered_measures(gains(network(1), batches, squared))
    assert named["numbered_classes"] > 0.15
    assert counted["numbered_classes"] < 0.1


def test_probabilities_are_no_numbers_of_classes():
    """Their loss refuses what is above 1; that fails no question."""
    model = nn.Sequential(nn.Linear(6, 1), nn.Sigmoid())
    batches = [Batch(drawn(80, 6, seed=at), torch.arange(80)[:, None] % 2.0) for at in range(4)]
    assert numbered_measures(gains(model, batches, nn.functional.binary_cross_entropy)) == {}


def test_logarithms_of_rates_are_no_numbers_of_classes():
    inputs = drawn(320, 6, seed=5)
    counts = torch.poisson((inputs[:, :1] - 1.5).exp(), generator=torch.Generator().manual_seed(6)).clamp(max=3)
    batches = [Batch(*pair) for pair in zip(inputs.split(80), counts.split(80), strict=True)]
    assert numbered_measures(gains(network(1), batches, poisson_nll_loss)) == {}


@pytest.mark.parametrize(
    ("targets", "outputs"),
    [
        (torch.arange(40) % 2, 1),  # two: a binary answer
        (torch.arange(40) % 4 + 1, 1),  # from 1 on, as ratings are
        ((torch.arange(40) % 4).float() + 0.5, 1),
        (torch.arange(40) % 4, 4),  # one output for each already
        (torch.full((40,), float("nan")), 1),
        (torch.tensor(2), 1),  # one for the whole batch
        (None, 1),
    ],
)
def test_what_is_no_number_of_a_class_is_not_asked(targets, outputs):
    model = network(outputs)
    loss_fn = cross_entropy if outputs > 1 else squared
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert numbered_measures(Gains(model, optimizer, loss_fn, [Batch(drawn(40, 6), targets)], scale=1.0)) == {}


@pytest.mark.slow
def test_powers_of_one_number_are_told_to_become_orthogonal():
    x = torch.rand(400, 1, generator=torch.Generator().manual_seed(0))
    targets = torch.sin(7 * x)
    powers = torch.cat([x**power for power in range(1, 7)], dim=1)
    torch.manual_seed(0)
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watch = trained(model, optimizer, powers, targets, mse_loss, steps=200)
    verdict = watch.diagnose(batch=[(powers[:200], targets[:200]), (powers[200:], targets[200:])], loss_fn=mse_loss)
    assert verdict.code == "ill_conditioned"
    assert verdict.fixes[0].code == "decorrelate_inputs"
    assert "nearly repeat each other" in verdict.text

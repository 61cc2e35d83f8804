"""The suggestion is right where the best rate is known, and a curve that says nothing is called so."""

import json
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.errors import ThalwegError, UsageError
from thalweg.i18n import LANGUAGES, set_language
from thalweg.rate import find_lr


class Quadratic(nn.Module):
    """`½ Σ c·θ²` from θ = 1: gradient descent is stable below 2 / max c."""

    def __init__(self, curvatures):
        super().__init__()
        self.point = nn.Parameter(torch.ones(len(curvatures)))
        self.register_buffer("curvatures", torch.tensor(curvatures))

    def forward(self, _):
        return 0.5 * (self.curvatures * self.point.square()).sum()


def line_batches(count=60, size=32, seed=0):
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, size, 5, generator=random)
    return [(x, x.sum(1, keepdim=True)) for x in inputs]


NOTHING = [torch.zeros(1)] * 60


@pytest.mark.parametrize("curvature", [0.02, 1.0, 300.0])
def test_on_a_parabola_the_best_rate_is_one_over_its_curvature(curvature):
    sweep = find_lr(Quadratic([curvature]), torch.optim.SGD, NOTHING, highest=1e3, anneal=False)
    assert 1 / 3 <= sweep.suggestion * curvature <= 2  # at 1 a single step ends in the minimum, at 2 it oscillates


def test_in_a_valley_the_rate_is_stable_and_near_the_edge():
    curvatures = [1.0, 5.0, 20.0]
    sweep = find_lr(Quadratic(curvatures), torch.optim.SGD, NOTHING, anneal=False)
    assert 0.3 / 20 < sweep.suggestion < 2 / 20
    assert sweep.stopped_at > 2 / 20


def test_a_loss_twice_as_large_wants_half_the_rate_of_gradient_descent_and_the_same_of_adam():
    batches = line_batches()
    torch.manual_seed(0)
    model = nn.Linear(5, 1)

    def found(optimizer, scale):
        return find_lr(model, optimizer, batches, lambda out, y: scale * mse_loss(out, y)).suggestion

    assert found(torch.optim.SGD, 16.0) == pytest.approx(found(torch.optim.SGD, 1.0) / 16, rel=0.8)
    assert found(torch.optim.Adam, 16.0) == pytest.approx(found(torch.optim.Adam, 1.0), rel=0.3)


def test_groups_keep_their_ratio():
    class Two(Quadratic):
        def __init__(self):
            super().__init__([1.0])
            self.other = nn.Parameter(torch.ones(1))

        def forward(self, _):
            return super().forward(_) + 50 * self.other.square().sum()

    def factory(parameters):
        first, second = parameters
        return torch.optim.SGD([{"params": [first], "lr": 1.0}, {"params": [second], "lr": 0.01}])

    assert 1 / 3 < find_lr(Two(), factory, NOTHING, anneal=False).suggestion < 2  # alone, the steep one would want 0.01


def test_clipping_is_part_of_the_training():
    model = Quadratic([1e4])  # a gradient of 10,000: clipped to 1, a step is as long as the rate
    free = find_lr(model, torch.optim.SGD, NOTHING, anneal=False)
    clipped = find_lr(model, torch.optim.SGD, NOTHING, anneal=False, clip_grad_norm=1.0)
    assert clipped.suggestion > 20 * free.suggestion


@pytest.mark.parametrize(
    "batches",
    [
        [{"inputs": torch.ones(3, 2), "labels": torch.tensor([0, 1, 1])}] * 20,
        [({"inputs": torch.ones(3, 2)}, torch.tensor([0, 1, 1]))] * 20,
        [[torch.ones(3, 2), torch.tensor([0, 1, 1])]] * 20,
    ],
    ids=["dict", "dict and target", "list"],
)
def test_a_batch_is_taken_as_its_shape_says(batches):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, inputs, labels=None):
            return self.layer(inputs)

    def loss_fn(output, target):
        return cross_entropy(output, target["labels"] if isinstance(target, dict) else target)

    assert find_lr(Named(), torch.optim.SGD, batches, loss_fn).usable


def test_one_tensor_is_its_own_target_and_an_output_may_bring_its_loss():
    images = list(torch.randn(20, 8, 4, generator=torch.Generator().manual_seed(0)))
    assert find_lr(nn.Linear(4, 4), torch.optim.Adam, images, mse_loss).usable

    class Bringing(nn.Linear):
        def forward(self, x):
            return {"loss": mse_loss(super().forward(x), x)}

    assert find_lr(Bringing(4, 4), torch.optim.Adam, images).usable


def with_weights(value):
    model = nn.Linear(5, 1)
    nn.init.constant_(model.weight, value)
    nn.init.zeros_(model.bias)
    return model


class Dead(nn.Module):
    """Its only unit is never on."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 1)
        nn.init.constant_(self.layer.bias, -1e3)

    def forward(self, x):
        return torch.relu(self.layer(x))


def uphill(output, target):
    """A loss whose gradient has the wrong sign."""
    loss = mse_loss(output, target)
    return 2 * loss.detach() - loss


@pytest.mark.parametrize(
    ("reason", "model", "batches", "loss_fn"),
    [
        ("flat", Dead(), line_batches(), mse_loss),
        ("never_falls", with_weights(0.0), line_batches(), uphill),
        ("diverges_at_once", Quadratic([1e9]), NOTHING, None),
        ("not_finite", with_weights(math.nan), line_batches(), mse_loss),
        ("too_few_batches", with_weights(0.0), line_batches(1), mse_loss),
    ],
)
def test_what_says_nothing_is_called_unusable_with_the_reason(reason, model, batches, loss_fn):
    sweep = find_lr(model, partial(torch.optim.SGD, lr=0.1), batches, loss_fn)
    assert (sweep.usable, sweep.suggestion, sweep.reason) == (False, None, reason)
    for language in LANGUAGES:
        set_language(language)
        assert len(str(sweep)) > 20
    json.dumps(sweep.to_dict(), allow_nan=False)


def test_a_fall_within_the_noise_is_called_noisy():
    torch.manual_seed(0)
    batches = [(torch.randn(4, 3), torch.randn(4, 1) * 10 ** float(torch.randn(()))) for _ in range(60)]
    sweep = find_lr(nn.Linear(3, 1), torch.optim.SGD, batches, mse_loss)
    assert sweep.reason in {"noisy", "never_falls"}


def test_what_few_batches_only_memorize_gives_no_rate():
    random = torch.Generator().manual_seed(0)
    batches = [(torch.randn(16, 50, generator=random), torch.randint(2, (16,), generator=random)) for _ in range(6)]
    torch.manual_seed(0)
    sweep = find_lr(nn.Linear(50, 2), torch.optim.Adam, batches, cross_entropy)
    assert sweep.reason in {"noisy", "never_falls"}


def test_no_evaluation_is_longer_than_the_training():
    sweep = find_lr(with_weights(0.0), torch.optim.SGD, line_batches(), mse_loss, training_steps=5)
    assert {one.steps for one in sweep.evaluations} == {5}


def test_the_ends_of_the_range_are_told():
    low = find_lr(Quadratic([1.0]), torch.optim.SGD, NOTHING, highest=1e-2)
    assert (low.edge, low.suggestion) == ("highest", pytest.approx(1e-2))
    high = find_lr(Quadratic([1.0]), torch.optim.SGD, NOTHING, lowest=0.5, highest=1e3, anneal=False)
    assert high.edge == "lowest"
    assert "0.5" in str(high)


def test_the_sweep_ends_where_the_loss_explodes():
    sweep = find_lr(Quadratic([100.0]), torch.optim.SGD, NOTHING)
    assert 0.02 < sweep.stopped_at < 10
    assert sweep.rates[-1] == sweep.stopped_at
    assert len(sweep.rates) == len(sweep.losses) == len(sweep.smoothed) < 40
    assert sweep.steps == pytest.approx(300, abs=120)


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("rate.no_parameters", {"model": nn.ReLU()}),
        ("rate.all_frozen", {"model": with_weights(1.0).requires_grad_(requires_grad=False)}),
        ("rate.not_scalar", {"loss_fn": partial(mse_loss, reduction="none")}),
        ("rate.not_scalar", {"loss_fn": lambda _, __: 3.0}),
        ("rate.no_gradient", {"loss_fn": lambda output, target: mse_loss(output.detach(), target)}),
        ("probes.no_batches", {"loader": []}),
        ("probes.used_up", {"loader": iter(line_batches())}),
        ("probes.no_loader", {"loader": 3}),
        ("rate.no_optimizer", {"optimizer_factory": lambda _: None}),
        ("rate.wants_closure", {"optimizer_factory": torch.optim.LBFGS}),
        ("rate.other_parameters", {"optimizer_factory": lambda _: torch.optim.SGD([torch.ones(1)], lr=1.0)}),
        ("rate.bad_range", {"lowest": 1.0, "highest": 0.1}),
        ("rate.bad_range", {"lowest": 0.0}),
        ("rate.bad_range", {"highest": math.inf}),
        ("rate.bad_steps", {"steps": 2}),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(key, arguments):
    usual = {
        "model": with_weights(0.0),
        "optimizer_factory": torch.optim.SGD,
        "loader": line_batches(),
        "loss_fn": mse_loss,
    }
    with pytest.raises(UsageError) as raised:
        find_lr(**{**usual, **arguments})
    assert raised.value.key == key
    assert len(str(raised.value)) > 20


def test_a_model_that_cannot_be_copied_is_named():
    model = with_weights(0.0)
    model.lock = open(__file__)  # noqa: SIM115, PTH123 - a file cannot be copied
    with pytest.raises(ThalwegError, match="cannot be copied"):
        find_lr(model, torch.optim.SGD, line_batches(), mse_loss)
    model.lock.close()

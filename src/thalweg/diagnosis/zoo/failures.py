"""Ways to fail, each with its true cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax, mse_loss, nll_loss, one_hot

from thalweg.diagnosis.curvature import HessianOperator, extremes
from thalweg.diagnosis.zoo.data import (
    CLASSES,
    FEATURES,
    Samples,
    digits,
    few_digits,
    linear_targets,
    noisy_digits,
    shuffled_digits,
)
from thalweg.diagnosis.zoo.networks import hidden_biases, scale_weights
from thalweg.diagnosis.zoo.table import Training, case, plain


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis.zoo.table import Setting

# --- the rate ---------------------------------------------------------------------------------------------------------


@case("lr_too_small")
def rate_a_thousandth(setting: Setting) -> Training:
    """A thousandth of the rate that suits."""
    return plain(setting, times=1e-3)


@case("lr_too_small")
def rate_a_hundred_thousandth(setting: Setting) -> Training:
    """A rate typed with three zeros too many."""
    return plain(setting, times=1e-5)


@case("lr_too_large")
def rate_too_large(setting: Setting) -> Training:
    """A rate at which the loss goes up and down and not lower; clipped, so that it stays a number."""
    training = plain(setting, times={"sgd": 30.0, "momentum": 30.0, "adam": 60.0}[setting.optimizer])
    training.clip = 1.0
    return training


@case("lr_too_large")
def rate_too_large_late(setting: Setting) -> Training:
    """A warm-up that does not know where to stop: well for a third of the steps, then fifty times as much."""
    training = plain(setting, times=0.5)
    most = 40.0 if setting.network == "transformer" else 200.0
    training.clip = 1.0
    training.rate_at = lambda step: min(most, max(1.0, most * (step / STEPS_OF_WARM_UP) ** 3))
    return training


STEPS_OF_WARM_UP = 100


@case("diverged")
def rate_diverges(setting: Setting) -> Training:
    """A rate that blows up within a few steps."""
    return plain(setting, times={"sgd": 1e4, "momentum": 1e4, "adam": 1e5}[setting.optimizer])


@case("diverged")
def loss_overflows(setting: Setting) -> Training:
    """It trains well, until a logarithm of zero makes every weight NaN."""
    training = plain(setting)
    count = iter(range(10**6))

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = cross_entropy(outputs, targets)
        return loss if next(count) < 120 or not torch.is_grad_enabled() else loss - torch.log(0 * loss)

    training.loss_fn = loss_fn
    return training


@case("decayed_too_early")
def decayed_at_a_tenth(setting: Setting) -> Training:
    """A step schedule with its milestone far too early."""
    training = plain(setting, times=0.3)
    training.rate_at = lambda step: 1.0 if step < 20 else 1e-3
    return training


@case("decayed_too_early")
def decayed_exponentially(setting: Setting) -> Training:
    """An exponential decay that was meant for epochs and is called every step."""
    training = plain(setting, times=0.3)
    training.rate_at = lambda step: 0.85**step
    return training


@case("noise_floor", optimizers=("sgd", "momentum"))
def noise_of_four_samples(setting: Setting) -> Training:
    """Four samples a step, a constant rate, labels that no network can all get right."""
    training = plain(setting)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.4, seed=setting.seed), 4, 1000
    return training


@case("noise_floor")
def noise_of_small_batches(setting: Setting) -> Training:
    """Small batches at a high constant rate: the steps average out."""
    training = plain(setting, times=2.0 if setting.optimizer != "adam" else 3.0)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.5, seed=setting.seed), 8, 1000
    return training


# --- the surface ------------------------------------------------------------------------------------------------------


@case("ravine", optimizers=("sgd", "momentum"))
def inputs_off_zero(setting: Setting) -> Training:
    """Pictures far off zero: all weights of a unit pull on one steep direction, and what differs lies in flat ones."""
    training = plain(setting, activation=nn.Tanh)
    whole = digits()
    batch = whole.inputs_NF[:96] * 0.2 + 2.0, whole.targets_N[:96]
    training.batch_of = lambda _step, _seed: batch
    training.optimizer = at_the_edge(
        setting, training.model, cross_entropy, batch, share=0.8 if setting.optimizer == "sgd" else 0.3
    )
    training.steps = 200
    return training


def at_the_edge(
    setting: Setting, model: nn.Module, loss_fn: Any, batch: tuple[Tensor, Tensor], *, share: float
) -> torch.optim.SGD:
    """Gradient descent at a share of the largest rate that is stable: 2 (1 + momentum) over the largest curvature."""
    with HessianOperator(model, loss_fn, [batch], mode="train") as operator:
        sharpest = extremes(operator, which="largest").largest.value
    momentum = 0.9 if setting.optimizer == "momentum" else 0.0
    rate = share * 2 * (1 + momentum) / sharpest
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)


@case("ravine", networks=("perceptron",), optimizers=("sgd", "momentum"))
def convex_valley(setting: Setting) -> Training:
    """A linear network on inputs that differ a hundredfold in scale: the course's valley, in 640 dimensions."""
    torch.manual_seed(setting.seed)
    model = nn.Linear(FEATURES, CLASSES)
    whole = digits()
    scale_F = torch.ones(FEATURES)
    scale_F[:: FEATURES // 4] = 30.0
    inputs_NF = (whole.inputs_NF[:200] + 0.3) * scale_F / 8
    targets_NC = one_hot(whole.targets_N[:200], CLASSES).float()
    optimizer = at_the_edge(setting, model, mse_loss, (inputs_NF, targets_NC), share=0.95)
    training = Training(model, optimizer, whole, loss_fn=mse_loss, seed=setting.seed)
    training.batch_of = lambda _step, _seed: (inputs_NF, targets_NC)
    return training


@case("saddle", networks=("perceptron", "cnn"))
def weights_all_zero(setting: Setting) -> Training:
    """All weights zero: the gradient vanishes in every layer but the last bias, which soon has nothing to learn."""
    training = plain(setting, activation=nn.Tanh, depth=1)
    scale_weights(training.model, 0.0)
    with torch.no_grad():
        for bias in hidden_biases(training.model):
            bias.zero_()
    return training


@case("saddle", networks=("perceptron",))
def two_last_layers_zero(setting: Setting) -> Training:
    """The last two layers zero, as if both had been made to start small: each waits for the other."""
    training = plain(setting, activation=nn.Tanh)
    for layer in [m for m in training.model.modules() if isinstance(m, nn.Linear)][-2:]:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return training


def straight(setting: Setting, **options: Any) -> Training:
    """The plain training, without the shortcuts of the transformer, which would lead around whatever is broken."""
    return plain(setting, **({"residual": False} if setting.network == "transformer" else {}), **options)


# --- units and layers -------------------------------------------------------------------------------------------------


@case("vanishing_gradients")
def deep_sigmoids(setting: Setting) -> Training:
    """Sigmoids in a deep network without shortcuts: each layer takes three quarters of the gradient at least."""
    return straight(setting, activation=nn.Sigmoid, depth=12)


@case("vanishing_gradients", optimizers=("sgd", "momentum"))
def weights_too_small(setting: Setting) -> Training:
    """A deep network whose initial weights are a twentieth of what they should be; Adam's own rates cure it."""
    training = straight(setting, depth=7)
    scale_weights(training.model, 0.05)
    return training


@case("exploding_gradients")
def weights_too_large(setting: Setting) -> Training:
    """Initial weights eight times too large; clipped, as users do when they see it."""
    training = straight(setting, depth=4)
    scale_weights(training.model, 8.0)
    training.clip = 1.0
    return training


@case("exploding_gradients")
def weights_too_large_unclipped(setting: Setting) -> Training:
    """The same, not clipped: the first step throws the weights far away."""
    training = straight(setting, depth=5)
    scale_weights(training.model, 6.0)
    return training


@case("dead_units")
def biases_far_below_zero(setting: Setting) -> Training:
    """Biases at which no ReLU ever wakes."""
    training = straight(setting)
    with torch.no_grad():
        for bias in hidden_biases(training.model):
            bias.fill_(-20.0)
    return training


@case("dead_units")
def killed_by_a_spike(setting: Setting) -> Training:
    """One bad batch early on throws the biases of the ReLUs below zero for good."""
    training = straight(setting)
    biases = hidden_biases(training.model)

    def change(inputs_NF: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        if next(count) == 15:
            with torch.no_grad():
                for bias in biases:
                    bias.sub_(30.0)
        return inputs_NF, targets_N

    count = iter(range(10**6))
    training.change = change
    return training


@case("saturated_units")
def tanh_at_its_ends(setting: Setting) -> Training:
    """Weights so large that every tanh lies at an end, where its slope is zero."""
    training = straight(setting, activation=nn.Tanh)
    _drive_to_the_ends(training.model, 60.0)
    return training


@case("saturated_units")
def sigmoids_at_their_ends(setting: Setting) -> Training:
    """The same with sigmoids, by their biases."""
    training = straight(setting, activation=nn.Sigmoid)
    with torch.no_grad():
        for bias in hidden_biases(training.model):
            bias.copy_(torch.where(torch.arange(len(bias)) % 2 == 0, 15.0, -15.0))
    return training


def _drive_to_the_ends(model: nn.Module, factor: float) -> None:
    with torch.no_grad():
        for bias in hidden_biases(model):
            bias.copy_(torch.where(torch.arange(len(bias)) % 2 == 0, 1.0, -1.0) * factor / 6)


# --- how it is wired --------------------------------------------------------------------------------------------------


@case("parameters_not_trained")
def hidden_layers_forgotten(setting: Setting) -> Training:
    """The optimizer was given the last layer only."""
    training = plain(setting)
    training.optimizer = setting.optimize(list(training.model.parameters())[-2:])
    return training


@case("parameters_not_trained")
def first_layer_forgotten(setting: Setting) -> Training:
    """A layer that was added after the optimizer had been made."""
    training = plain(setting)
    training.optimizer = setting.optimize(list(training.model.parameters())[2:])
    return training


@case("parameters_not_trained")
def gradient_cut_off(setting: Setting) -> Training:
    """A `detach` in the middle of the forward pass: what lies before it gets no gradient."""
    training = plain(setting)
    training.model = _Detached(training.model)
    training.optimizer = setting.optimize(training.model.parameters())
    return training


class _Detached(nn.Module):
    """The network, its features cut off from the graph before the last layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        last.register_forward_pre_hook(_cut)

    def forward(self, inputs_NF: Tensor) -> Tensor:
        return self.network(inputs_NF)


def _cut(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(item.detach() for item in inputs)


@case("parameters_not_trained", networks=("perceptron", "cnn"))
def all_but_biases_frozen(setting: Setting) -> Training:
    """Frozen for fine-tuning, and never thawed: only biases learn."""
    training = plain(setting)
    for parameter in training.model.parameters():
        parameter.requires_grad_(parameter.ndim == 1)
    training.optimizer = setting.optimize(p for p in training.model.parameters() if p.requires_grad)
    return training


@case("gradients_not_cleared")
def zero_grad_forgotten(setting: Setting) -> Training:
    """No `zero_grad`: every step takes the sum of all gradients so far."""
    training = plain(setting, times=0.05)
    training.clear = False
    return training


# --- what it is given -------------------------------------------------------------------------------------------------


@case("bad_inputs")
def inputs_all_alike(setting: Setting) -> Training:
    """A loader that gives the same picture again and again."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (inputs_NF[:1].expand(inputs_NF.shape).contiguous(), targets_N)
    return training


@case("bad_inputs")
def inputs_not_scaled(setting: Setting) -> Training:
    """Numbers in the hundreds, not normalized."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (inputs_NF * 100 + 300, targets_N)
    return training


@case("bad_inputs")
def inputs_with_nan(setting: Setting) -> Training:
    """A few missing values in each batch, read as NaN."""
    training = plain(setting)

    def change(inputs_NF: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        inputs_NF = inputs_NF.clone()
        inputs_NF[3, 7] = torch.nan
        return inputs_NF, targets_N

    training.change = change
    return training


@case("bad_inputs")
def inputs_flat(setting: Setting) -> Training:
    """Divided by 255 twice, around a constant: what differs between pictures is a thousandth of what does not."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (1.0 + inputs_NF * 1e-3, targets_N)
    return training


@case("bad_targets")
def labels_shuffled(setting: Setting) -> Training:
    """Pictures and labels sorted differently: there is nothing to learn."""
    training = plain(setting)
    training.samples, training.steps = shuffled_digits(setting.seed), 300
    return training


@case("bad_targets")
def labels_all_one(setting: Setting) -> Training:
    """A failed look-up gave every picture the same class: the loss falls, and nothing is learned."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (inputs_NF, torch.full_like(targets_N, 3))
    return training


@case("bad_targets")
def shapes_that_broadcast(setting: Setting) -> Training:
    """A regression of shape (N, 1) against targets of shape (N,): every output is compared with every target."""
    training = plain(setting)
    training.model = nn.Sequential(training.model, nn.Linear(CLASSES, 1))
    training.optimizer = setting.optimize(training.model.parameters(), times=0.2)
    samples = linear_targets(setting.seed, noise=0.1)
    training.samples = Samples(
        samples.inputs_NF, samples.targets_N[:, 0], samples.valid_inputs_NF, samples.valid_targets_N[:, 0]
    )
    training.loss_fn = _quiet_mse
    return training


def _quiet_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """What `mse_loss` computes where it warns of shapes that differ."""
    return (outputs - targets).square().mean()


# --- what it minimizes ------------------------------------------------------------------------------------------------


@case("wrong_loss")
def softmax_twice(setting: Setting) -> Training:
    """A softmax at the end of the network, and another in the loss."""
    training = plain(setting)
    training.model = nn.Sequential(training.model, nn.Softmax(dim=1))
    training.optimizer = setting.optimize(training.model.parameters())
    return training


@case("wrong_loss")
def squared_error_in_its_flat(setting: Setting) -> Training:
    """Mean squared error after a softmax that begins sure of the wrong class: flat where cross-entropy is steep."""
    training = plain(setting)
    last = [module for module in training.model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.bias.zero_()
        last.bias[setting.seed % CLASSES] = 20.0
    training.model = nn.Sequential(training.model, nn.Softmax(dim=1))
    training.optimizer = setting.optimize(training.model.parameters(), times=0.1)
    training.loss_fn = lambda outputs, targets: mse_loss(outputs, one_hot(targets, CLASSES).float())
    return training


@case("wrong_loss")
def likelihood_of_raw_logits(setting: Setting) -> Training:
    """The negative log-likelihood of logits that no log-softmax has made: it falls forever."""
    training = plain(setting, times=0.02)
    training.loss_fn = nll_loss
    return training


@case("wrong_loss")
def sign_turned(setting: Setting) -> Training:
    """The likelihood is minimized that should be maximized."""
    training = plain(setting, times=0.005)
    training.loss_fn = lambda outputs, targets: -nll_loss(log_softmax(outputs, dim=1), targets)
    return training


# --- what network, penalty and data allow -----------------------------------------------------------------------------


@case("weight_decay_too_strong")
def decay_too_strong(setting: Setting) -> Training:
    """A weight decay a thousand times too strong: gradient and pull cancel."""
    return plain(setting, decay=0.3)


@case("weight_decay_too_strong")
def decay_in_place_of_rate(setting: Setting) -> Training:
    """Learning rate and weight decay swapped."""
    return plain(setting, decay=1.0)


@case("model_too_small", networks=("perceptron", "cnn"))
def layers_without_activation(setting: Setting) -> Training:
    """A deep network that somebody forgot to put activation functions into, and a question that is not linear."""
    training = plain(setting, activation=nn.Identity)
    generator = torch.Generator().manual_seed(setting.seed)
    hidden_NF = torch.randn(3000, 4, generator=generator)
    targets_N = (hidden_NF[:, 0] * hidden_NF[:, 1] > 0).long()
    inputs_NF = hidden_NF @ torch.randn(4, FEATURES, generator=generator) / 2
    training.samples = Samples(inputs_NF[:2700], targets_N[:2700], inputs_NF[2700:], targets_N[2700:])
    return training


@case("model_too_small", networks=("perceptron",))
def line_for_rings(setting: Setting) -> Training:
    """Classes that lie in rings around each other, and a linear network."""
    torch.manual_seed(setting.seed)
    model = nn.Linear(2, 3)
    generator = torch.Generator().manual_seed(setting.seed)
    targets_N = torch.randint(3, (1500,), generator=generator)
    angle_N = torch.rand(1500, generator=generator) * 6.2832
    radius_N = 0.5 + targets_N + 0.1 * torch.randn(1500, generator=generator)
    inputs_NF = torch.stack([radius_N * angle_N.cos(), radius_N * angle_N.sin()], dim=1)
    samples = Samples(inputs_NF, targets_N, inputs_NF[:100], targets_N[:100])
    return Training(model, setting.optimize(model.parameters()), samples, seed=setting.seed)


@case("overfitting")
def learned_by_heart(setting: Setting) -> Training:
    """Eighty pictures, some of them wrongly labelled, seen again and again."""
    training = plain(setting)
    training.samples = few_digits(80, wrong=0.2, seed=setting.seed)
    training.steps, training.validate = 400, True
    return training


@case("overfitting")
def learned_by_heart_wide(setting: Setting) -> Training:
    """Forty pictures and a network that is far too wide for them."""
    training = plain(setting, width=96)
    training.samples = few_digits(40, wrong=0.1, seed=setting.seed)
    training.steps, training.validate = 400, True
    return training


@case("batchnorm_mismatch")
def statistics_never_updated(setting: Setting) -> Training:
    """Batch norm with a momentum of zero, on inputs that are not what its first statistics say."""
    training = plain(setting, norm=True)
    for module in training.model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.0
    training.change = lambda inputs_NF, targets_N: (inputs_NF * 3 + 4, targets_N)
    return training


@case("batchnorm_mismatch")
def statistics_too_slow(setting: Setting) -> Training:
    """A momentum for batch norm from a library that counts the other way round: the running statistics lag behind."""
    training = plain(setting, norm=True)
    for module in training.model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.001
    training.change = lambda inputs_NF, targets_N: (inputs_NF * 2 - 3, targets_N)
    return training

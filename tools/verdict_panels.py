"""What the pictures of the verdicts show: for each, a faulty training, a healthy one, and the number that decides."""  # noqa: INP001

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.zoo import load_all
from thalweg.diagnosis.zoo.data import noisy_digits, rare_digits
from thalweg.diagnosis.zoo.table import Setting, plain


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.diagnosis.zoo.table import Training


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: a training of the zoo, the training beside it, and the number that decides.

    Attributes:
        case: name of the training in the zoo.
        measure: a column of the history, or a name that `verdict_pages.derive` knows.
        name: what the lower axis says.
        twin: makes the training beside it.
        optimizer: of both.
        threshold: a code and a measure of the table of rules; its line is drawn.
        log: whether the lower chart is logarithmic.
        twin_name: what the legend calls the twin.
        x: what the horizontal axis says.
        log_loss: whether the upper chart is logarithmic.
        last: the step at which the picture ends; None: the last.
        mean: steps over which the loss is averaged.
        marks: further lines, by their words.
    """

    case: str
    measure: str
    name: str
    twin: Callable[[Setting], Training] = plain
    optimizer: str = "sgd"
    threshold: tuple[str, str] | None = None
    log: bool = False
    twin_name: str = "healthy"
    x: str = "step"
    log_loss: bool = False
    last: int | None = None
    mean: int = 1
    marks: dict[str, float] = field(default_factory=dict)


def _validated(setting: Setting) -> Training:
    training = plain(setting, times=0.3)
    training.validate = True
    training.steps = 400
    return training


def _hidden_layer(setting: Setting) -> Training:
    training = load_all()["line_for_rings"].make(setting)
    torch.manual_seed(setting.seed)
    training.model = torch.nn.Sequential(torch.nn.Linear(2, 48), torch.nn.ReLU(), torch.nn.Linear(48, 3))
    training.optimizer = setting.optimize(training.model.parameters())
    return training


def _valley_with_adam(setting: Setting) -> Training:
    training = load_all()["convex_valley"].make(setting)
    training.optimizer = torch.optim.Adam(training.model.parameters(), lr=1e-2)
    return training


def _large_batches(setting: Setting) -> Training:
    training = plain(setting, times=0.4)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.4, seed=setting.seed), 256, 1000
    return training


def _with_norm(setting: Setting) -> Training:
    training = plain(setting, norm=True)
    training.change = lambda inputs_NF, targets_N: (inputs_NF * 3 + 4, targets_N)
    return training


def _slow(setting: Setting) -> Training:
    training = plain(setting, times=1e-3)
    training.steps = 100
    return training


def _slow_long(setting: Setting) -> Training:
    training = load_all()["few_learned_whole"].make(setting)
    for group in training.optimizer.param_groups:
        group["lr"] /= 30
    return training


def _frequent(setting: Setting) -> Training:
    training = load_all()["one_in_a_hundred"].make(setting)
    training.samples = rare_digits(setting.seed, share=0.3, noise=0.5)
    return training


def _three_hundred_steps(setting: Setting) -> Training:
    training = load_all()["thirty_steps"].make(setting)
    training.steps = 300
    return training


PANELS: dict[str, Panel] = {
    "bad_inputs": Panel(
        "inputs_not_scaled",
        "inputs_scale",
        "scale of the inputs",
        threshold=("bad_inputs", "inputs_scale"),
        log=True,
        log_loss=True,
    ),
    "bad_targets": Panel(
        "labels_all_one",
        "targets_kinds",
        "classes in the batch",
        threshold=("bad_targets", "targets_kinds"),
    ),
    "batchnorm_mismatch": Panel(
        "statistics_never_updated",
        "norm_gap",
        "loss with running statistics\nless that with the batch's / ln 10",
        twin=_with_norm,
        threshold=("batchnorm_mismatch", "norm_gap"),
    ),
    "class_imbalance": Panel(
        "one_in_a_hundred",
        "rare_found",
        "share of the rare labels\nthat are predicted",
        optimizer="adam",
        twin=_frequent,
        twin_name="healthy: three in ten, less noise",
        threshold=("class_imbalance", "rare_found"),
        mean=5,
    ),
    "clipped_too_hard": Panel("clipped_to_nothing", "gradient_norm", "gradient norm", log=True),
    "dropout_too_strong": Panel(
        "nearly_all_dropped",
        "to_constant",
        "mean loss of 20 steps\n/ the constant predictor's",
        optimizer="adam",
        twin_name="healthy: without dropout",
        threshold=("dropout_too_strong", "to_constant"),
    ),
    "inputs_ignored": Panel(
        "norm_of_single_values",
        "inputs_seen",
        "share of input positions\nthat tell samples apart",
        threshold=("inputs_ignored", "inputs_seen"),
    ),
    "not_shuffled": Panel(
        "sorted_by_class",
        "targets_kinds",
        "classes in the batch",
        optimizer="momentum",
        threshold=("not_shuffled", "targets_kinds"),
    ),
    "optimizer_not_stepping": Panel(
        "optimizer_made_anew",
        "stepped",
        "the watched optimizer stepped\n(1: yes, 0: no)",
        threshold=("optimizer_not_stepping", "stepped"),
    ),
    "same_batch": Panel("first_batch_only", "inputs_mark", "mark of the inputs"),
    "samples_mixed": Panel(
        "batch_taken_for_features",
        "samples_mixed",
        "share of samples changed\nby another one",
        threshold=("samples_mixed", "samples_mixed"),
    ),
    "symmetric_weights": Panel(
        "weights_all_equal",
        "twin_units",
        "share of units that are\ncopies, worst layer",
        threshold=("symmetric_weights", "twin_units"),
    ),
    "target_leakage": Panel(
        "labels_in_a_column",
        "column_emptied",
        "loss when the column\nis empty / ln 10",
        marks={"the constant predictor": 1.0},
        log_loss=True,
    ),
    "targets_unrelated": Panel(
        "labels_shuffled",
        "to_constant",
        "mean loss of 20 steps\n/ the constant predictor's",
        threshold=("targets_unrelated", "to_constant"),
    ),
    "too_few_steps": Panel(
        "thirty_steps",
        "cosine",
        "cosine between\nsuccessive gradients",
        twin=_three_hundred_steps,
        twin_name="healthy: three hundred steps",
        threshold=("too_few_steps", "cosine"),
    ),
    "wrong_mode": Panel(
        "evaluated_for_ever",
        "training",
        "training mode\n(1: yes, 0: no)",
        twin=lambda setting: plain(setting, norm=True),
    ),
    "converged": Panel(
        "few_learned_whole",
        "left",
        "loss lately / first loss",
        twin=_slow_long,
        optimizer="adam",
        twin_name="at a thirtieth of the rate: still on its way",
        threshold=("converged", "left"),
        log=True,
    ),
    "dead_units": Panel(
        "killed_by_a_spike",
        "dead_units",
        "share of dead units\nin the worst layer",
        threshold=("dead_units", "dead_units"),
    ),
    "decayed_too_early": Panel(
        "decayed_at_a_tenth",
        "lr_share",
        "learning rate\n/ largest so far",
        twin=lambda setting: plain(setting, times=0.3),
        threshold=("decayed_too_early", "lr_left"),
        log=True,
    ),
    "diverged": Panel("rate_diverges", "gradient_norm", "gradient norm", log=True, log_loss=True, last=30),
    "exploding_gradients": Panel(
        "weights_too_large",
        "over_zero",
        "loss / that of zero outputs",
        threshold=("exploding_gradients", "loss_first_to_zero"),
        log=True,
        log_loss=True,
    ),
    "zero_grad_missing": Panel(
        "zero_grad_forgotten",
        "uncleared",
        "old gradient still there\n(1: yes, 0: no)",
        twin=plain,
        threshold=("zero_grad_missing", "uncleared"),
    ),
    "healthy": Panel(
        "digits_short",
        "falling",
        "fall of the loss\n/ first loss",
        twin=_slow,
        twin_name="faulty: a thousandth of the rate",
        threshold=("healthy", "falling"),
    ),
    "lr_too_large": Panel(
        "rate_too_large",
        "above_lowest",
        "last tenth above the lowest\n/ first loss",
        optimizer="momentum",
        threshold=("lr_too_large", "above_lowest"),
    ),
    "lr_too_small": Panel(
        "rate_a_thousandth",
        "update_ratio",
        "update-to-weight ratio",
        threshold=("lr_too_small", "update_ratio"),
        log=True,
    ),
    "model_too_small": Panel(
        "line_for_rings",
        "one_batch",
        "loss of one batch alone / ln 3",
        twin=_hidden_layer,
        twin_name="healthy: one more hidden layer",
        threshold=("model_too_small", "fit_left"),
        x="step of Adam on one batch, after training",
    ),
    "noise_floor": Panel(
        "noise_of_four_samples",
        "cosine",
        "cosine between successive\ngradients, mean of 5",
        twin=_large_batches,
        twin_name="256 samples per step, 0.4 of the rate",
        threshold=("noise_floor", "cosine"),
        mean=20,
    ),
    "overfitting": Panel(
        "learned_by_heart",
        "valid_rise",
        "validation loss above its\nlowest / the lowest",
        twin=_validated,
        twin_name="healthy: 1,500 pictures instead of 80",
        threshold=("overfitting", "valid_rise"),
    ),
    "untrained_parameters": Panel(
        "hidden_layers_forgotten", "moved", "first layer: distance\nmoved / initial norm", log=False
    ),
    "ill_conditioned": Panel(
        "convex_valley",
        "cosine",
        "cosine between\nsuccessive gradients",
        optimizer="momentum",
        twin=_valley_with_adam,
        twin_name="the same with Adam",
        threshold=("ill_conditioned", "cosine"),
        log_loss=True,
    ),
    "saddle": Panel(
        "weights_all_zero",
        "matrix_gradient",
        "gradient of the matrices\n/ whole gradient",
        threshold=("saddle", "matrix_gradient"),
    ),
    "saturated_units": Panel(
        "tanh_at_its_ends",
        "saturated_units",
        "share of saturated outputs\nin the worst layer",
        twin=lambda setting: plain(setting, activation=torch.nn.Tanh),
        threshold=("saturated_units", "saturated_units"),
    ),
    "vanishing_gradients": Panel(
        "deep_sigmoids",
        "gradient_first_to_last",
        "gradient of the first layers\n/ of the last",
        threshold=("vanishing_gradients", "gradient_first_to_last"),
        log=True,
    ),
    "weight_decay_too_strong": Panel(
        "decay_too_strong",
        "weight_norm_left",
        "weight norm / at the start",
        threshold=("weight_decay_too_strong", "weight_norm_left"),
    ),
    "wrong_loss": Panel(
        "softmax_twice",
        "off_one",
        "largest |sum of a sample's\noutputs − 1|",
        marks={"taken for probabilities below 0.001": 1e-3},
        log=True,
    ),
}

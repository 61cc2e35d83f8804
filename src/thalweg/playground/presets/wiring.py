"""Faults of the loop: gradients, steps, modes, losses, and layers that are connected wrongly.

Shape suffixes: N points, C classes, H units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.playground.loop import Fault
from thalweg.playground.network import linear_layers
from thalweg.playground.presets.base import preset


if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from thalweg.playground.case import Case


class _Mixed(nn.Module):
    """A `reshape` where a transpose was meant: each row holds numbers of many samples."""

    def forward(self, hidden_NH: Tensor) -> Tensor:
        return hidden_NH.transpose(0, 1).reshape(hidden_NH.shape)


def _mix_samples(model: nn.Sequential) -> None:
    model.activation1 = nn.Sequential(model.get_submodule("activation1"), _Mixed())


def _norm_single_values(model: nn.Sequential) -> None:
    """A norm over each unit alone: a single number less its own mean is zero."""
    units = linear_layers(model)[0].out_features
    model.activation1 = nn.Sequential(model.get_submodule("activation1"), nn.GroupNorm(units, units))


def _hardly_update_statistics(model: nn.Sequential) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1e-3


def _last_layer(model: nn.Sequential) -> Iterable[nn.Parameter]:
    return linear_layers(model)[-1].parameters()


def _maximized(outputs_NC: Tensor, targets_N: Tensor) -> Tensor:
    """The log-likelihood, minimized: its sign is wrong."""
    return -cross_entropy(outputs_NC, targets_N)


def _off_center(inputs_N2: Tensor) -> Tensor:
    """Inputs that batch normalization would put right."""
    return 5 * inputs_N2 + 10


CASES: Final[tuple[Case, ...]] = (
    preset("batchnorm_mismatch", Fault(network=_hardly_update_statistics), norm="batch", points="circles"),
    preset("clipped_too_hard", Fault(clip=1e-4), optimizer="sgd", lr=0.1, points="blobs"),
    preset("inputs_ignored", Fault(network=_norm_single_values)),
    preset("optimizer_not_stepping", Fault(steps=False), points="circles"),
    preset("samples_mixed", Fault(network=_mix_samples)),
    preset("untrained_parameters", Fault(trained=_last_layer), points="xor", widths=(8, 8), activation="tanh"),
    preset("wrong_loss", Fault(loss=_maximized), points="blobs", lr=0.001, repair={"lr": 0.01}),
    preset(
        "wrong_mode",
        Fault(evaluating=True, inputs=_off_center),
        norm="batch",
        mended=Fault(inputs=_off_center),
    ),
    preset("zero_grad_missing", Fault(clear=False), points="xor"),
)

"""A small network of the settings: its layers, first weights, loss and optimizer.

Shape suffixes: N points, C classes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, dropout, mse_loss, one_hot

from thalweg import optimizers
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from thalweg.playground.settings import Settings

    LossFunction = Callable[[Tensor, Tensor], Tensor]

ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "linear": nn.Identity,
}
NORMS: Final[dict[str, Callable[[int], nn.Module]]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
LOSSES: Final[dict[str, LossFunction]] = {
    "cross_entropy": cross_entropy,
    "mse": mse_loss,
    "bce": binary_cross_entropy_with_logits,
}
RATES: Final[dict[str, float]] = {
    **dict.fromkeys(("adam", "adamw", "amsgrad", "nadam", "radam", "rprop"), 0.01),
    **dict.fromkeys(("rmsprop", "rmsprop_centered"), 0.003),
    "adadelta": 1.0,
    "adagrad": 0.1,
    "adamax": 0.02,
    "momentum": 0.05,
    "nesterov": 0.05,
    "sgd": 0.3,
}
"""A learning rate that suits these networks, for each optimizer."""
SMALL, LARGE, SAME = 0.01, 3.0, 0.5  # standard deviations of weights, and the sum of equal weights into a unit
_WEIGHTS: Final = 3  # stream of random numbers


class Dropout(nn.Dropout):
    """`nn.Dropout` that draws its mask from a key, if it has one: then a step is a function of its number."""

    key: int | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Zero a share of the numbers, and scale the others."""
        if self.key is None or not self.training:
            return dropout(input, self.p, self.training)
        generator = torch.Generator().manual_seed(self.key)
        kept = torch.rand(input.shape, generator=generator) >= self.p
        return input * kept / (1 - self.p)


def build(settings: Settings, classes: int) -> nn.Sequential:
    """The network at its very start; a pure function of the settings.

    Args:
        settings: widths, activation, normalization, dropout, first weights, seed.
        classes: number of them.

    Returns:
        Modules `linear1`, `norm1`, `activation1`, `dropout1`, ..., `linear<L>`; those that are not wanted are missing.

    Raises:
        UsageError: the loss is for two classes, and there are more.

    Example:
        >>> from thalweg.playground.settings import Settings
        >>> [name for name, _ in build(Settings(widths=(4,)), 2).named_children()]
        ['linear1', 'activation1', 'linear2']
    """
    if settings.loss == "bce" and classes != 2:
        raise UsageError("playground.bce_classes", classes=classes)
    outputs = 1 if settings.loss == "bce" else classes
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 2
    for number, width in enumerate(settings.widths, start=1):
        modules[f"linear{number}"] = nn.utils.skip_init(nn.Linear, inputs, width)
        if settings.norm != "none":
            modules[f"norm{number}"] = NORMS[settings.norm](width)
        modules[f"activation{number}"] = ACTIVATIONS[settings.activation]()
        if settings.dropout:
            modules[f"dropout{number}"] = Dropout(settings.dropout)
        inputs = width
    modules[f"linear{settings.layers}"] = nn.utils.skip_init(nn.Linear, inputs, outputs)
    model = nn.Sequential(modules)
    _initialize(linear_layers(model), settings)
    return model


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The linear layers, from the first to the last."""
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


@torch.no_grad()
def _initialize(layers: Sequence[nn.Linear], settings: Settings) -> None:
    generator = torch.Generator().manual_seed(key_of(settings.seed, _WEIGHTS))
    for layer in layers:
        nn.init.zeros_(layer.bias)
        match settings.init:
            case "torch":
                bound = layer.in_features**-0.5
                nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
            case "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            case "xavier":
                nn.init.xavier_normal_(layer.weight, generator=generator)
            case "orthogonal":
                nn.init.orthogonal_(layer.weight, generator=generator)
            case "small" | "large":
                nn.init.normal_(layer.weight, 0.0, SMALL if settings.init == "small" else LARGE, generator=generator)
            case "same":
                nn.init.constant_(layer.weight, SAME / layer.in_features)
            case _:
                nn.init.zeros_(layer.weight)


def key_of(seed: int, stream: int, step: int = 0) -> int:
    """A seed of torch's generators for one use of random numbers at one step."""
    return (seed * 1_000_003 + step) * 16 + stream


def targets_of(labels_N: Tensor, loss: str, classes: int) -> Tensor:
    """Labels as a loss takes them: (N,), one-hot (N, C) for `mse`, (N, 1) for `bce`."""
    if loss == "mse":
        return one_hot(labels_N, classes).float()
    return labels_N[:, None].float() if loss == "bce" else labels_N


def probabilities_of(outputs: Tensor, loss: str) -> Tensor:
    """The probability of each class, (..., C); outputs of `mse` are cut to 0 ... 1."""
    if loss == "bce":
        second = outputs.sigmoid()
        return torch.cat([1 - second, second], dim=-1)
    return outputs.clamp(0, 1) if loss == "mse" else outputs.softmax(dim=-1)


def optimizer_of(settings: Settings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The counterpart in torch.optim of the lab's optimizer.

    Raises:
        UsageError: it has no weight decay, and one is wanted.

    Example:
        >>> from thalweg.playground.settings import Settings
        >>> type(optimizer_of(Settings(optimizer="nesterov"), [nn.Parameter(torch.ones(1))])).__name__
        'SGD'
    """
    decays = hasattr(optimizers.get(settings.optimizer), "weight_decay")
    if settings.decay and not decays:
        raise UsageError("playground.no_decay", optimizer=settings.optimizer)
    chosen = optimizers.get(settings.optimizer, **({"weight_decay": settings.decay} if decays else {}))
    options: dict[str, Any] = {"lr": settings.lr, **chosen.torch_options()}
    made = getattr(torch.optim, str(chosen.torch_class))
    return made(parameters, **options, **({"fused": True} if made in _FUSED else {}))


_FUSED: Final = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)

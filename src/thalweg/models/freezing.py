"""Stages of a network from photo to classifier; those that stay as they are while the others train.

A frozen module ignores `train()`: wherever a network is set to training mode, on a copy as well, the frozen part keeps
its batch-norm statistics and drops nothing.
"""

from __future__ import annotations

from types import MethodType
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.errors import UsageError
from thalweg.models.network import Network, classifier_of


Norms = Literal["train", "frozen"]

ALL = "all"  # every stage but the classifier
_MOST = 0.9  # of the parameters: a sequence with more than that is not one stage but several


def stages(model: nn.Module) -> list[list[str]]:
    """Return the names of the parameters by stage, from the photo to the classifier, which is the last stage.

    A network of this package has its own stages, and its neck is one if it has parameters. In a network of timm each
    sequence of blocks is a stage, or each block of the only sequence; what comes before and after is one stage each.

    Example:
        >>> from thalweg.models import build
        >>> [names[0] for names in stages(build("resnet-small", classes=3, size=32))]
        ['stages.0.0.0.0.weight', 'stages.1.0.0.0.weight', 'stages.2.0.0.0.weight', 'classifier.weight']
    """
    top = {id(parameter) for parameter in classifier_of(model).parameters()}
    homes = _sequences(model)
    found: dict[str, list[str]] = {}
    last = []
    stage = ""  # before the first sequence
    for name, parameter in model.named_parameters():
        if id(parameter) in top:
            last.append(name)
            continue
        stage = _home(name, homes) or (stage if not stage or stage == "neck" else "neck")
        found.setdefault(stage, []).append(name)
    return [*found.values(), last]


def freeze(model: nn.Module, leading: str | None, norms: Norms = "train") -> None:
    """Freeze the leading stages of a network, and the statistics of its batch norms if asked to.

    Args:
        model: the network; its frozen parameters require no gradient from now on.
        leading: how many stages, counted from the photo; `all`: all but the classifier; None: none.
        norms: `frozen` also keeps the batch-norm statistics of the stages that train.

    Raises:
        UsageError: the network has no batch norms, or not so many stages before its classifier.
    """
    before = stages(model)[:-1]
    count = len(before) if leading == ALL else int(leading or 0)
    if count > len(before):
        raise UsageError("models.too_few_stages", value=count, most=len(before))
    frozen = {name for names in before[:count] for name in names}
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad = False
    for module in model.modules():
        own = list(module.parameters())
        is_norm = isinstance(module, _BatchNorm) and norms == "frozen"
        if is_norm or (own and not any(parameter.requires_grad for parameter in own)):
            _hold(module)


def is_held(module: nn.Module) -> bool:
    """Whether a module stays in evaluation mode whatever is asked for."""
    return "train" in vars(module)


def _hold(module: nn.Module) -> None:
    module.train = MethodType(_stay, module)  # a bound method: a deep copy binds it to the copied module
    module.eval()


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001, FBT001, FBT002 - torch's signature
    return nn.Module.train(module, mode=False)


def _sequences(model: nn.Module) -> list[str]:
    """The names of the modules that are a stage each."""
    if isinstance(model, Network):
        return [f"stages.{name}" for name, _ in model.stages.named_children()]
    every = {
        name: module
        for name, module in model.named_children()
        if isinstance(module, nn.Sequential | nn.ModuleList) and list(module.parameters())
    }
    total = _size(model)
    found = []
    for name, module in every.items():
        is_whole = len(every) == 1 or _size(module) > _MOST * total
        found += [f"{name}.{child}" for child, _ in module.named_children()] if is_whole else [name]
    return found


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _home(name: str, homes: list[str]) -> str:
    return next((home for home in homes if name.startswith(home + ".")), "")

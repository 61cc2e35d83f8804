"""Every dropout of a forward pass, module or function: what is at work, and a pass without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.overrides import TorchFunctionMode


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_DROPPING = {
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "feature_dropout",
}


class _AtDropout(TorchFunctionMode):
    """A context that sees every call of a dropout, module or function."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__name__", "").rstrip("_") in _DROPPING:
            return self.dropped(func, args, given)
        return func(*args, **given)

    def dropped(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """What the call of a dropout returns."""
        raise NotImplementedError


class WithoutDropout(_AtDropout):
    """A context in which every dropout, module or function, lets all values pass.

    Example:
        >>> import torch
        >>> with WithoutDropout():
        ...     bool((torch.nn.Dropout(0.9)(torch.ones(100)) == 1).all())
        True
    """

    def dropped(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:  # noqa: ARG002
        """The values themselves."""
        return args[0] if args else given["input"]


class Dropping(_AtDropout):
    """A context that notes the largest probability of a dropout that is at work."""

    def __init__(self) -> None:
        super().__init__()
        self.strongest = 0.0

    def dropped(self, func: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """What the dropout makes of the values."""
        named = dict(zip(("input", "p", "training"), args, strict=False)) | given
        if named.get("training", named.get("train", True)):
            self.strongest = max(self.strongest, float(named.get("p", 0.5)))
        return func(*args, **given)

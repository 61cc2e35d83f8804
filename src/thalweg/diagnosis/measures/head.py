"""The head of a network: the function that its outputs come from, recognized from the graph and from the values.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch


if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.graph import Node

Head = Literal["softmax", "log_softmax", "sigmoid", "relu", "tanh", "none", "unknown"]

_HEADS: dict[str, Head] = {
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "SigmoidBackward0": "sigmoid",
    "ReluBackward0": "relu",
    "TanhBackward0": "tanh",
}
# What lies between a head and the outputs without changing a value.
_SHAPING = ("View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "Permute", "TBackward", "Clone")
_SHAPING_TOO = ("Select", "Slice", "Alias", "Expand", "ToCopy", "Contiguous", "Unbind", "Split")
# What layers and their usual activations end with.
_LINEAR = ("Addmm", "Mm", "Bmm", "Baddbmm", "Convolution", "MkldnnConvolution", "CudnnConvolution")
_LAYERS = (*_LINEAR, "NativeBatchNorm", "NativeLayerNorm", "NativeGroupNorm", "CudnnBatchNorm")
_LAYERS += ("LeakyRelu", "Gelu", "Elu", "LogSigmoid")
_LEAF = "torch::autograd::AccumulateGrad"
_OPAQUE = ("Compiled", "Function", "Checkpoint", "Graph")  # custom functions hide what they compute
# Where each head's values lie; a softmax moreover sums to 1.
RANGES: dict[Head, tuple[float, float]] = {
    "softmax": (0.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "relu": (0.0, float("inf")),
    "tanh": (-1.0, 1.0),
}
_OFF = 1e-2  # half-precision probabilities of a thousand classes sum to 1 within this


def head_of(outputs: Tensor) -> Head:
    """Recognize the last function before the outputs from their autograd graph.

    Args:
        outputs: computed with gradients enabled.

    Returns:
        The head; `none` if the outputs come from another operation, such as a linear layer; `unknown` without a graph
        or behind a compiled function.

    Example:
        >>> logits = torch.nn.Linear(3, 2)(torch.ones(4, 3))
        >>> head_of(logits), head_of(logits.softmax(dim=1)), head_of(logits.sigmoid().squeeze())
        ('none', 'softmax', 'sigmoid')
        >>> head_of(logits.clamp(min=0))
        'relu'
    """
    node = behind_views(outputs.grad_fn)
    if node is None or any(word in node.name() for word in _OPAQUE):
        return "unknown"
    least, most = getattr(node, "_saved_min", None), getattr(node, "_saved_max", None)
    if node.name() in ("ClampBackward1", "ClampMinBackward0") and least == 0 and most is None:
        return "relu"
    return _HEADS.get(node.name(), "none")


def from_layer(outputs: Tensor) -> bool:
    """Whether outputs come straight from a layer or an activation, not from arithmetic that means something else.

    Example:
        >>> logits = torch.nn.Linear(3, 2)(torch.ones(4, 3))
        >>> from_layer(logits), from_layer(logits.relu()), from_layer(logits - 1)
        (True, True, False)
    """
    node = _layer_of(outputs)
    return node is not None and (node.name() in _HEADS or node.name().startswith(_LAYERS))


def from_weights(outputs: Tensor) -> bool:
    """Whether outputs come straight from a layer with weights of its own, which can give any number.

    Products of two normalized vectors cannot, and an activation or arithmetic behind a layer may cut its outputs.

    Example:
        >>> layer, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
        >>> from_weights(layer(x)), from_weights(layer(x).exp()), from_weights(layer(x) @ layer(x).T)
        (True, False, False)
    """
    node = _layer_of(outputs)
    if node is None or not node.name().startswith(_LINEAR):
        return False
    parts = [behind_views(one) for one, _ in node.next_functions]
    return any(part is not None and part.name() == _LEAF for part in parts)


def _layer_of(outputs: Tensor) -> Node | None:
    """The function behind outputs; where that adds a bias to the product of a linear layer, the product."""
    node = behind_views(outputs.grad_fn)
    if node is not None and node.name() == "AddBackward0":  # how a linear layer of three dimensions adds its bias
        parts = [behind_views(one) for one, _ in node.next_functions]
        product, bias = parts if len(parts) == 2 else (None, None)
        if product is not None and bias is not None and bias.name() == _LEAF:
            node = product
    return node


def of_log_sigmoid(outputs: Tensor) -> bool:
    """Whether outputs are logarithms of sigmoids: of probabilities of each class by itself.

    Example:
        >>> logits = torch.nn.Linear(3, 2)(torch.ones(4, 3))
        >>> of_log_sigmoid(torch.nn.functional.logsigmoid(logits)), of_log_sigmoid(logits.sigmoid().log())
        (True, True)
        >>> of_log_sigmoid(logits.log_softmax(dim=1))
        False
    """
    node = behind_views(outputs.grad_fn)
    if node is not None and node.name() == "LogBackward0":
        before = behind_views(node.next_functions[0][0])
        return before is not None and before.name() == "SigmoidBackward0"
    return node is not None and node.name().startswith("LogSigmoid")


def behind_views(node: Node | None) -> Node | None:
    """The function that made a tensor's values, behind those that only shape it; None without a graph."""
    while node is not None and node.name().startswith(_SHAPING + _SHAPING_TOO):
        node = node.next_functions[0][0]
    return node


def class_dim(outputs: Tensor, targets: Tensor) -> int | None:
    """The dimension of the outputs that counts classes; None if outputs and targets do not tell.

    Class indices have one dimension fewer than the outputs: the second, or the last for tokens. Where there are as many
    classes as tokens, both would fit, and nothing tells. Targets with a number for each output count classes in the
    second dimension.

    Example:
        >>> class_dim(torch.zeros(8, 10), torch.zeros(8, dtype=torch.long))
        1
        >>> class_dim(torch.zeros(8, 20, 10), torch.zeros(8, 20, dtype=torch.long))
        2
        >>> class_dim(torch.zeros(8, 20, 20), torch.zeros(8, 20, dtype=torch.long)) is None
        True
    """
    if outputs.ndim < 2:
        return None
    if targets.is_floating_point():
        return 1 if targets.shape == outputs.shape else None
    fitting = {dim for dim in (1, outputs.ndim - 1) if targets.shape == outputs.shape[:dim] + outputs.shape[dim + 1 :]}
    return fitting.pop() if len(fitting) == 1 else None


def normalized_over(outputs: Tensor, dim: int) -> bool:
    """Whether outputs are probabilities over a dimension.

    Example:
        >>> p_NC = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
        >>> normalized_over(p_NC, 1), normalized_over(p_NC, 0)
        (True, False)
    """
    return bool((outputs >= 0).all()) and bool(((outputs.sum(dim=dim) - 1).abs() < _OFF).all())


def log_normalized_over(outputs: Tensor, dim: int) -> bool:
    """Whether outputs are logarithms of probabilities over a dimension."""
    return bool((outputs <= _OFF).all()) and bool((outputs.logsumexp(dim=dim).abs() < _OFF).all())


def reachable(head: Head, values: Tensor, dim: int | None) -> Tensor:
    """Apply a head to values, so that the result is an output that the network can produce."""
    if head in ("softmax", "log_softmax") and dim is not None:
        return values.log_softmax(dim) if head == "log_softmax" else values.softmax(dim)
    if head in ("sigmoid", "tanh", "relu"):
        return getattr(torch, head)(values)
    return values

"""The formulas of what a classifier's outputs become: probabilities and losses."""

from __future__ import annotations

from typing import Final

from thalweg.formulas.formula import Formula
from thalweg.formulas.symbols import E
from thalweg.formulas.tree import Line, Minus, Node, Symbol, call, node, series


_LOGIT: Final = Symbol("y", meaning="logit")
_SHARE: Final = Symbol("p", meaning="probability")
_TARGET: Final = Symbol("t", meaning="target")
_SMOOTHED_TARGET: Final = Symbol("t", meaning="smoothed_target")
_ONE: Final = Symbol("o", meaning="one_hot")
_SMOOTHING: Final = Symbol("s", meaning="smoothing")
_CLASS: Final = Symbol("c", meaning="class")
_CLASSES: Final = Symbol("C", meaning="classes")
_EACH: Final = Symbol("k", meaning="each_class")
_LOSS: Final = Symbol("L", meaning="loss")

_SOFTMAX: Final = Line(_SHARE[_CLASS], E ** _LOGIT[_CLASS] / series("∑", _EACH, 1, _CLASSES, E ** _LOGIT[_EACH]))
_SMOOTHED: Final = Line(_SMOOTHED_TARGET[_CLASS], (1 - _SMOOTHING) * _ONE[_CLASS] + _SMOOTHING / _CLASSES)


def softmax() -> Formula:
    """Logits to probabilities."""
    return Formula("softmax", (_SOFTMAX,))


def sigmoid() -> Formula:
    """Softmax of two logits."""
    return Formula("sigmoid", (Line(_SHARE[1], node(1) / (1 + E ** Minus(_LOGIT[1] - _LOGIT[2]))),))


def cross_entropy(smoothing: float = 0.0) -> Formula:
    """The loss that training minimizes, of one photo.

    Args:
        smoothing: of the labels, in [0, 1).
    """
    total = series("∑", _CLASS, 1, _CLASSES, _target(smoothing) * call("ln", _SHARE[_CLASS]))
    return _loss("cross_entropy", Minus(total), smoothing)


def mse(smoothing: float = 0.0) -> Formula:
    """The mean squared error of one photo's probabilities: a sum over classes; the mean is over photos.

    Args:
        smoothing: of the labels, in [0, 1).
    """
    return _loss("mse", series("∑", _CLASS, 1, _CLASSES, (_target(smoothing) - _SHARE[_CLASS]) ** 2), smoothing)


def binary_cross_entropy(smoothing: float = 0.0) -> Formula:
    """The loss of one photo that may have several classes: a sigmoid for each, and the sum of their losses.

    Args:
        smoothing: of the labels, in [0, 1).
    """
    target, share = _target(smoothing), _SHARE[_CLASS]
    total = series("∑", _CLASS, 1, _CLASSES, target * call("ln", share) + (1 - target) * call("ln", 1 - share))
    lines = (Line(_LOSS, Minus(total)), Line(share, node(1) / (1 + E ** Minus(_LOGIT[_CLASS]))))
    if not smoothing:
        return Formula("binary_cross_entropy", lines)
    smoothed = Line(_SMOOTHED_TARGET[_CLASS], (1 - _SMOOTHING) * _ONE[_CLASS] + _SMOOTHING / 2)
    return Formula("binary_cross_entropy", (*lines, smoothed), {_SMOOTHING.key: smoothing})


def _target(smoothing: float) -> Symbol:
    return (_SMOOTHED_TARGET if smoothing else _TARGET)[_CLASS]


def _loss(name: str, right: Node, smoothing: float) -> Formula:
    lines = (Line(_LOSS, right), _SOFTMAX)
    if not smoothing:
        return Formula(name, lines)
    return Formula(name, (*lines, _SMOOTHED), {_SMOOTHING.key: smoothing})

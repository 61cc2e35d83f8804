"""What the columns of other tools mean: one table of words; a name is read word by word.

`train/loss`, `Loss/train`, `trainLoss`, `训练损失` and `train_loss_step` have the same words, however they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Mapping

# Ours to the words of others; any of the alternatives is one, the best first.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "loss": ("loss", "losses"),
    "accuracy": ("accuracy", "acc", "top 1", "categorical accuracy"),
    "lr": ("lr", "learning rate"),
    "gradient_norm": ("gradient norm", "grad norm", "gradnorm", "grad"),
    "step": ("step", "steps", "iteration", "iter", "iters", "iterations", "epoch", "epochs"),
}
TRAINING: Final = ("train", "training", "fit")
VALIDATION: Final = ("val", "valid", "validation", "eval", "evaluation", "dev", "metrics", "test", "testing")
# Words that change nothing: how often, over what, by which function.
_ASIDE: Final = frozenset(
    (
        *("step", "steps", "epoch", "batch", "iter", "avg", "average", "mean", "total", "global", "running", "trainer"),
        *("top", "0", "1", "2", "value", "dataloader", "idx", "sparse", "categorical", "binary"),
        *("ce", "nll", "bce", "mse", "mlm", "cross", "entropy", "crossentropy"),
    )
)
# With these beside it, a loss is no part of a sum.
_NO_PART: Final = frozenset(
    (
        "scale",
        "scaler",
        "ratio",
        "weight",
        "rate",
        "gap",
        "std",
        "var",
        "min",
        "max",
        "best",
        "smoothed",
        "ema",
        "delta",
    )
)
_CHINESE: Final = (
    ("训练", "train"),
    ("验证", "val"),
    ("测试", "test"),
    ("损失", "loss"),
    ("准确率", "accuracy"),
    ("正确率", "accuracy"),
    ("精度", "accuracy"),
    ("学习率", "lr"),
    ("梯度范数", "gradient norm"),
    ("迭代次数", "iteration"),
    ("迭代", "iteration"),
    ("轮次", "epoch"),
    ("轮数", "epoch"),
    ("回合", "epoch"),
    ("步数", "step"),
    ("集", ""),
    ("函数", ""),
    ("平均", "mean"),
    ("值", "value"),
    ("步", "step"),
    ("轮", "epoch"),
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name means.

    Attributes:
        ours: a key of `KINDS`, `valid` (a validation loss) or `valid_accuracy`.
        part: it is one of several losses that are trained as their sum, such as `train/box_loss`.
        rank: of several names with one meaning, the lowest is taken.
    """

    ours: str
    part: bool
    rank: tuple[int, ...]


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case.

    Example:
        >>> words_of("trainLoss"), words_of("grad_2.0_norm"), words_of("验证损失")
        (('train', 'loss'), ('grad', '2', '0', 'norm'), ('val', 'loss'))
    """
    for chinese, english in _CHINESE:
        name = name.replace(chinese, f" {english} ")
    return tuple(word.lower() for word in _WORD.findall(name))


def meaning_of(name: str) -> Meaning | None:
    """What a column holds; None if that is none of ours.

    Args:
        name: as the log has it.

    Example:
        >>> meaning_of("Loss/train").ours, meaning_of("eval_loss").ours, meaning_of("lr-Adam").ours
        ('loss', 'valid', 'lr')
        >>> meaning_of("train/box_loss").part, meaning_of("loss_scale")
        (True, None)
    """
    words = words_of(name)
    valid = min((VALIDATION.index(word) for word in words if word in VALIDATION), default=None)
    train = any(word in TRAINING for word in words)
    if train and valid is not None:
        valid = None if words.index(next(word for word in words if word in TRAINING)) == 0 else valid
    rest = [word for word in words if word not in VALIDATION and word not in TRAINING]
    for kind, alternatives in KINDS.items():
        for place, alternative in enumerate(alternatives):
            wanted = alternative.split()
            if not set(wanted) <= set(rest):
                continue
            left = [word for word in rest if word not in wanted]
            strange = [word for word in left if word not in _ASIDE]
            part = bool(strange) and kind == "loss" and (train or valid is not None) and not _NO_PART & set(left)
            if strange and not part and kind != "lr":
                continue
            if valid is not None and kind not in {"loss", "accuracy"}:
                return None
            ours = kind if valid is None else {"loss": "valid", "accuracy": "valid_accuracy"}[kind]
            role = int(train) if valid is None else valid
            return Meaning(ours, part, (role, place, len(left), int("epoch" in left)))
    return None


def chosen(counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The columns to take: our name to theirs; several names are parts of a sum.

    Args:
        counts: name of a column to its number of values. A column without any is not taken, and one with less than a
            tenth of the values of another with the same meaning is a summary.

    Example:
        >>> chosen({"epoch": 9, "train/box_loss": 9, "train/cls_loss": 9, "val/box_loss": 9})
        {'step': ('epoch',), 'loss': ('train/box_loss', 'train/cls_loss'), 'valid': ('val/box_loss',)}
    """
    known = {name: meaning for name, count in counts.items() if count and (meaning := meaning_of(name)) is not None}
    found: dict[str, tuple[str, ...]] = {}
    for ours in dict.fromkeys(meaning.ours for meaning in known.values()):
        names = [name for name, meaning in known.items() if meaning.ours == ours and not meaning.part]
        parts = tuple(name for name, meaning in known.items() if meaning.ours == ours and meaning.part)
        if names:
            most = max(counts[name] for name in names)
            found[ours] = (min(names, key=lambda name: (10 * counts[name] < most, known[name].rank)),)
        elif parts:
            found[ours] = parts
    return found

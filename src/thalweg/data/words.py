"""What the name of a folder says: a split, one of several parts, a wrapper, masks, or nothing.

A name is read word by word: `seg_train`, `TrainData`, `test_images` and `训练集` name a split, `latest` and `strain` do
not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from unicodedata import normalize


if TYPE_CHECKING:
    from collections.abc import Collection

    from thalweg.data.photos import Split


def listed(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "test": "test",
    "testing": "test",
    "evaluation": "test",
}

_WORDS: Final[dict[str, Split]] = {
    **SPLIT_NAMES,
    "trn": "train",
    "trainval": "train",
    "dev": "valid",
    "validate": "valid",
    "tst": "test",
    "tests": "test",
    "eval": "test",
    "pred": "test",
    "predict": "test",
    "prediction": "test",
    **dict.fromkeys(("训练", "訓練", "学習", "학습"), "train"),
    **dict.fromkeys(("验证", "驗證", "検証", "검증"), "valid"),
    **dict.fromkeys(("测试", "測試", "预测", "テスト", "테스트"), "test"),
    **dict.fromkeys(("entrenamiento", "treino", "entraînement", "entrainement", "trainingsdaten"), "train"),
    **dict.fromkeys(("validación", "validacion", "validação", "validierung"), "valid"),
    **dict.fromkeys(("prueba", "teste", "testdaten"), "test"),
}
_LATE = listed("pred predict prediction 预测")  # beside a folder `test`, they are no test split
# Words that add nothing to the word of a split: `train_images`, `training_set`, `TestData`.
_FILLERS = listed(
    "set sets part parts subset chunk data dataset images image imgs img pictures pics photos photo folder files split "
    "jpg jpeg png the of 集 数据 数据集 集合 图片 图像 照片 數據 資料 圖片"
)
# Folders between a class and its photos, or around the classes.
_CONTAINERS = _FILLERS | listed("raw original originals jpegimages jpgs all labeled labelled full 原图")
_MASKS = listed(
    "mask masks segmentation segmentations segmentationclass segmentationobject trimap trimaps annotation "
    "annotations groundtruth ground_truth ground-truth depth edges heatmaps 掩码"
)
_UNLABELED = listed("unlabeled unlabelled unsup unsupervised 未标注 无标签")
_PAPERS = listed(
    "doc docs documentation assets figures figs fig screenshots readme sample samples example examples preview "
    "demo thumbnails thumbs notebooks logs results output outputs meta papers misc tmp temp backup"
)

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9\u4e00-\u9fff])|(?<=[0-9\u4e00-\u9fff])(?=[A-Za-z])")
_GAP = re.compile(r"[\s_.\-()\[\]+]+")
_FUSED = re.compile(f"({'|'.join(_WORDS)})({'|'.join(sorted(_FILLERS))})")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Word:
    """The split that a folder's name states.

    Attributes:
        split: which.
        rest: the other words of the name: empty in `train_images`, `seg` in `seg_train`.
        late: whether it holds photos to predict, such as `seg_pred`, which yields to a `test`.
    """

    split: Split
    rest: str
    late: bool


@lru_cache(maxsize=65_536)
def split_word(name: str) -> Word | None:
    """The split that a name states, perhaps among other words; `None` if it states none.

    Example:
        >>> split_word("Training Set"), split_word("latest")
        (Word(split='train', rest='', late=False), None)
        >>> split_word("seg_test").rest
        'seg'
    """
    words: list[str] = []
    for word in words_of(name):
        fused = _FUSED.fullmatch(word)
        words += [fused[1], fused[2]] if fused else [word]
    known = [word for word in words if word in _WORDS]
    splits: set[Split] = {_WORDS[word] for word in known}
    if len(splits) != 1:  # none, or `train_test`
        return None
    rest = [word for word in words if word not in _WORDS and word not in _FILLERS and not word.isdecimal()]
    return Word(splits.pop(), " ".join(rest), any(word in _LATE for word in known))


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case.

    Example:
        >>> words_of("asl_alphabetTrain2")
        ['asl', 'alphabet', 'train', '2']
    """
    return [word.casefold() for word in _GAP.split(_HUMP.sub(" ", normalize("NFC", name))) if word]


def rest_of(name: str) -> str:
    """The words of a name that say more than that there are photos: `rps` in `rps-dataset`."""
    return " ".join(word for word in words_of(name) if word not in _FILLERS)


def are_serial(names: Collection[str]) -> bool:
    """Whether names only count: `batch_2021` and `batch_2022`, `_part_1` and `_part_2`, `2019` and `2020`.

    Example:
        >>> are_serial(["fold0", "fold1"]), are_serial(["cat", "dog"]), are_serial(["a1", "b2"])
        (True, False, False)
    """
    return len({_DIGITS.sub("#", name.casefold()) for name in names}) == 1 and all(map(_DIGITS.search, names))


def is_container(name: str) -> bool:
    """Whether a name only says that there are photos, such as `images`."""
    return all(word in _CONTAINERS for word in words_of(name))


def is_mask(name: str) -> bool:
    """Whether a name says that its pictures are answers, not photos, such as `masks` or `trimaps`."""
    return name.casefold() in _MASKS or bool(_MASKS.intersection(words_of(name)[-1:]))


def is_unlabeled(name: str) -> bool:
    """Whether a name says that its photos have no class."""
    return bool(_UNLABELED.intersection(words_of(name)))


def is_paper(name: str) -> bool:
    """Whether a name says that its pictures explain the set, such as `docs`."""
    return name.casefold() in _PAPERS

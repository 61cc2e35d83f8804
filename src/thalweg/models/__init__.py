"""Networks that classify photos, each built by name for a size and a number of classes.

`cnn` and `residual` are the course's homework, `resnet` the networks to use, `timm` the bridge to timm. A network has
two named taps that expose its features: `mid`, near the middle, and `top`, the input of the last layer.
`card` counts parameters and FLOPs; `freezing` keeps leading stages as they are.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.models.card import ModelCard, describe
    from thalweg.models.freezing import freeze, is_held, stages
    from thalweg.models.network import classifier_of, set_drop_path
    from thalweg.models.outputs import features, features_in_batches, features_of, logits_in_blocks, logits_of
    from thalweg.models.registry import build, check_sizes, names, smallest_size

_homes = {
    "ModelCard": ".card",
    "build": ".registry",
    "check_sizes": ".registry",
    "classifier_of": ".network",
    "describe": ".card",
    "features": ".outputs",
    "features_in_batches": ".outputs",
    "features_of": ".outputs",
    "freeze": ".freezing",
    "is_held": ".freezing",
    "logits_in_blocks": ".outputs",
    "logits_of": ".outputs",
    "names": ".registry",
    "set_drop_path": ".network",
    "smallest_size": ".registry",
    "stages": ".freezing",
}

__all__ = [
    "ModelCard",
    "build",
    "check_sizes",
    "classifier_of",
    "describe",
    "features",
    "features_in_batches",
    "features_of",
    "freeze",
    "is_held",
    "logits_in_blocks",
    "logits_of",
    "names",
    "set_drop_path",
    "smallest_size",
    "stages",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

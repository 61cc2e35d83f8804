"""Networks that classify photos, each built by its name for a size and a number of classes.

`cnn` and `residual` are the course's homework, `resnet` the networks to use, `timm` the bridge to timm. A network has
two named taps, so that its features can be seen: `mid`, about the middle, and `top`, what its last layer is given.
`card` counts parameters and FLOPs.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.models.card import ModelCard, describe
    from thalweg.models.network import set_drop_path
    from thalweg.models.outputs import features, features_of, logits_of
    from thalweg.models.registry import build, check_sizes, names, smallest_size

_homes = {
    "ModelCard": ".card",
    "build": ".registry",
    "check_sizes": ".registry",
    "describe": ".card",
    "features": ".outputs",
    "features_of": ".outputs",
    "logits_of": ".outputs",
    "names": ".registry",
    "set_drop_path": ".network",
    "smallest_size": ".registry",
}

__all__ = [
    "ModelCard",
    "build",
    "check_sizes",
    "describe",
    "features",
    "features_of",
    "logits_of",
    "names",
    "set_drop_path",
    "smallest_size",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

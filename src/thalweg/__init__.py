"""thalweg: train an image classifier from a folder of photos, see why a training stalls, and cure it with proof.

The public names are loaded on first use: `import thalweg` loads no torch.
"""

from thalweg._lazy import lazy_names


__version__ = "0.1.0"

_homes: dict[str, str] = {}

__all__: list[str] = sorted(_homes)  # noqa: PLE0605 - computed, so that it cannot differ from what loads

__getattr__, __dir__ = lazy_names(__name__, _homes)

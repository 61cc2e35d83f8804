"""Pictures: of a run (curves, t-SNE of the mid and the top layer, confusion, mistakes) and of surfaces and paths.

Every function takes plain arrays, draws with matplotlib's objects (never pyplot's global state) and writes one PNG,
whole or not at all. `style` holds what they share. No torch here.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.figures.run_confusion import confusion
    from thalweg.figures.run_curves import curves
    from thalweg.figures.run_mistakes import mistakes
    from thalweg.figures.run_tsne import Embedding, tsne
    from thalweg.figures.style import picture

_homes = {
    "Embedding": ".run_tsne",
    "confusion": ".run_confusion",
    "curves": ".run_curves",
    "mistakes": ".run_mistakes",
    "picture": ".style",
    "tsne": ".run_tsne",
}

__all__ = ["Embedding", "confusion", "curves", "mistakes", "picture", "tsne"]

__getattr__, __dir__ = lazy_names(__name__, _homes)

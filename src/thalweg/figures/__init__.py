"""Pictures of runs (curves, layers, t-SNE of middle and top layer, confusion, mistakes), surfaces and traces.

Each function takes plain arrays, draws with matplotlib's objects (never with pyplot's global state) and writes one
file, whole or not at all. All pictures share `style`. Nothing here imports torch.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.figures.player import write_landscape, write_player
    from thalweg.figures.run_curves import curves
    from thalweg.figures.run_evaluation import confusion, doubted, mistakes, reliability
    from thalweg.figures.run_layers import layers
    from thalweg.figures.run_tsne import Embedding, tsne
    from thalweg.figures.style import picture
    from thalweg.figures.surface_map import draw_map
    from thalweg.figures.traces import animate_surface, draw_surface

_homes = {
    "Embedding": ".run_tsne",
    "animate_surface": ".traces",
    "confusion": ".run_evaluation",
    "curves": ".run_curves",
    "doubted": ".run_evaluation",
    "draw_map": ".surface_map",
    "draw_surface": ".traces",
    "layers": ".run_layers",
    "mistakes": ".run_evaluation",
    "picture": ".style",
    "reliability": ".run_evaluation",
    "tsne": ".run_tsne",
    "write_landscape": ".player",
    "write_player": ".player",
}

__all__ = [
    "Embedding",
    "animate_surface",
    "confusion",
    "curves",
    "doubted",
    "draw_map",
    "draw_surface",
    "layers",
    "mistakes",
    "picture",
    "reliability",
    "tsne",
    "write_landscape",
    "write_player",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)

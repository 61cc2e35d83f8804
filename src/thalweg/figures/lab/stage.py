"""The large picture on matplotlib's axes, whichever the view: the ground once, then the paths up to any kept step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thalweg.figures.lab.contour import draw_ground
from thalweg.figures.lab.space import draw_relief, projected
from thalweg.figures.lab.trails import draw_labels, from_above, head_of, make_trail


if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.text import Annotation

    from thalweg.figures.lab.scene import Scene

View = Literal["contour", "3d"]


class Stage:
    """Axes with the surface drawn, on which paths are shown.

    Args:
        home: the figure that gets the axes.
        scene: what is shown.
        view: `contour` or `3d`.
    """

    def __init__(self, home: Figure | SubFigure, scene: Scene, view: View) -> None:
        if view == "3d":
            space = home.add_subplot(projection="3d")
            draw_relief(space, scene.surface, scene.relief)
            self._positions = [projected(space, path, scene.relief) for path in scene.columns]
            self.axes: Axes = space
        else:
            self.axes = home.add_subplot()
            draw_ground(self.axes, scene.surface, scene.relief)
            self._positions = [from_above(path, scene.relief) for path in scene.columns]
        self._scene = scene
        self._trails = [make_trail(self.axes, look) for look in scene.looks]
        self._labels: list[Annotation] = []

    def show(self, last: int) -> list[Artist]:
        """Draw the paths up to the kept step with index `last`; what was drawn, the lowest first."""
        for label in self._labels:
            label.remove()
        heads = []
        for path, look, trail, xy_K2 in zip(
            self._scene.columns, self._scene.looks, self._trails, self._positions, strict=True
        ):
            head = head_of(path, self._scene.relief, last)
            trail.show(xy_K2[: last + 1], None if head is None else xy_K2[head])
            if head is not None:
                heads.append((look, xy_K2[head]))
        lines = [line for layer in zip(*(trail.lines for trail in self._trails), strict=True) for line in layer]
        self._labels = draw_labels(self.axes, heads)
        return [*lines, *(trail.head for trail in self._trails), *self._labels]

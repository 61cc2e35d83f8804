"""The first weights decide whether signal and gradient survive a deep network; normalization takes their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from thalweg.figures.style import QUIET, label_axes
from thalweg.lessons._drawing import LINES
from thalweg.lessons._photos import draw_photos
from thalweg.lessons._torch import one_thread, require_torch
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

KINDS: Final = ("small", "large", "xavier", "he", "orthogonal")


class Flow(NamedTuple):
    """Root mean squares through the layers, over units, photos and networks.

    Attributes:
        activations_L: of each layer's output.
        gradients_L: of the gradient with respect to each layer's output, relative to that of the last layer.
    """

    activations_L: NDArray[np.float64]
    gradients_L: NDArray[np.float64]


@dataclass(frozen=True)
class Initialization(Lesson):
    """Deep fully connected networks with ReLU, untrained, on the built-in photos, with five kinds of first weights.

    Args:
        depth: layers.
        width: units of each.
        small: standard deviation of the weights that are too small.
        large: of those that are too large.
        networks: over which squares are averaged.
        each: photos of each class.
        seed: of photos and weights.

    Source:
        Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
        https://proceedings.mlr.press/v9/glorot10a.html; He et al., Delving Deep into Rectifiers, 2015,
        https://arxiv.org/abs/1502.01852; Yang et al., A Mean Field Theory of Batch Normalization, 2019,
        https://arxiv.org/abs/1902.08129, for π / (π − 1)
    """

    name: ClassVar[str] = "initialization"
    size: ClassVar[tuple[float, float]] = (13.5, 8.6)

    depth: int = 20
    width: int = 128
    small: float = 0.01
    large: float = 0.25
    networks: int = 8
    each: int = 10
    seed: int = 0

    def run(self) -> Evidence:
        """Send the photos forward and a random gradient back, without and with batch normalization."""
        require_torch()
        import torch

        photos_NP = draw_photos("train", self.each, self.seed).tensors(torch.float64)[0].flatten(1)
        with one_thread():
            plain = {kind: self._flow(photos_NP, kind, normalized=False) for kind in KINDS}
            normed = {kind: self._flow(photos_NP, kind, normalized=True) for kind in KINDS}
        factors = self.factors()
        numbers = {
            "depth": self.depth,
            "width": self.width,
            "small_size": self.small,
            "large_size": self.large,
            "small_factor": factors["small"],
            "large_factor": factors["large"],
            "xavier_factor": factors["xavier"],
            "norm_factor": NORM_FACTOR,
            "norm_factor_measured": growth(np.mean([flow.gradients_L for flow in normed.values()], axis=0)[::-1]),
        }
        for kind in KINDS:
            forward, backward = growth(plain[kind].activations_L), growth(plain[kind].gradients_L[::-1])
            numbers |= {
                f"{kind}_last": float(plain[kind].activations_L[-1]),
                f"{kind}_first_gradient": float(plain[kind].gradients_L[0]),
                f"{kind}_growth": forward,
                f"{kind}_error": 100 * max(abs(forward / factors[kind] - 1), abs(backward / factors[kind] - 1)),
                f"{kind}_normed_last": float(normed[kind].activations_L[-1]),
            }
        last = [numbers[f"{kind}_normed_last"] for kind in KINDS]
        numbers |= {
            "error": max(numbers[f"{kind}_error"] for kind in KINDS),
            "normed_lowest": min(last),
            "normed_highest": max(last),
            "normed_gradient": float(normed["he"].gradients_L[0]),
            "norm_error": 100 * abs(numbers["norm_factor_measured"] / NORM_FACTOR - 1),
        }
        return Evidence(numbers, {"plain": plain, "normed": normed})

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Closed form and measurement agree; signals vanish, explode or stay; normalization makes all alike."""
        numbers = evidence.numbers
        return (
            Check("error", numbers["error"], "<", 3),
            Check("vanishes", numbers["small_last"], "<", 1e-10),
            Check("explodes", numbers["large_last"], ">", 1e4),
            Check("xavier", numbers["xavier_last"], "<", 0.01),
            Check("he", abs(np.log10(numbers["he_last"])), "<", 0.5),
            Check("orthogonal", abs(np.log10(numbers["orthogonal_last"])), "<", 0.5),
            Check("normed", numbers["normed_highest"] / numbers["normed_lowest"], "<", 1.1),
            Check("norm_error", numbers["norm_error"], "<", 3),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Activations and gradients through the depth: without normalization above, with it below."""
        rows = figure.subplots(2, 2)
        for row, name in zip(rows, ("plain", "normed"), strict=True):
            flows: dict[str, Flow] = evidence.data[name]
            for axes, part in zip(row, ("activations", "gradients"), strict=True):
                measured = {kind: getattr(flow, f"{part}_L") for kind, flow in flows.items()}
                forms = {kind: self.closed(kind, flow, normalized=False) for kind, flow in flows.items()}
                closed = {kind: getattr(form, f"{part}_L") for kind, form in forms.items()} if name == "plain" else {}
                self._lines(axes, measured, closed)
                label_axes(
                    axes,
                    title=self.say(f"{name}_{part}_title"),
                    x=self.say("layer_axis"),
                    y=self.say(f"{part}_axis"),
                )
        self._norm_line(rows[1, 1], rows[1, 0])
        rows[0, 0].legend(loc="lower left", handlelength=3)

    def _lines(
        self, axes: Axes, measured: dict[str, NDArray[np.float64]], closed: dict[str, NDArray[np.float64]]
    ) -> None:
        layers_L = np.arange(1, self.depth + 1)
        for (kind, values_L), style in zip(measured.items(), LINES, strict=True):
            if closed:
                axes.plot(layers_L, closed[kind], color=style.color, linewidth=1)
            axes.plot(
                layers_L,
                values_L,
                style.marker,
                color=style.color,
                markersize=6,
                fillstyle="none",
                label=self.say(kind),
            )
        axes.set_yscale("log")
        axes.set_xticks(np.arange(0, self.depth + 1, 5))
        if closed:
            axes.plot([], [], color=QUIET, linewidth=1, label=self.say("closed"))

    def closed(self, kind: str, measured: Flow, *, normalized: bool) -> Flow:
        """Root mean squares through the layers in closed form.

        Without normalization, the powers of a factor: forward from the first layer as measured, and back from the last.
        With batch normalization, √½ behind each ReLU, and on the way back the powers of √(π / (π − 1)).

        Args:
            kind: of the first weights, one of `KINDS`.
            measured: its own flow.
            normalized: whether batches are normalized.
        """
        steps_L = np.arange(self.depth)
        if normalized:
            return Flow(np.full(self.depth, 0.5**0.5), np.float64(NORM_FACTOR) ** steps_L[::-1])
        factor = np.float64(self.factors()[kind])
        return Flow(measured.activations_L[0] * factor**steps_L, factor ** steps_L[::-1])

    def _norm_line(self, gradients: Axes, activations: Axes) -> None:
        """The closed forms behind batch normalization."""
        layers_L = np.arange(1, self.depth + 1)
        gradients.plot(
            layers_L, NORM_FACTOR ** (self.depth - layers_L), color=QUIET, linewidth=1, label=self.say("norm_line")
        )
        gradients.legend(loc="upper right")
        activations.axhline(0.5**0.5, color=QUIET, linewidth=1, label=self.say("half_line"))
        activations.set_ylim(0.1, 10)
        activations.legend(loc="upper right", ncols=2)

    def factors(self) -> dict[str, float]:
        """The factor of the root mean square from layer to layer, in closed form: √(n · Var(w) / 2) behind ReLU.

        Half of the units are zero behind ReLU, on average, which halves the mean square. An orthogonal matrix keeps
        lengths; here it is multiplied by √2.
        """
        variances = {"small": self.small**2, "large": self.large**2, "xavier": 1 / self.width, "he": 2 / self.width}
        factors = {kind: float(np.sqrt(self.width * variance / 2)) for kind, variance in variances.items()}
        return {**factors, "orthogonal": 1.0}

    def _flow(self, photos_NP: Tensor, kind: str, *, normalized: bool) -> Flow:
        """Mean squares over networks, and their roots."""
        import torch
        from torch.nn.functional import batch_norm

        squares_2L = np.zeros((2, self.depth))
        for network in range(self.networks):
            generator = torch.Generator().manual_seed(1000 * self.seed + network)
            values, outputs = photos_NP, []
            for _ in range(self.depth):
                values = values @ self._weights(kind, values.shape[1], generator).T
                values = torch.relu(batch_norm(values, None, None, training=True) if normalized else values)
                values = values.requires_grad_() if not outputs else values
                outputs.append(values)
            ahead = torch.randn(values.shape, generator=generator, dtype=values.dtype)
            gradients = torch.autograd.grad((values * ahead).sum(), outputs)
            squares_2L += [[float(part.detach().square().mean()) for part in parts] for parts in (outputs, gradients)]
        activations_L, gradients_L = np.sqrt(squares_2L / self.networks)
        return Flow(activations_L, gradients_L / gradients_L[-1])

    def _weights(self, kind: str, inputs: int, generator: object) -> Tensor:
        import torch
        from torch.nn import init

        weight = torch.empty(self.width, inputs, dtype=torch.float64)
        fill = {
            "small": lambda: init.normal_(weight, 0, self.small, generator=generator),  # type: ignore[arg-type]
            "large": lambda: init.normal_(weight, 0, self.large, generator=generator),  # type: ignore[arg-type]
            "xavier": lambda: init.xavier_normal_(weight, generator=generator),  # type: ignore[arg-type]
            "he": lambda: init.kaiming_normal_(weight, nonlinearity="relu", generator=generator),  # type: ignore[arg-type]
            "orthogonal": lambda: init.orthogonal_(weight, 2**0.5, generator=generator),  # type: ignore[arg-type]
        }
        return fill[kind]()


NORM_FACTOR: Final = float(np.sqrt(np.pi / (np.pi - 1)))
"""Growth of the gradient through batch normalization and ReLU, for each layer on the way back, in wide networks."""


def growth(values_L: NDArray[np.float64]) -> float:
    """The mean factor from one value to the next.

    Example:
        >>> growth(np.array([1.0, 4.0, 4.0]))
        2.0
    """
    return float((values_L[-1] / values_L[0]) ** (1 / (len(values_L) - 1)))

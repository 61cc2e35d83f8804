"""The sigmoid is flat at both ends and never steeper than 1/4: through many layers, no gradient is left."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import erfc, log
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from thalweg.figures.style import QUIET, label_axes
from thalweg.lessons._drawing import LINES, number_steps
from thalweg.lessons._photos import CLASSES, SIDE, Photos, draw_photos
from thalweg.lessons._torch import one_thread, require_torch, seeded
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import nn

KINDS: Final = ("sigmoid", "normed", "relu")
END: Final = log(1 / 0.0025 - 1)
"""Beyond this input, an output counts as saturated: the derivative is under 1 % of its maximum."""


class Descent(NamedTuple):
    """A network's first gradient and its training.

    Attributes:
        gradients_L: root mean square of the first gradient, with respect to each layer's output, the last layer's 1.
        loss_S: at each step.
        moved: by how much the first layer's weights changed, relative to their size.
    """

    gradients_L: NDArray[np.float64]
    loss_S: NDArray[np.float64]
    moved: float


@dataclass(frozen=True)
class SigmoidSaturates(Lesson):
    """One layer of sigmoids under weights of many sizes; a deep network with sigmoid, with batch norm, and with ReLU.

    Args:
        scales: sizes of the weights, in units of 1/√n.
        units: sigmoids of the layer.
        depth: hidden layers of the networks.
        width: units of each.
        each: photos of each class.
        learning_rate: of gradient descent over all photos.
        steps: of the training.
        seed: of photos and weights.

    Source:
        Hung-yi Lee, Machine Learning, 2016, "Tips for deep learning", https://speech.ee.ntu.edu.tw/~hylee/ml/2016-fall.php;
        Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
        https://proceedings.mlr.press/v9/glorot10a.html
    """

    name: ClassVar[str] = "sigmoid-saturates"
    size: ClassVar[tuple[float, float]] = (13.5, 8.6)

    scales: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
    units: int = 5000
    depth: int = 8
    width: int = 64
    each: int = 20
    learning_rate: float = 0.05
    steps: int = 200
    seed: int = 0

    def run(self) -> Evidence:
        """Count saturated outputs; measure the first gradient of each layer; train all three networks."""
        require_torch()
        photos = draw_photos("train", self.each, self.seed)
        computed, measured = self._saturated(photos)
        descents = {kind: self._descend(kind, photos) for kind in KINDS}
        steep_L = descents["sigmoid"].gradients_L
        numbers = {
            "depth": self.depth,
            "steps": self.steps,
            "learning_rate": self.learning_rate,
            "end": END,
            "chance": log(CLASSES),
            "bound": 0.25 ** (self.depth - 1),
            "first_gradient": float(steep_L[0]),
            "factor": float(steep_L[0] ** (1 / (self.depth - 1))),
            "share_low": 100 * measured[0],
            "scale_high": self.scales[-1],
            "share_high": 100 * measured[-1],
            "share_gap": 100 * float(np.abs(computed - measured).max()),
            **{f"{kind}_loss": float(descent.loss_S[-1]) for kind, descent in descents.items()},
            **{f"{kind}_moved": 100 * descent.moved for kind, descent in descents.items()},
            **{f"{kind}_gradient": float(descent.gradients_L[0]) for kind, descent in descents.items()},
        }
        return Evidence(numbers, {"computed": computed, "measured": measured, "descents": descents})

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Saturation as computed; a gradient below the bound; no descent without it, and descent with its two cures."""
        numbers = evidence.numbers
        return (
            Check("share_gap", numbers["share_gap"], "<", 1),
            Check("share_high", numbers["share_high"], ">", 80),
            Check("bound", numbers["first_gradient"] / numbers["bound"], "<", 1.2),
            Check("factor", numbers["factor"], ">", 0.2),
            Check("stuck", numbers["sigmoid_loss"] / numbers["chance"], ">", 0.99),
            Check("normed", numbers["normed_loss"], "<", 1),
            Check("relu", numbers["relu_loss"], "<", 1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The curve and its slope; the saturated share; the first gradient of each layer; the losses."""
        (curve, share), (gradients, losses) = figure.subplots(2, 2)
        _curve(curve)
        curve.plot([], [], color=LINES[0].color, linewidth=2, label=self.say("value"))
        curve.plot([], [], color=LINES[1].color, linestyle=LINES[1].dashes, linewidth=2, label=self.say("slope"))
        curve.legend(loc="upper left")
        label_axes(curve, title=self.say("curve_title"), x=self.say("input_axis"), y=self.say("output_axis"))
        share.plot(self.scales, 100 * evidence.data["computed"], color=LINES[0].color, label=self.say("computed"))
        share.plot(
            self.scales,
            100 * evidence.data["measured"],
            LINES[1].marker,
            color=LINES[1].color,
            fillstyle="none",
            markersize=8,
            label=self.say("measured"),
        )
        share.set(xscale="log", ylim=(0, 100))
        share.set_xticks(self.scales, [f"{scale:g}" for scale in self.scales])
        share.legend(loc="upper left")
        label_axes(share, title=self.say("share_title"), x=self.say("scale_axis"), y=self.say("share_axis"))
        layers_L = np.arange(1, self.depth + 1)
        for (kind, descent), style in zip(
            evidence.data["descents"].items(), (LINES[1], LINES[2], LINES[0]), strict=True
        ):
            look = {"color": style.color, "linestyle": style.dashes, "linewidth": 2, "label": self.say(kind)}
            gradients.plot(layers_L, descent.gradients_L, marker=style.marker, **look)
            losses.plot(descent.loss_S, **look)
        gradients.plot(layers_L, 0.25 ** (self.depth - layers_L), color=QUIET, linewidth=1, label=self.say("bound"))
        gradients.set_yscale("log")
        gradients.set_xticks(layers_L)
        gradients.legend(loc="lower right")
        label_axes(gradients, title=self.say("gradients_title"), x=self.say("layer_axis"), y=self.say("gradient_axis"))
        losses.set_ylim(0, None)
        losses.legend(loc="center right")
        label_axes(losses, title=self.say("losses_title"), y=self.axis("loss"))
        number_steps(losses, self.steps)

    def _saturated(self, photos: Photos) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The share of saturated outputs for each size of the weights: in closed form, and counted by the probe.

        A unit's input is a sum of the photo's pixels x times normal weights, thus normal with variance s² · mean(x²).
        """
        import torch

        from thalweg.probes.activations import ActivationProbe

        inputs_NP = photos.tensors(torch.float64)[0].flatten(1)
        spreads_N = inputs_NP.square().mean(dim=1).sqrt().numpy()
        computed = [
            float(np.mean([erfc(END / (scale * spread * 2**0.5)) for spread in spreads_N])) for scale in self.scales
        ]
        generator = torch.Generator().manual_seed(self.seed)
        weights_UP = torch.randn(self.units, inputs_NP.shape[1], generator=generator, dtype=torch.float64)
        sums_NU = inputs_NP @ weights_UP.T / inputs_NP.shape[1] ** 0.5
        measured = []
        for scale in self.scales:
            with ActivationProbe() as probe:
                torch.sigmoid(scale * sums_NU)
            measured.append(float(probe.saturated[0]))
        return np.array(computed), np.array(measured)

    def _descend(self, kind: str, photos: Photos) -> Descent:
        import torch
        from torch.nn.functional import cross_entropy

        images, labels = photos.tensors()
        model = self._network(kind)
        weight = next(model.parameters())
        before = weight.detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), lr=self.learning_rate)
        losses = []
        with one_thread():
            gradients_L = _first_gradients(model, images, labels)
            for _ in range(self.steps):
                optimizer.zero_grad()
                loss = cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        moved = float((weight.detach() - before).norm() / before.norm())
        return Descent(gradients_L, np.array(losses), moved)

    def _network(self, kind: str) -> nn.Sequential:
        """Xavier's weights for the sigmoid and He's for ReLU."""
        from torch import nn

        with seeded(self.seed):
            layers: list[nn.Module] = [nn.Flatten()]
            for inputs, outputs in pairwise((SIDE * SIDE, *[self.width] * self.depth)):
                linear = nn.Linear(inputs, outputs)
                if kind == "relu":
                    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
                else:
                    nn.init.xavier_normal_(linear.weight)
                nn.init.zeros_(linear.bias)
                layers += [linear, *([nn.BatchNorm1d(outputs)] if kind == "normed" else [])]
                layers.append(nn.ReLU() if kind == "relu" else nn.Sigmoid())
            return nn.Sequential(*layers, nn.Linear(self.width, CLASSES))


def _first_gradients(model: nn.Sequential, images: object, labels: object) -> NDArray[np.float64]:
    """Root mean square of the loss's gradient with respect to each activation function's output, the last one's 1."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    outputs, values = [], images
    for layer in model:
        values = layer(values)
        if isinstance(layer, nn.Sigmoid | nn.ReLU):
            outputs.append(values)
    gradients = torch.autograd.grad(cross_entropy(values, labels), outputs)  # type: ignore[arg-type]
    sizes_L = np.array([float(gradient.double().square().mean().sqrt()) for gradient in gradients])
    return sizes_L / sizes_L[-1]


def _curve(axes: Axes) -> None:
    """The sigmoid, its derivative times four, and the saturated ends."""
    inputs = np.linspace(-10, 10, 401)
    values = 1 / (1 + np.exp(-inputs))
    for ends in ((-10, -END), (END, 10)):
        axes.axvspan(*ends, color="#EFEFEF")
    axes.plot(inputs, values, color=LINES[0].color, linewidth=2)
    axes.plot(inputs, 4 * values * (1 - values), color=LINES[1].color, linestyle=LINES[1].dashes, linewidth=2)
    axes.set(xlim=(-10, 10), ylim=(-0.03, 1.25))

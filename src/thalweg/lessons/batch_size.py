"""The batch decides how noisy a gradient is and how many updates an epoch has: closed form, and two trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import LINES, draw_curves
from thalweg.lessons._learning import dense_network, learn, shuffled
from thalweg.lessons._photos import CLASSES, draw_photos
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.lessons._learning import Curves


@dataclass(frozen=True)
class BatchSize(Lesson):
    """The gradient of batches against that of all photos, and trainings of equally many epochs.

    Args:
        each: training photos of each class.
        sizes: of batches, rising; the last is that of all photos.
        draws: batches of each size whose gradient is compared.
        hidden: units of the hidden layer.
        learning_rate: of plain gradient descent, for all sizes.
        epochs: of every training.
        seed: of photos, weights and batches.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Tips for training: batch and momentum",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        Goyal et al., Accurate, Large Minibatch SGD, 2017, https://arxiv.org/abs/1706.02677, for rate × k
    """

    name: ClassVar[str] = "batch-size"
    size: ClassVar[tuple[float, float]] = (15.0, 5.2)

    each: int = 60
    sizes: tuple[int, ...] = (6, 20, 60, 200, 600)
    draws: int = 200
    hidden: int = 16
    learning_rate: float = 0.02
    epochs: int = 15
    seed: int = 0

    def run(self) -> Evidence:
        """Compare gradients of batches with the whole gradient; train once for each size; scale one rate."""
        computed, measured = self._noise()
        curves = {size: self._train(size, self.learning_rate) for size in self.sizes}
        small, larger = self.sizes[0], self.sizes[1]
        times = larger / small
        scaled = self._train(larger, times * self.learning_rate)
        photos = CLASSES * self.each
        last = {size: float(one.loss["train"][-1]) for size, one in curves.items()}
        inner = slice(0, len(self.sizes) - 1)  # the batch of all photos has no noise
        slope = np.polyfit(np.log(self.sizes[inner]), np.log(self._sampled_apart(measured)[inner]), 1)[0]
        return Evidence(
            {
                "photos": photos,
                "epochs": self.epochs,
                "learning_rate": self.learning_rate,
                "small": small,
                "larger": larger,
                "times": times,
                "small_noise": float(measured[0]),
                "larger_noise": float(measured[-2]),
                "largest": self.sizes[-2],
                "noise_ratio": float(measured[0] / measured[-2]),
                "noise_gap": 100 * float(np.abs(measured[inner] / computed[inner] - 1).max()),
                "slope": float(slope),
                "small_updates": self.epochs * -(-photos // small),
                "whole_updates": self.epochs,
                "small_loss": last[small],
                "larger_loss": last[larger],
                "whole_loss": last[self.sizes[-1]],
                "scaled_loss": float(scaled.loss["train"][-1]),
            },
            {"computed": computed, "measured": measured, "curves": curves, "scaled": scaled},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Noise falls with the root of the size, as computed; small batches get farther, unless the rate grows."""
        numbers = evidence.numbers
        behind = numbers["larger_loss"] - numbers["small_loss"]
        return (
            Check("noise_gap", numbers["noise_gap"], "<", 8),
            Check("slope", abs(numbers["slope"] + 0.5), "<", 0.03),
            Check("updates", numbers["small_loss"] / numbers["whole_loss"], "<", 0.3),
            Check("scaled", abs(numbers["scaled_loss"] - numbers["small_loss"]) / behind, "<", 0.5),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The noise against the size; the loss against epochs; the loss against updates."""
        left, middle, right = figure.subplots(1, 3)
        self._noise_lines(left, evidence)
        curves: dict[int, Curves] = evidence.data["curves"]
        names = {size: self.say("size", size=size) for size in curves}
        draw_curves(middle, {names[size]: one.loss["train"] for size, one in curves.items()}, legend="lower left")
        scaled = evidence.data["scaled"].loss["train"]
        note = self.say("scaled", size=self.sizes[1], times=f"{self.sizes[1] / self.sizes[0]:.2g}")
        middle.plot(scaled, "x", color=LINES[1].color, label=note)
        middle.set_ylim(0, 1.6 * float(scaled[0]))
        middle.legend(loc="upper center", ncols=2, handlelength=3.2)
        label_axes(middle, title=self.say("epochs_title"), x=self.axis("epoch"), y=self.say("loss_axis"))
        for (size, one), style in zip(curves.items(), LINES, strict=False):
            updates_E = np.arange(self.epochs + 1) * -(-CLASSES * self.each // size)
            right.plot(updates_E[1:], one.loss["train"][1:], color=style.color, marker=style.marker, label=names[size])
        right.set(xscale="log", ylim=(0, None))
        right.legend(loc="lower left")
        label_axes(right, title=self.say("updates_title"), x=self.axis("step"), y=self.say("loss_axis"))

    def _noise_lines(self, axes: Axes, evidence: Evidence) -> None:
        sizes = self.sizes[:-1]
        axes.plot(sizes, evidence.data["computed"][:-1], color=LINES[0].color, label=self.say("computed"))
        look = {"color": LINES[1].color, "markersize": 8, "fillstyle": "none", "label": self.say("measured")}
        axes.plot(sizes, evidence.data["measured"][:-1], LINES[1].marker, **look)
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(sizes, [f"{size}" for size in sizes])
        axes.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
        axes.minorticks_off()
        axes.legend(loc="lower left")
        label_axes(axes, title=self.say("noise_title"), x=self.say("size_axis"), y=self.say("noise_axis"))

    def _noise(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The root mean square of ‖g_B − g‖ / ‖g‖ for each size: in closed form, and over batches.

        Of N photos with gradients g_i, a batch of B different ones has E‖g_B − g‖² = (N − B) / (N − 1) · σ² / B, with
        σ² the mean of ‖g_i − g‖².
        """
        gradients_NP = self._gradients()
        count = len(gradients_NP)
        whole_P = gradients_NP.mean(axis=0)
        size = float(np.linalg.norm(whole_P))
        spread = float(((gradients_NP - whole_P) ** 2).sum(axis=1).mean())
        sizes = np.array(self.sizes, dtype=np.float64)
        computed = np.sqrt((count - sizes) / (count - 1) * spread / sizes) / size
        random = np.random.default_rng([self.seed, 3])
        apart_NN = gradients_NP - whole_P
        gram_NN = apart_NN @ apart_NN.T  # ‖Σ (g_i − g)‖² is a sum of its entries
        squares = [
            np.mean(
                [gram_NN[np.ix_(rows, rows)].sum() / batch**2 for rows in _batches(random, count, batch, self.draws)]
            )
            for batch in self.sizes
        ]
        return computed, np.sqrt(np.maximum(squares, 0)) / size

    def _sampled_apart(self, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """The noise without the factor (N − B) / (N − 1): as if photos were drawn from infinitely many."""
        count = CLASSES * self.each
        sizes = np.array(self.sizes, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return noise / np.sqrt((count - sizes) / (count - 1))

    def _gradients(self) -> NDArray[np.float64]:
        """The gradient of each photo at the first weights, shape (N, P)."""
        from torch.func import functional_call, grad, vmap
        from torch.nn.functional import cross_entropy

        model = dense_network((self.hidden,), self.seed)
        images, labels = draw_photos("train", self.each, self.seed).tensors()
        weights = {name: part.detach() for name, part in model.named_parameters()}

        def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            return cross_entropy(functional_call(model, weights, (image[None],)), label[None])

        parts = vmap(grad(loss), in_dims=(None, 0, 0))(weights, images, labels)
        return np.concatenate([part.flatten(1).double().numpy() for part in parts.values()], axis=1)

    def _train(self, size: int, learning_rate: float) -> Curves:
        import torch

        model = dense_network((self.hidden,), self.seed)
        images, labels = draw_photos("train", self.each, self.seed).tensors()
        return learn(
            model,
            shuffled(images, labels, size, self.seed),
            self.epochs,
            optimizer=torch.optim.SGD(model.parameters(), lr=learning_rate),
            watched={"train": (images, labels)},
        )


def _batches(random: np.random.Generator, count: int, size: int, draws: int) -> list[NDArray[np.int64]]:
    return [random.permutation(count)[:size] for _ in range(draws)]

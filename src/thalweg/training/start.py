"""The weights that a training starts from, in its network, and what the run keeps about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from thalweg import models
from thalweg.i18n import t
from thalweg.runs.photos import affordable_batch, evaluation_batches
from thalweg.weights.matching import Match, load_weights
from thalweg.weights.preprocessing import found_by_test, of_photos
from thalweg.weights.source import open_weights


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from thalweg.data import Cache
    from thalweg.runs import SettledConfig
    from thalweg.training.progress import Listener
    from thalweg.weights.weights import Weights

_TESTED = 64  # training photos that the statistics of batch norms are compared on


@dataclass(frozen=True, slots=True)
class Loaded:
    """Weights that were loaded into a network.

    Attributes:
        weights: the weights.
        match: what fitted.
    """

    weights: Weights
    match: Match

    @classmethod
    def into(cls, model: nn.Module, config: SettledConfig, classes: Sequence[str]) -> Self | None:
        """Load the weights that a configuration asks for; None if it asks for none.

        Raises:
            UsageError: there is no such source, or the weights do not fit the network.
        """
        if config.weights is None:
            return None
        weights = open_weights(config.weights)
        return cls(weights, load_weights(model, weights, name=config.model, classes=classes, size=config.size))

    def tell(self, config: SettledConfig, listener: Listener) -> None:
        """Tell where the weights are from, and the table of what fits."""
        weights = self.weights
        known = t("weights.from_license", license=weights.license, url=weights.url or "-")
        listener.note("weights.from_line", source=weights.source, license=known if weights.license else "")
        listener.note("weights.table", name=config.model, share=self.match.share, rows=self.match.describe())

    def facts(
        self, model: nn.Module, cache: Cache, config: SettledConfig, facts: Mapping[str, Any], listener: Listener
    ) -> dict[str, Any]:
        """Return the run's facts about its weights, with the mean and deviation that its photos are prepared with.

        Args:
            model: the network with its weights.
            cache: the photos.
            config: of the run.
            facts: the run's facts so far; `mean` and `std` are those of its photos.
            listener: is told how the preparation is known.
        """
        found, times = self.weights.preprocessing, 1.0
        if found is None:
            tested = found_by_test(model, _some_photos(cache, config))
            found, times = tested or (of_photos(facts["mean"], facts["std"]), times)
        sides = {"size": found.size or "?", "here": config.size, "times": times}
        rounded = {name: [round(value, 3) for value in getattr(found, name)] for name in ("mean", "std")}
        if not config.normalize:
            listener.note("weights.not_normalized")
        else:
            listener.note(f"weights.known_{found.known}", **sides, **rounded)
        about = found.to_facts()
        normal = {name: about.pop(name) for name in ("mean", "std")}
        head = "kept" if self.match.keeps_head else "new"
        kept = {**self.weights.to_facts(), **about, "share": self.match.share, "head": head}
        return {**(normal if config.normalize else {}), "weights": kept}


@torch.no_grad()
def begin_at_shares(model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Let a new classifier begin with the share of each class as its probability, by its biases.

    With several labels a photo, most classes are absent from most photos: from biases of zero, the first epoch would go
    into learning that.

    Args:
        model: the network; without biases in its last layer it stays as it is.
        facts: of the run: `class_shares`, of which 0 and 1 count as 0.1 % and 99.9 %, and `weights`, whose classifier
            may have been kept.

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 3.3.
    """
    bias = getattr(models.classifier_of(model), "bias", None)
    if isinstance(bias, torch.Tensor) and facts.get("weights", {}).get("head") != "kept":
        shares_C = torch.tensor(facts["class_shares"], dtype=bias.dtype)
        bias.copy_(torch.logit(shares_C, eps=1e-3).view_as(bias))


def _some_photos(cache: Cache, config: SettledConfig) -> Tensor:
    """Training photos in [0, 1], spread over the split: (N, 3, H, W)."""
    rows_N = cache.rows("train")
    rows_N = rows_N[np.linspace(0, len(rows_N) - 1, min(_TESTED, len(rows_N))).astype(np.int64)]
    count = min(len(rows_N), affordable_batch(config.size, _TESTED))
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3}
    return next(
        evaluation_batches(cache.images_NHWC, plain, rows_N[:count], size=config.size, batch_size=count)
    ).clone()

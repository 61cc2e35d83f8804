"""The photos of a split through a network in training: whole, in lanes, or shared out among processes.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.data.augmenters import DeviceAugmenter, HostAugmenter
from thalweg.data.batches import plain_batches
from thalweg.data.sharding import of_process
from thalweg.models import features_in_batches, logits_in_blocks, logits_of
from thalweg.runs.photos import affordable_batch
from thalweg.training.evaluation import judged, score, score_of
from thalweg.training.machine import fits_device, in_memory


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data import Cache
    from thalweg.data.augmenters import Augmenter
    from thalweg.data.photos import Split
    from thalweg.distributed.team import Team
    from thalweg.runs import SettledConfig
    from thalweg.training.evaluation import Score
    from thalweg.training.lanes import Lanes


class Splits:
    """Evaluates a network on the splits of a cache, photos not augmented, in fp32, so that all figures of a run agree.

    Args:
        cache: the photos.
        augmenter: makes the images.
        config: says their size, and whether batches are shared out.
        lanes: threads that work side by side on shared batches.
        classes: C.
    """

    def __init__(self, cache: Cache, augmenter: Augmenter, config: SettledConfig, lanes: Lanes, classes: int) -> None:
        self._classes = classes
        self._cache, self._augmenter, self._config, self._lanes = cache, augmenter, config, lanes
        self._size = affordable_batch(config.size, 2 * config.batch_size)  # fits if training fits
        self._augmenters = [augmenter] * lanes.count
        if isinstance(augmenter, HostAugmenter) and lanes.count > 1:
            self._augmenters = [augmenter.another() for _ in range(lanes.count)]

    def batches(self, split: Split) -> Iterator[Tensor]:
        """Yield the photos of a split, normalized: (N, 3, H, W), in the order of the cache."""
        return self._made(self._augmenter, self._cache.rows(split))

    def features(self, model: nn.Module, split: Split) -> Iterator[dict[str, Tensor]]:
        """Compute logits and the features at the taps, batch by batch."""
        return features_in_batches(model, self.batches(split))

    def score(self, model: nn.Module, split: Split, team: Team, **chosen: Any) -> Score:
        """Evaluate a network; each process takes some of the batches, which are the same for any number of them.

        Of one label a photo, only the loss of each photo and the rank of its class are held and exchanged.

        Args:
            model: the network.
            split: the photos.
            team: the processes; all get the same score.
            **chosen: `temperature` and `thresholds_C`, as `training.evaluation.score` takes them.
        """
        labels_N, loss = torch.from_numpy(self._cache.labels(split)), self._config.loss
        if labels_N.ndim > 1:
            logits_NC = self._of_shares(
                model, split, team, lambda logits_RC, _: logits_RC.T, self._classes
            ).T.contiguous()
            return score(logits_NC, labels_N, loss, **chosen)

        def judge(logits_RC: Tensor, rows: slice) -> Tensor:
            return judged(logits_RC, labels_N[rows], loss)

        return score_of(self._of_shares(model, split, team, judge, 2), self._classes)

    def _of_shares(
        self, model: nn.Module, split: Split, team: Team, made: Callable[[Tensor, slice], Tensor], height: int
    ) -> Tensor:
        """What is made of the logits of some photos at a time, (height, photos), side by side for all photos."""
        rows_N = self._cache.rows(split)
        if not self._config.is_sharded:
            parts, done = [], 0
            for logits_RC in logits_in_blocks(model, self.batches(split)):
                parts.append(made(logits_RC, slice(done, done + len(logits_RC))))
                done += len(logits_RC)
            return torch.cat(parts, dim=1)
        pieces = [slice(start, start + self._size) for start in range(0, len(rows_N), self._size)]
        shares = [of_process(len(pieces), rank, team.processes) for rank in range(team.processes)]
        mode = model.training
        model.eval()  # once, before the lanes do

        def work(lane: int, piece: slice) -> Tensor:
            return made(logits_of(model, self._made(self._augmenters[lane], rows_N[piece])), piece)

        own = list(self._lanes.map(work, [pieces[at] for at in shares[team.rank]]))
        model.train(mode)
        lengths = [sum(len(rows_N[pieces[at]]) for at in share) * height for share in shares]
        return torch.cat(team.gather([part.T.flatten() for part in own], lengths)).view(-1, height).T

    def _made(self, augmenter: Augmenter, rows_N: NDArray[np.int64]) -> Iterator[Tensor]:
        return plain_batches(augmenter, rows_N, size=self._config.sizes[-1], batch_size=self._size)


def augmenter_of(cache: Cache, facts: Mapping[str, Any], device: torch.device) -> Augmenter:
    """Return an augmenter that works on the network's device if the photos fit there.

    Args:
        cache: the photos.
        facts: of the run; `mean` and `std` normalize the images.
        device: of the network.
    """
    images_NHWC, normal = cache.images_NHWC, (facts["mean"], facts["std"])
    if device.type != "cpu" and fits_device(images_NHWC, device):
        return DeviceAugmenter(images_NHWC, *normal, device)
    return HostAugmenter(in_memory(cache), *normal)

"""A batch in virtual shards: each with its own batch-norm statistics and random draws, summed in a fixed tree.

Which process computes a shard, and how many there are, changes no bit of the result.

Shape suffixes: N photos of a shard, C channels, H height, W width.
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from thalweg._replay import Replay
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.mixing import Mixing
from thalweg.data.sharding import Block, Tree, cut, of_process
from thalweg.errors import TrainingError
from thalweg.i18n import joined
from thalweg.models.network import drawing_from
from thalweg.probes.replicas import bits_of
from thalweg.training.batch import Taken
from thalweg.training.flat import buffers_of
from thalweg.training.lanes import Lanes
from thalweg.training.losses import Targets
from thalweg.training.packed import PackedWeights


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from thalweg.data.augmenters import Augmenter
    from thalweg.data.batches import Batches
    from thalweg.distributed.team import Team
    from thalweg.training.flat import Flat, Given
    from thalweg.training.owning import OwnedUpdate
    from thalweg.training.progress import State
    from thalweg.training.step import Gradients

AGREE_EVERY = 20  # steps between two looks whether all processes hold the same weights
_SEEDS = 2**63 - 1
_ALONE = Lanes(1)
_LOOK = 2  # photos that show whether a network draws random numbers


class _Lane:
    """What one thread needs for itself: a network with the same weights and its own statistics, and an augmenter."""

    def __init__(
        self, gradients: Gradients, augmenter: Augmenter, mixing: Mixing | None, packed: PackedWeights
    ) -> None:
        self.model = copy.deepcopy(gradients.model)
        packed.put_into(self.model)
        self.follow(gradients.model)
        self.buffers = buffers_of(self.model)
        self.augmenter = augmenter.another() if isinstance(augmenter, HostAugmenter) else augmenter
        self.mixing = mixing and Mixing(mixing.mixup, mixing.cutmix, mixing.seed)
        self._parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._objective, self._format = gradients.objective, gradients.format
        self._replay = Replay()

    def follow(self, model: nn.Module) -> None:
        """Use the weights of a network where they lie now."""
        for own, shared in zip(self.model.parameters(), model.parameters(), strict=True):
            own.data, own.grad = shared.data, None

    def __call__(
        self, images_NCHW: Tensor, targets: Targets, share: float
    ) -> tuple[Tensor, Tensor, Sequence[Tensor | None]]:
        """Return the shard's share of the batch's mean loss, correct photos and the gradients of that share."""
        factor = torch.full((), share, device=images_NCHW.device)
        loss, right, *gradients = self._replay(self._computed, images_NCHW, factor, *targets)
        return loss, right, gradients

    def _computed(
        self, images_NCHW: Tensor, share: Tensor, labels_N: Tensor, others_N: Tensor | None, lambda_N: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        with self._format.autocast(images_NCHW.device):
            logits_NC = self.model(images_NCHW)
        loss = self._objective(logits_NC, Targets(labels_N, others_N, lambda_N)) * share
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return loss.detach(), self._objective.right(logits_NC.detach(), labels_N), *gradients


class _Place(NamedTuple):
    """Where a shard belongs."""

    epoch: int
    batch: int
    shard: int
    positions: slice
    share: float
    seed: int
    mixes: bool


class ShardedBatch:
    """Takes a batch in shards: this process those that are its own; the sum is over all.

    Args:
        batches: the batches.
        mixing: mixes the images of a shard among themselves; None: nothing is mixed.
        gradients: of the network; its loss, format and clipping apply.
        lanes: threads; a network that draws from torch's own generator uses one.
        team: the processes.
        flat: the layout of what is summed.
        update: the optimizer's step of several processes; None: this one is alone.
        shards: per batch.
        seed: of what the network draws in a step.
    """

    def __init__(
        self,
        batches: Batches,
        mixing: Mixing | None,
        gradients: Gradients,
        lanes: Lanes,
        team: Team,
        *,
        flat: Flat,
        update: OwnedUpdate | None = None,
        shards: int,
        seed: int,
    ) -> None:
        self._batches, self._gradients, self._team = batches, gradients, team
        self._threads, self._shards, self._seed = lanes, shards, seed
        self._packed = PackedWeights(gradients.model)
        self._lanes = [_Lane(gradients, batches.augmenter, mixing, self._packed) for _ in range(lanes.count)]
        self._flat, self._update = flat, update
        if update is not None:
            update.on_moved = self._follow

    def __call__(self, state: State, size: int, *, mixes: bool) -> Taken:
        """As in `BatchStep`."""
        batches, flat, rates = self._batches, self._flat, self._team.rates
        if state.step % AGREE_EVERY == 0:
            self._compare(state.step)
        if self._update is not None:
            self._update.begin(state.step)
        began = time.monotonic()  # the look waits for the slowest, which is no work
        batches.size = size
        photos = batches.count(state.batch)
        places = [
            _Place(
                state.epoch,
                state.batch,
                shard,
                positions,
                _length(positions) / photos,
                ((self._seed * 1_000_003 + state.step) * 65_537 + shard) % _SEEDS,
                mixes,
            )
            for shard, positions in enumerate(cut(photos, self._shards))
        ]
        mine = of_process(len(places), self._team.rank, self._team.processes)
        self._team.take_back(flat)
        self._packed.renew(self._threads)
        drawing, left = 0.0, len(mine)
        # while shards are computed, their threads have no time for sums
        tree: Tree[Given] = Tree(lambda one, other: one.add(other, _ALONE if left else self._threads))
        found = self._threads.map(self._shard, [places[shard] for shard in mine])
        for shard, (given, seconds) in zip(mine, found, strict=True):
            left -= 1
            tree.push(Block(shard, 1, given))
            drawing += seconds / self._threads.count
        if flat.on_host:  # a GPU is still at work
            self._team.worked(sum(_length(places[shard].positions) for shard in mine), time.monotonic() - began)
        if tree.blocks:
            flat.message(tree.blocks[0].value).add_(torch.tensor(self._team.message))
        total = self._team.total(tree, len(places), flat)
        self._team.hear(flat.message(total))
        loss, right = flat.put(total)
        are_mixed = mixes and self._lanes[0].mixing is not None
        return Taken(loss, self._clipped_norm(), right, photos, are_mixed, drawing, rates)

    def _clipped_norm(self) -> Tensor:
        if self._update is not None and self._flat.only_own:
            return self._update.clipped_norm(self._gradients.clip_grad_norm)
        return self._gradients.clipped_norm()

    def _follow(self) -> None:
        for lane in self._lanes:
            lane.follow(self._gradients.model)

    @torch.no_grad()
    def _compare(self, step: int) -> None:
        """Compare the weights of all processes, bit by bit: they must be one network.

        Raises:
            TrainingError: they are not.
        """
        team, flat = self._team, self._flat
        if team.processes == 1:
            return
        own = torch.stack([bits_of(tensor) for tensor in (*flat.parameters, *flat.buffers)]).sum().reshape(1)
        sums = [int(one) for one in team.gather([own], [1] * team.processes)]
        usual = max(sums, key=sums.count)
        others = [rank for rank, one in enumerate(sums) if one != usual]
        if others and not team.first:  # all processes find the same; the first says it
            raise team.until_said(TrainingError.exit_code)
        if others:
            if 2 * sums.count(usual) <= len(sums):  # no more than half of them agree
                raise TrainingError("distributed.replicas_differ_evenly", step=step)
            ranks = joined(map(str, others))
            raise TrainingError("distributed.replicas_differ", step=step, ranks=ranks, usual=sums.index(usual))

    def _shard(self, number: int, place: _Place) -> tuple[Given, float]:
        """Draw a shard and compute what it gives."""
        lane, began = self._lanes[number], time.monotonic()
        images_NCHW, labels_N = self._batches.shard(*place[:4], lane.augmenter)
        targets = Targets(labels_N)
        if lane.mixing and place.mixes:
            permutation_N, lambda_N = lane.mixing(images_NCHW, *place[:3])
            targets = Targets(labels_N, labels_N[permutation_N], lambda_N)
        device, form = self._flat.parameters[0].device, self._gradients.format
        images_NCHW, targets = images_NCHW.to(device, memory_format=form.memory_format), targets.to(device)
        seconds = time.monotonic() - began
        with torch.no_grad():
            for own, shared in zip(lane.buffers, self._flat.buffers, strict=True):
                own.copy_(shared)
        if self._threads.count == 1:
            torch.manual_seed(place.seed)
        with drawing_from(torch.Generator().manual_seed(place.seed)):
            try:
                loss, right, gradients = lane(images_NCHW, targets, place.share)
            except torch.OutOfMemoryError as error:
                raise TrainingError("distributed.out_of_memory", photos=len(images_NCHW)) from error
        counts = place.shard == 0
        return self._flat.given(gradients, lane.buffers, (loss, right), share=place.share, counts=counts), seconds


def _length(positions: slice) -> int:
    return positions.stop - positions.start


def draws_from_torch(model: nn.Module, size: int) -> bool:
    """Whether a network draws from torch's own generator while it trains; those of this package have another.

    Args:
        model: the network; it stays as it is, and so does the generator.
        size: side of the images, in pixels.
    """
    twin, device = copy.deepcopy(model).train(), next(model.parameters()).device
    with torch.random.fork_rng(devices=[]), drawing_from(torch.Generator()), torch.no_grad():
        before = torch.get_rng_state()
        twin(torch.zeros(_LOOK, 3, size, size, device=device))
        return not torch.equal(before, torch.get_rng_state())

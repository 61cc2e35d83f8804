"""Which of the two ways a training takes its batches: whole, or in shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.data.mixing import Mixing
from thalweg.training.batch import WholeBatch
from thalweg.training.flat import Flat
from thalweg.training.lanes import Lanes
from thalweg.training.muon import Muon
from thalweg.training.owning import OwnedUpdate, owners_of
from thalweg.training.shards import ShardedBatch, draws_from_torch
from thalweg.training.sharing import SharedMatrices, update_of


if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch.optim import Optimizer

    from thalweg.data.batches import Batches
    from thalweg.distributed.team import Team
    from thalweg.runs import SettledConfig
    from thalweg.training.batch import BatchStep
    from thalweg.training.step import Gradients


def batch_step(
    config: SettledConfig,
    batches: Batches,
    gradients: Gradients,
    optimizer: Optimizer,
    *,
    device: torch.device,
    team: Team,
    threads: int,
) -> tuple[Lanes, BatchStep, Callable[[], Any]]:
    """Return the threads that work side by side, what draws a batch and computes its gradients, and the update by them.

    Args:
        config: of the run.
        batches: its batches.
        gradients: of its network.
        optimizer: muon's matrices are shared out, if batches are.
        device: of the network.
        team: the processes.
        threads: at most, side by side.
    """
    mixing = Mixing(config.mixup, config.cutmix, config.seed) if config.mixup + config.cutmix else None
    if not config.is_sharded:
        lanes, take = Lanes(1), WholeBatch(batches, mixing, gradients, device=device, seed=config.seed)
        return lanes, take, update_of(optimizer, lanes)
    is_alone = device.type != "cpu" or draws_from_torch(gradients.model, config.sizes[0])
    lanes, shards = Lanes(1 if is_alone else threads), config.shards or 1
    if isinstance(optimizer, Muon):
        optimizer.share_out = SharedMatrices(team, lanes)
    parameters = [parameter for parameter in gradients.model.parameters() if parameter.requires_grad]
    flat = Flat(gradients.model, len(team.message), owners_of(optimizer, parameters, team.processes))
    owned = OwnedUpdate(optimizer, lanes, flat, team) if team.processes > 1 else None
    parts = {"flat": flat, "update": owned, "shards": shards, "seed": config.seed}
    take = ShardedBatch(batches, mixing, gradients, lanes, team, **parts)
    return lanes, take, owned or update_of(optimizer, lanes)

"""Run families × mutations × seeds, and leave out the faults that do no harm."""

from __future__ import annotations

import math
from contextlib import ExitStack
from multiprocessing import get_context
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.zoo.families.mutations import MUTATIONS, hurts
from thalweg.diagnosis.zoo.families.table import FAMILIES
from thalweg.diagnosis.zoo.running import Outcome, one_thread, train_watched
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from thalweg.diagnosis.zoo.families.family import Family
    from thalweg.diagnosis.zoo.table import Training

WELL = ("healthy", "converged")


def run_families(
    *,
    seeds: Iterable[int] = (0,),
    families: Iterable[str] | None = None,
    processes: int = 1,
    listener: Listener | None = None,
) -> list[Outcome]:
    """Run every mutation of some families, and their healthy trainings.

    Args:
        seeds: of weights and data.
        families: names; None: all.
        processes: number of processes that share the work, with one thread each.
        listener: receives the progress.

    Returns:
        One outcome per training that is healthy or does harm; `network` is the family, `case` the mutation.
    """
    work = [(name, seed) for seed in seeds for name in (FAMILIES if families is None else families)]
    listener = listener or Listener()
    listener.working("trainings", 0, len(work))
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        if processes == 1:
            found = map(_of_family, work)
        else:
            pool = get_context("spawn").Pool(processes, initializer=one_thread)
            found = stack.enter_context(pool).imap(_of_family, work)
        for done, some in enumerate(found, start=1):
            outcomes += some
            listener.working("trainings", done, len(work))
    return outcomes


def _of_family(item: tuple[str, int]) -> list[Outcome]:
    """The outcomes of one family and seed."""
    family, seed = FAMILIES[item[0]], item[1]
    training = family.training(seed)
    first = _loss(family, training.model, training)
    outcomes = [_outcome(family, "healthy", WELL, training)]
    healthy = _loss(family, training.model, training)
    for mutation in MUTATIONS.values():
        training = family.training(seed)
        model = training.model
        changed = mutation.change(training, family)
        if changed is None:
            continue
        outcome = _outcome(family, mutation.name, mutation.truth, changed)
        if hurts(first, healthy, _loss(family, model, changed)):
            outcomes.append(outcome)
    return outcomes


def _outcome(family: Family, case: str, truth: tuple[str, ...], training: Training) -> Outcome:
    verdict = train_watched(training)
    second = verdict.alternatives[0][0] if verdict.alternatives else ""
    return Outcome(
        case, truth, family.name, family.optimizer, training.seed, verdict.code, second, dict(verdict.measures)
    )


@torch.no_grad()
def _loss(family: Family, model: nn.Module, training: Training) -> float:
    """The family's own loss on its samples kept out, of the network alone; infinite where it fails."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    inputs, targets = training.samples.valid_inputs_NF, training.samples.valid_targets_N
    if training.change is not None and inputs.is_floating_point():
        inputs = training.change(inputs, targets)[0]
    torch.manual_seed(0)
    loss = float(family.loss_fn(model(inputs), targets))
    for module, mode in modes:
        module.training = mode
    return loss if math.isfinite(loss) else math.inf

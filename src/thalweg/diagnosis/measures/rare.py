"""The classes that are rare: how many of them a network predicts, of a batch and of all samples that a watch kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.head import class_dim, head_of
from thalweg.diagnosis.measures.relabeled import IGNORED
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from thalweg.diagnosis.measures.head import Head
    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

OUTWEIGHS, NEGLECTED = 0.8, 0.2  # share of the most frequent label, and of the others that are predicted
FEWEST_FOR_SHARES = 32  # labels that show which classes are rare


def rare_measures(copied: Copy, kept: Batch | None, found: Mapping[str, float]) -> dict[str, float]:
    """The measures of `rare_of` over the samples that a watch kept: a batch may hold one or two of a rare class.

    Args:
        copied: its model runs.
        kept: samples that the training took; None: none, so nothing is measured.
        found: the measures of a batch; nothing where it shows that rare labels are predicted.
    """
    of_one_class = found.get("targets_kinds") == 1  # a small batch lacks a rare class altogether
    largest = found.get("largest_class", 1.0 if of_one_class else 0.0)
    if kept is None or largest < OUTWEIGHS or found.get("rare_found", 0.0) > NEGLECTED:
        return {}
    with own_randomness(0), torch.enable_grad():  # the head is read from the graph
        outputs = kept.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or not isinstance(kept.targets, torch.Tensor):
        return {}
    return rare_of(outputs.detach(), kept.targets, head_of(outputs))


def rare_of(outputs: Tensor, targets: Tensor, head: Head) -> dict[str, float]:
    """The share of the most frequent label, and how many of the other labels are predicted.

    Binary targets of several columns are separate questions and are left out.
    """
    dim = class_dim(outputs, targets)
    if not targets.is_floating_point():
        if dim is None:
            return {}
        known = targets != IGNORED
        labels, predicted = targets[known], outputs.argmax(dim=dim)[known]
    elif targets.shape == outputs.shape and (targets.ndim != 2 or targets.shape[1] == 1):
        if not bool(((targets == 0) | (targets == 1)).all()):
            return {}
        labels, predicted = targets.long(), (outputs > (0.5 if head == "sigmoid" else 0.0)).long()
    else:
        return {}
    kinds, counts = labels.unique(return_counts=True)
    if labels.numel() < FEWEST_FOR_SHARES or len(kinds) < 2:  # one single class is another fault
        return {}
    rare = labels != kinds[counts.argmax()]
    return {
        "largest_class": float(counts.max() / counts.sum()),
        "rare_found": float((predicted == labels)[rare].float().mean()),
        "rare_said": float((predicted != kinds[counts.argmax()]).sum() / rare.sum()),
    }

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
FEWEST_RARE = 8  # rare labels that show whether their samples are told apart: by chance a half, with an error of 0.1


def rare_measures(copied: Copy, kept: Batch | None, found: Mapping[str, float]) -> dict[str, float]:
    """The measures of `rare_of` over the samples that a watch kept: a batch may hold one or two of a rare class.

    Args:
        copied: its model runs.
        kept: samples that the training took; None: none, so nothing is measured.
        found: the measures of a batch; nothing where enough rare labels of it show that they are predicted.
    """
    of_one_class = found.get("targets_kinds") == 1  # a small batch lacks a rare class altogether
    largest = found.get("largest_class", 1.0 if of_one_class else 0.0)
    enough = "rare_ranked" in found  # rare labels in the batch
    if kept is None or largest < OUTWEIGHS or (enough and found.get("rare_found", 0.0) > NEGLECTED):
        return {}
    with own_randomness(0), torch.enable_grad():  # the head is read from the graph
        outputs = kept.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or not isinstance(kept.targets, torch.Tensor):
        return {}
    return rare_of(outputs.detach(), kept.targets, head_of(outputs))


def rare_of(outputs: Tensor, targets: Tensor, head: Head) -> dict[str, float]:
    """The share of the most frequent label, and how many of the other labels are predicted.

    `rare_ranked`: the share of pairs of a rare sample and a frequent one, of which the network holds the rare one to be
    the less frequent; nothing for fewer than eight rare samples.

    Binary targets of several columns are separate questions and are left out.
    """
    dim = class_dim(outputs, targets)
    if not targets.is_floating_point():
        if dim is None:
            return {}
        known = targets != IGNORED
        labels, predicted = targets[known], outputs.argmax(dim=dim)[known]
        scores = outputs.float().log_softmax(dim).movedim(dim, -1)[known]
    elif targets.shape == outputs.shape and (targets.ndim != 2 or targets.shape[1] == 1):
        if not bool(((targets == 0) | (targets == 1)).all()):
            return {}
        labels, predicted = targets.long(), (outputs > (0.5 if head == "sigmoid" else 0.0)).long()
        scores = torch.stack([-outputs, outputs], dim=-1).float()
    else:
        return {}
    kinds, counts = labels.unique(return_counts=True)
    if labels.numel() < FEWEST_FOR_SHARES or len(kinds) < 2:  # one single class is another fault
        return {}
    frequent = kinds[counts.argmax()]
    rare = labels != frequent
    found = {
        "largest_class": float(counts.max() / counts.sum()),
        "rare_found": float((predicted == labels)[rare].float().mean()),
        "rare_said": float((predicted != frequent).sum() / rare.sum()),
    }
    if int(rare.sum()) >= FEWEST_RARE and 0 <= int(frequent) < scores.shape[-1]:
        found["rare_ranked"] = _ranked(-scores[..., int(frequent)], rare)
    return found


def _ranked(scores: Tensor, rare: Tensor) -> float:
    """The share of pairs of a rare sample and another, of which the rare one has the higher score; half for equal ones.

    Source: Mann and Whitney 1947, On a test of whether one of two random variables is stochastically larger.

    Example:
        >>> _ranked(torch.tensor([0.1, 0.3, 0.2, 0.3]), torch.tensor([False, True, False, False]))
        0.8333333333333334
    """
    others = scores[~rare].sort().values
    below, most = (torch.searchsorted(others, scores[rare].contiguous(), right=right) for right in (False, True))
    return float((below + most).double().mean() / (2 * len(others)))

"""Pictures and masks that were flipped apart."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.mirrored import mirrored_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
BINARY = functional.binary_cross_entropy_with_logits


def spots(count=16, size=12):
    """A bright square each, anywhere: as logits, and as masks."""
    masks = torch.zeros(count, 1, size, size)
    for mask, at in zip(masks, torch.randint(size - 4, (count, 2), generator=DRAW).tolist(), strict=True):
        mask[0, at[0] : at[0] + 4, at[1] : at[1] + 4] = 1.0
    return 8 * masks - 4, masks


def measured(logits, targets, loss_fn=BINARY):
    copied = Copy.of(nn.Identity(), torch.optim.SGD([torch.zeros(1, requires_grad=True)]), loss_fn)
    return mirrored_measures(copied, Batch(logits, targets))


def flipped(masks, dims, every):
    return torch.cat([mask.flip(dims) if at % every == 0 else mask for at, mask in enumerate(masks.split(1))])


@pytest.mark.parametrize("dims", [(-1,), (-2,), (-2, -1)])
def test_the_share_that_was_flipped(dims):
    logits, masks = spots(64)
    both = torch.maximum(logits, logits.flip(dims))  # what a network learns of them
    assert measured(both + logits / 10, masks)["mirrored"] == 0
    assert measured(logits, flipped(masks, dims, 2))["mirrored"] == pytest.approx(0.5, abs=0.1)
    classes = torch.cat([-logits, logits], dim=1)
    found = measured(classes, flipped(masks, dims, 2)[:, 0].long(), functional.cross_entropy)
    assert found["mirrored"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_flips_both_ways_that_let_next_to_nothing_be_learned(seed):
    """Each mask is flipped in one of four ways; the network finds its square faintly."""
    draw = torch.Generator().manual_seed(seed)
    logits, masks = spots(32)
    faint = logits / 4 - 3 + 0.1 * torch.randn(logits.shape, generator=draw)
    ways = torch.randint(4, (len(masks),), generator=draw).tolist()
    apart = torch.stack([mask.flip([(), (-1,), (-2,), (-2, -1)][way]) for mask, way in zip(masks, ways, strict=True)])
    assert measured(faint, apart)["mirrored"] == pytest.approx(0.75, abs=0.25)
    assert measured(faint, masks)["mirrored"] < 0.1
    # An output that knows how bright a picture is, and not where.
    bright = torch.rand(32, 1, 1, 1, generator=draw)
    pictures = bright * (1 + torch.randn(32, 1, 12, 12, generator=draw))
    flat = bright + 0.05 * torch.randn(32, 1, 12, 12, generator=draw)
    assert measured(flat, pictures, functional.mse_loss) == {}


@pytest.mark.parametrize("strength", [-0.6, 0.0, 0.2], ids=["bright taken for dark", "unseen", "hardly seen"])
def test_chance_is_no_flip(strength):
    """A few bright points in noise: of three ways to mirror, one nearly always fits better by chance."""
    draw = torch.Generator().manual_seed(1)
    found = []
    for _ in range(60):
        masks = torch.zeros(16, 1, 16, 16)
        for mask, at in zip(masks, torch.randint(14, (16, 2), generator=draw).tolist(), strict=True):
            mask[0, at[0] : at[0] + 2, at[1] : at[1] + 2] = 1.0
        found.append(measured(0.7 * torch.randn(masks.shape, generator=draw) + strength * masks - 3, masks))
    assert sum(one.get("mirrored", 0.0) > 0.25 for one in found) <= 1


def test_what_tells_nothing():
    logits, masks = spots()
    assert measured(torch.randn(logits.shape, generator=DRAW), masks) == {}  # nothing was learned
    middle = torch.zeros_like(masks)
    middle[..., 4:8, 4:8] = 1.0
    assert measured(8 * middle - 4, middle) == {}  # its own mirror image
    assert measured(logits[:4], masks[:4]) == {}
    assert measured(logits.flatten(1), masks.flatten(1)) == {}
    assert measured(logits[..., :6, :6], masks[..., :6, :6]) == {}


def test_the_rule():
    learning = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 0.5, "falling": 0.1, "left": 0.5}
    assert judge({**learning, "mirrored": 0.5}).code == "bad_targets"
    assert judge({**learning, "mirrored": 0.1}).code == "healthy"

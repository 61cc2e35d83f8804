"""Mixed batches against a literal twin, pixel by pixel, and the draws against the shares asked for."""

import numpy as np
import pytest
import torch

from thalweg.data.augmentation import MIXES
from thalweg.data.mixing import Mixing, draw_mix, mix_on_device


def batch(count=8, size=6):
    images_NHWC = torch.from_numpy(np.random.default_rng(0).normal(size=(count, size, size, 3)).astype(np.float32))
    return images_NHWC.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("mixup", "cutmix"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.3, 0.3)])
def test_a_mixed_batch_is_the_literal_one(mixup, cutmix):
    plain, mixed = batch().numpy(), batch()
    permutation_N, lambda_N = Mixing(mixup, cutmix, seed=3)(mixed, epoch=2, index=5)
    mix = draw_mix(mixup, cutmix, 8, 6, np.random.default_rng([3, MIXES, 2, 5]))
    for n in range(8):
        other = plain[permutation_N[n]]
        top, left, height, width = mix.boxes_N4[n]
        own = 0.0
        for y in range(6):
            for x in range(6):
                inside = top <= y < top + height and left <= x < left + width
                share = 0.0 if inside else 1 - mix.blends_N[n]
                own += share / 36
                expected = share * plain[n, :, y, x] + (1 - share) * other[:, y, x]
                np.testing.assert_allclose(mixed[n, :, y, x], expected, atol=1e-5)
        assert lambda_N[n] == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize(("mixup", "cutmix"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_all_photos_mixed_at_once_are_as_one_after_the_other(mixup, cutmix):
    one_by_one, at_once = batch(), batch()
    permutation_N, lambda_N = Mixing(mixup, cutmix, seed=3)(one_by_one, epoch=2, index=5)
    found = mix_on_device(at_once, draw_mix(mixup, cutmix, 8, 6, np.random.default_rng([3, MIXES, 2, 5])))
    torch.testing.assert_close(at_once, one_by_one)
    assert torch.equal(found[0], permutation_N)
    assert torch.equal(found[1], lambda_N)


def test_as_many_are_mixed_as_promised():
    mix = draw_mix(0.3, 0.5, 20_000, 64, np.random.default_rng(0))
    blended, cut = mix.blends_N > 0, mix.boxes_N4[:, 2] * mix.boxes_N4[:, 3] > 0
    assert not (blended & cut).any()
    assert blended.mean() == pytest.approx(0.3, abs=0.02)
    assert cut.mean() == pytest.approx(0.5, abs=0.03)
    assert mix.blends_N.max() <= 0.5
    assert sorted(mix.permutation_N) == list(range(20_000))


def test_a_mix_is_a_function_of_seed_epoch_and_batch():
    first, again = Mixing(0.5, 0.5, 1), Mixing(0.5, 0.5, 1)
    wanted, later = batch(), batch()
    first(wanted, 4, 2)
    again(batch(), 0, 0)
    again(later, 4, 2)
    assert torch.equal(wanted, later)

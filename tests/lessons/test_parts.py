"""What the lessons compute is what independent counts, sums and simulations give."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.lessons import get
from thalweg.lessons._photos import MOMENTS, draw_photos
from thalweg.lessons.augmentation_closes_the_gap import AugmentationClosesTheGap
from thalweg.lessons.batch_size import BatchSize
from thalweg.lessons.early_stopping import stop
from thalweg.lessons.full_or_convolved import matrix_of
from thalweg.lessons.overfitting_and_validation import best_of
from thalweg.lessons.receptive_field import Field, extent, fields_of
from thalweg.lessons.what_a_convolution_sees import convolved


def test_photos_take_turns_by_class_and_depend_on_the_seed_only():
    photos = draw_photos("valid", 3, seed=4)
    assert photos.labels_N.tolist() == [*range(10)] * 3
    np.testing.assert_array_equal(photos.images_NHWC, draw_photos("valid", 3, seed=4).images_NHWC)
    assert (photos.images_NHWC != draw_photos("valid", 3, seed=5).images_NHWC).any()
    assert len(np.unique(photos.images_NHWC.reshape(30, -1), axis=0)) == 30
    pixels, labels = photos.tensors(torch.float64)
    np.testing.assert_allclose(pixels.numpy()[:, 0] * MOMENTS[1] + MOMENTS[0], photos.gray_NHW)
    assert labels.tolist() == photos.labels_N.tolist()


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_matrix_of_a_convolution_is_the_convolution(kernel):
    random = np.random.default_rng(kernel)
    weights, photo = random.normal(size=(kernel, kernel)), random.normal(size=(7, 7))
    padded = np.pad(photo, kernel // 2)
    np.testing.assert_allclose(matrix_of(weights, 7) @ photo.ravel(), convolved(padded, weights).ravel(), atol=1e-12)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 1, 5, stride=2, padding=2), nn.Conv2d(1, 1, 3)],
        [nn.Conv2d(1, 1, 3, padding=1), nn.AvgPool2d(3, 2), nn.Conv2d(1, 1, 2)],
        [nn.AvgPool2d(2), nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, padding=1)],
    ],
)
def test_the_field_in_closed_form_is_where_the_gradient_is(layers):
    """Weights of one, so that no path cancels another."""
    for layer in layers:
        for part in layer.parameters():
            nn.init.ones_(part)
    photo = torch.zeros(1, 1, 41, 41, requires_grad=True)
    output = nn.Sequential(*layers)(photo)
    middle = output.shape[-1] // 2
    (gradient,) = torch.autograd.grad(output[0, 0, middle, middle], photo)
    start, side, stride = fields_of(layers)[-1]
    assert extent(gradient[0, 0].numpy()) == Field(start + stride * middle, side)


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([3, 2, 1, 0.5], 1, (3, 3)),  # never stops
        ([3, 2, 2, 1], 1, (1, 2)),  # a tie is no improvement
        ([1, 2, 3, 4], 2, (0, 2)),  # nothing is better than the first weights
        ([3, 1, 2, 2, 2, 0], 3, (1, 4)),
        ([3, 1, 2, 2, 2, 0], 4, (5, 5)),
    ],
)
def test_training_stops_after_so_many_epochs_without_a_lower_loss(losses, patience, expected):
    assert stop(losses, patience) == expected


def test_the_best_of_many_guesses_is_as_simulated():
    random = np.random.default_rng(0)
    best = random.binomial(50, 0.1, size=(4000, 200)).max(axis=1).mean() / 50 * 100
    assert best_of(200, 50, 0.1) == pytest.approx(best, rel=0.01)


def test_the_noise_of_a_batch_is_its_mean_over_all_batches():
    """All forty-five pairs of ten photos, not a sample."""
    from itertools import combinations

    lesson = BatchSize(each=1, sizes=(2, 10), draws=1, hidden=2)
    gradients_NP = lesson._gradients()
    whole_P = gradients_NP.mean(axis=0)
    pairs = [gradients_NP[list(pair)].mean(axis=0) - whole_P for pair in combinations(range(10), 2)]
    expected = np.sqrt(np.mean([pair @ pair for pair in pairs])) / np.linalg.norm(whole_P)
    computed, measured = lesson._noise()
    assert computed[0] == pytest.approx(expected, rel=1e-9)
    assert computed[1] == pytest.approx(0, abs=1e-12)
    assert measured[1] == pytest.approx(0, abs=1e-6)


def test_the_gradient_of_each_photo_averages_to_that_of_all():
    from torch.nn.functional import cross_entropy

    from thalweg.lessons._learning import dense_network

    lesson = BatchSize(each=2, hidden=3)
    model = dense_network((3,), lesson.seed)
    images, labels = draw_photos("train", 2, lesson.seed).tensors()
    cross_entropy(model(images), labels).backward()
    whole_P = torch.cat([part.grad.flatten() for part in model.parameters()]).double().numpy()
    np.testing.assert_allclose(lesson._gradients().mean(axis=0), whole_P, atol=1e-6)


def test_initialization_has_the_factors_of_its_papers():
    """He's and an orthogonal matrix times √2 keep the mean square behind ReLU, Xavier's halves it."""
    factors = dataclasses.replace(get("initialization"), width=64, small=0.1).factors()
    assert factors["he"] == pytest.approx(1)
    assert factors["orthogonal"] == 1
    assert factors["xavier"] ** 2 == pytest.approx(0.5)
    assert factors["small"] ** 2 == pytest.approx(64 * 0.01 / 2)


def test_both_trainings_of_augmentation_begin_at_the_same_weights():
    lesson = AugmentationClosesTheGap(policy="flip", each=1, valid_each=1, epochs=1, channels=2)
    plain, augmented = lesson.run().data["curves"].values()
    assert plain.loss["train"][0] == augmented.loss["train"][0]
    assert plain.loss["train"][1] != augmented.loss["train"][1]

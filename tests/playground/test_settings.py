"""Settings decide everything: points, first weights, the optimizer; what they cannot be is refused."""

import numpy as np
import pytest
import torch

from thalweg.errors import UnknownNameError, UsageError
from thalweg.playground import Loop, Settings, photo_points
from thalweg.playground.network import RATES, build, linear_layers, optimizer_of
from thalweg.playground.points import points_of
from thalweg.playground.settings import CHOICES, LIMITS, OPTIMIZERS, SHAPES


class TestLimits:
    @pytest.mark.parametrize("name", LIMITS)
    def test_a_number_beyond_its_limits_is_refused_with_them(self, name):
        least, most = LIMITS[name]
        for value in (least - 1, most * 2 + 1, float("nan"), "3", True, None):
            with pytest.raises(UsageError, match=rf"^{name} is .*from"):
                Settings(**{name: value})
        Settings(**{name: type(getattr(Settings(), name))(most)})

    @pytest.mark.parametrize("name", CHOICES)
    def test_an_unknown_name_is_refused(self, name):
        with pytest.raises(UnknownNameError, match="'none of them'"):
            Settings(**{name: "none of them"})

    @pytest.mark.parametrize("widths", [(0,), (33,), (4.0,), (8,) * 13])
    def test_layers_are_few_and_narrow(self, widths):
        with pytest.raises(UsageError, match="at most 12 hidden layers of 1 to 32 units"):
            Settings(widths=widths)


class TestPoints:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_shape_is_a_function_of_its_seed_and_has_as_many_points_of_each_class(self, shape):
        first, again, other = (points_of(Settings(points=shape, count=50, seed=seed)) for seed in (1, 1, 2))
        assert (first.inputs_N2 == again.inputs_N2).all()
        assert not (first.inputs_N2 == other.inputs_N2).all()
        assert np.bincount(first.labels_N).tolist() == [25, 25]
        assert first.held_N.sum() == 10
        left, right, low, high = first.window
        assert ((first.inputs_N2 > [left, low]) & (first.inputs_N2 < [right, high])).all()
        assert right - left == pytest.approx(high - low)

    def test_without_noise_shapes_are_what_they_are_called(self):
        radius = np.linalg.norm(points_of(Settings(points="circles", noise=0)).inputs_N2, axis=1)
        assert sorted(set(radius.round(5).tolist())) == pytest.approx([0.4, 1.0])
        for shape, score in (("xor", lambda x, y: x * y > 0), ("line", lambda x, y: x + y > 0)):
            found = points_of(Settings(points=shape, noise=0))
            assert (score(*found.inputs_N2.T) == (found.labels_N == 1)).all(), shape

    def test_photos_are_seen_along_their_principal_components(self):
        draw = np.random.default_rng(0)
        plane = draw.normal(size=(80, 2)) * [5, 2]
        turned, _ = np.linalg.qr(draw.normal(size=(9, 9)))
        found = photo_points(plane @ turned[:2] + 3, np.arange(80) % 2, ("a", "b"))
        centered = plane - plane.mean(axis=0)
        left, _, _ = np.linalg.svd(centered, full_matrices=False)
        cosine = np.abs(left.T @ found.inputs_N2) / np.sqrt(80)
        np.testing.assert_allclose(cosine, np.eye(2), atol=1e-5)

    def test_photos_that_give_no_plane_are_refused(self):
        with pytest.raises(UsageError, match="5 photos"):
            photo_points(np.eye(5), np.zeros(5, int), ("a",))
        with pytest.raises(UsageError, match="alike"):
            photo_points(np.ones((20, 5)), np.zeros(20, int), ("a",))
        with pytest.raises(UsageError, match="no run is named"):
            Loop(Settings(points="photos"))


class TestNetwork:
    @pytest.mark.parametrize(
        ("init", "deviation"),
        [("he", (2 / 32) ** 0.5), ("xavier", 32**-0.5), ("small", 0.01), ("large", 3.0), ("zero", 0)],
    )
    def test_first_weights_have_the_deviation_of_their_name(self, init, deviation):
        weight = linear_layers(build(Settings(widths=(32, 32), init=init), 2))[1].weight
        assert weight.std().item() == pytest.approx(deviation, rel=0.1)

    def test_orthogonal_and_equal_weights(self):
        weight = linear_layers(build(Settings(widths=(32, 32), init="orthogonal"), 2))[1].weight.detach()
        torch.testing.assert_close(weight @ weight.T, torch.eye(32), atol=1e-5, rtol=0)
        weight = linear_layers(build(Settings(widths=(32, 32), init="same"), 2))[1].weight.detach()
        assert weight.unique().numel() == 1

    def test_torchs_own_start_is_bounded_as_torch_bounds_it(self):
        layer, bound = linear_layers(build(Settings(widths=(32, 32)), 2))[1], 32**-0.5  # torch draws U(-1/√n, 1/√n)
        for drawn in (layer.weight, layer.bias):
            assert 0.8 * bound < drawn.abs().max().item() <= bound

    def test_every_optimizer_has_a_rate_and_decay_where_torch_has_it(self):
        assert set(RATES) == set(OPTIMIZERS)
        parameters = [torch.nn.Parameter(torch.ones(1))]
        for name in OPTIMIZERS:
            if name == "rprop":
                with pytest.raises(UsageError, match="rprop has no weight decay"):
                    optimizer_of(Settings(optimizer=name, decay=0.1), parameters)
            else:
                group = optimizer_of(Settings(optimizer=name, decay=0.1), parameters).param_groups[0]
                assert group["weight_decay"] == 0.1

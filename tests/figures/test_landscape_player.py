"""A landscape in the player: the path's numbers are the weights' own, and its end stands on the grid."""

import html
import json
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.landscape import Landscape, Trajectory
from thalweg.diagnosis.landscape.directions import principal_plane
from thalweg.diagnosis.landscape.grid import Plane
from thalweg.diagnosis.landscape.run import _extent
from thalweg.figures import write_landscape
from thalweg.figures.player.landscape import payload_of, stage_of
from thalweg.figures.player.packing import unpack
from thalweg.i18n import LANGUAGES, set_language, t


POINTS = 11


@pytest.fixture(scope="module")
def way():
    """Seven states of a layer's weights on a bent way."""
    random = torch.Generator().manual_seed(1)
    return [{"weight": weight} for weight in torch.randn(7, 3, 4, generator=random).cumsum(dim=0)]


@pytest.fixture(scope="module")
def found(way):
    """The landscape of that way, with four examples."""
    random = torch.Generator().manual_seed(2)
    inputs, targets = torch.randn(4, 4, generator=random), torch.tensor([0, 1, 2, 1])
    model = nn.Linear(4, 3, bias=False)
    model.load_state_dict(way[-1])
    plane_of_way = principal_plane(way)
    plane = Plane(model, plane_of_way.directions, cross_entropy, [(inputs, targets)])
    a_K, b_K = plane_of_way.a_K, plane_of_way.b_K
    a_W, b_H = _extent(a_K, POINTS, 1.0), _extent(b_K, POINTS, 1.0)
    trajectory = Trajectory(
        np.arange(7), a_K, b_K, np.array([plane.loss_at(state) for state in way]),
        np.array([plane.losses([a], [b])[0, 0] for a, b in zip(a_K, b_K, strict=True)]),
        plane_of_way.distance_K, plane_of_way.moved_K, plane_of_way.outside_K, plane_of_way.outside,
    )  # fmt: skip
    losses_HW, origin = plane.losses(a_W.tolist(), b_H.tolist()), plane.loss_at(way[-1])
    return Landscape("trajectory", a_W, b_H, losses_HW, origin, 12, 4, 0, trajectory)


def numbers(found):
    payload = payload_of(found)
    return payload, unpack(payload["block"], payload["slots"])


def test_the_path_lies_where_singular_vectors_put_its_weights(way, found):
    _, arrays = numbers(found)
    differences = torch.stack([(state["weight"] - way[-1]["weight"]).flatten() for state in way]).double().numpy()
    _, singular, axes = np.linalg.svd(differences, full_matrices=False)
    for name, axis in zip("xy", axes[:2], strict=True):
        projected_K = differences @ axis
        sign = np.sign(projected_K @ arrays[f"0.{name}"])
        np.testing.assert_allclose(arrays[f"0.{name}"], sign * projected_K, atol=1e-5)
        np.testing.assert_array_equal(arrays[f"0.{name}"], arrays[f"1.{name}"])
    np.testing.assert_allclose(arrays["1.distance"], np.linalg.norm(differences, axis=1), rtol=1e-6)
    np.testing.assert_allclose(arrays["1.moved"][1:], np.linalg.norm(np.diff(differences, axis=0), axis=1), rtol=1e-6)
    held = (singular[:2] ** 2).sum() / (singular**2).sum()
    assert found.trajectory.held == pytest.approx(held, abs=1e-6)


def test_the_end_of_the_path_is_a_point_of_the_grid_with_the_networks_loss(found):
    payload, arrays = numbers(found)
    assert (arrays["0.x"][-1], arrays["0.y"][-1]) == (0, 0)
    row, column = found.b_H.tolist().index(0.0), found.a_W.tolist().index(0.0)
    for loss in (found.loss_HW[row, column], arrays["0.loss"][-1], arrays["1.loss"][-1]):
        assert loss == pytest.approx(found.loss, rel=1e-6)
    height = arrays["heights"].reshape(POINTS, POINTS)[row, column] / 65535
    assert height == pytest.approx(arrays["0.height"][-1], abs=1e-4)
    ends = {mark["kind"]: (mark["x"], mark["y"]) for mark in payload["surface"]["critical"]}
    assert ends == {"square": (arrays["0.x"][0], arrays["0.y"][0]), "star": (0, 0)}


@pytest.mark.parametrize("points", [3, 5, 11, 41])
@pytest.mark.parametrize("span", [0.3, 1.0, 2.5])
def test_the_grid_covers_the_path_and_has_its_end(points, span):
    values_K = np.array([9.0, 4.0, -1.0, 0.0])
    grid_W = _extent(values_K, points, span)
    assert len(grid_W) == points
    np.testing.assert_allclose(np.diff(grid_W), np.diff(grid_W)[0])
    if grid_W[0] < 0:
        assert 0.0 in grid_W
    if span >= 1:
        assert grid_W[0] <= -1 - 0.14 * 10
        assert grid_W[-1] >= 9 + 0.14 * 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_what_the_plane_holds(found, tmp_path, language):
    set_language(language)
    write_landscape(found, tmp_path / "way.html", name="food")
    page = (tmp_path / "way.html").read_text(encoding="utf-8")
    payload = json.loads(re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)[1])
    texts = [event["text"] for event in payload["events"]]
    assert texts[0] == t("landscape.outside", held=found.trajectory.held, outside=found.trajectory.outside)
    assert f"{found.trajectory.held:.1%}" in texts[0]
    steps = [event["step"] for event in payload["events"]]
    assert steps[0] is None
    assert set(steps[1:]) <= set(range(7))
    assert payload["title"].startswith("food: ")
    assert html.escape(t("landscape.page_axes_trajectory")) in page
    assert "{{" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert 'id="formulas"' not in page


def test_a_random_plane_has_one_point_and_nothing_to_play():
    along = np.linspace(-1, 1, 5)
    loss_HW = np.add.outer(along**2, along**2)
    loss_HW[0, 0] = np.inf  # a wall that overflows
    found = Landscape("random", along, along, loss_HW, 0.0, 10, 4, 0)
    payload, arrays = numbers(found)
    assert (arrays["0.x"].tolist(), arrays["steps"].tolist(), payload["panels"]) == ([0.0], [0.0], [])
    assert arrays["heights"][0] == 65535
    assert 'data-still="true"' in stage_of(found, prefix="own-")
    assert 'id="own-player"' in stage_of(found, prefix="own-")

"""The animation is bounded, shows every path growing, and ends at the last step."""

import numpy as np
import pytest
from PIL import Image

from thalweg import paths, surfaces
from thalweg.errors import UsageError
from thalweg.figures.traces import animate_surface, frame_indices


def frames_of(file):
    with Image.open(file) as image:
        for number in range(image.n_frames):
            image.seek(number)
            yield np.asarray(image.convert("RGB")).astype(int), image.info["duration"]


def pixels_like(frame, color):
    return int((np.abs(frame - color).max(axis=2) < 12).sum())


BLUE, VERMILLION = (0, 114, 178), (213, 94, 0)


@pytest.mark.parametrize("view", ["contour", "3d"])
@pytest.mark.slow
def test_paths_grow_from_frame_to_frame(tmp_path, view):
    surface = surfaces.get("valley")
    traces = [paths.trace(surface, name, lr=lr, steps=12) for name, lr in (("sgd", 0.18), ("adam", 0.8))]
    file = tmp_path / "run.gif"
    animate_surface(surface, traces, file, view=view)
    frames = list(frames_of(file))
    assert len(frames) == 13
    assert frames[0][0].shape == (558, 990, 3)
    picture = [frame[40:490, 40:580] for frame, _ in frames]
    for color in (BLUE, VERMILLION):
        assert pixels_like(picture[-1], color) > pixels_like(picture[1], color) > 0
    assert frames[-1][1] > frames[0][1], "the last frame rests"


def test_a_long_path_has_at_most_a_hundred_frames_evenly_on_the_step_axis():
    steps = np.unique(np.rint(np.geomspace(1, 100_001, 3000)) - 1).astype(int)
    chosen = frame_indices(steps, logarithmic=True)
    assert len(chosen) <= 100
    assert (chosen[0], chosen[-1]) == (0, len(steps) - 1)
    late = np.log1p(steps[chosen])[-40:]
    np.testing.assert_allclose(np.diff(late), np.diff(late).mean(), rtol=0.1)


def test_nine_paths_are_refused_and_nothing_is_written(tmp_path):
    surface = surfaces.get("bowl")
    nine = [paths.trace(surface, "sgd", lr=0.1, steps=2)] * 9
    with pytest.raises(UsageError):
        animate_surface(surface, nine, tmp_path / "nine.gif")
    assert not list(tmp_path.iterdir())

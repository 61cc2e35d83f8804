"""Pictures of paths on surfaces show what the paths' numbers say, and say what they leave out."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thalweg import optimizers, paths, surfaces
from thalweg.errors import UsageError
from thalweg.figures.lab.columns import charts_of, columns_of
from thalweg.figures.lab.decimation import keep_steps
from thalweg.figures.lab.heightmap import heightmap_of
from thalweg.figures.lab.lines import spread
from thalweg.figures.lab.scene import labels_of, make_scene
from thalweg.figures.lab.texts import event_sentence, event_summary, formula_of
from thalweg.figures.traces import draw_surface
from thalweg.i18n import LANGUAGES, set_language, t
from thalweg.paths import Event


VALLEY = surfaces.get("valley")
EIGHT = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "lion", "rprop")
ON_DARK = "#14171b"  # the page's dark background


def luminance(color):
    channels = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(scope="module")
def bursting():
    """AdaGrad in the course's form on a turned valley: quiet for thousands of steps, then a burst."""
    turned = surfaces.get("valley", angle=0.05)
    return paths.trace(turned, "adagrad_mean", lr=0.2, steps=20_000)


class TestRelief:
    def test_a_steep_surface_has_logarithmic_levels_inside_its_values(self):
        heightmap = heightmap_of(surfaces.get("rosenbrock"))
        assert heightmap.scale == "log"
        assert 5 <= len(heightmap.levels_L) <= 14
        assert (np.diff(heightmap.levels_L) > 0).all()
        assert heightmap.values_HW.min() < heightmap.levels_L[0]
        assert heightmap.levels_L[-1] < heightmap.values_HW.max()

    def test_a_surface_with_negative_values_has_even_levels(self):
        heightmap = heightmap_of(surfaces.get("styblinski_tang"))
        assert heightmap.scale == "linear"
        np.testing.assert_allclose(np.diff(heightmap.levels_L), np.diff(heightmap.levels_L)[0])

    @pytest.mark.parametrize("name", surfaces.names())
    def test_heights_rise_with_values_and_fill_the_box(self, name):
        heightmap = heightmap_of(surfaces.get(name), side=65)
        order = np.argsort(heightmap.values_HW, axis=None)
        heights = heightmap.heights(heightmap.values_HW).ravel()[order]
        assert (np.diff(heights) >= 0).all()
        assert 0 <= heights[0] < 0.05
        assert heights[-1] == pytest.approx(1)

    def test_where_the_surface_has_no_value_nothing_is_drawn_but_the_rest_is(self):
        heightmap = heightmap_of(surfaces.parse("log(x) + y**2", start=(1.0, 1.0)))
        assert np.isnan(heightmap.values_HW[:, 0]).all()
        assert len(heightmap.levels_L) > 3
        assert np.isfinite(heightmap.heights(heightmap.values_HW)).all()

    @pytest.mark.slow
    def test_a_flat_surface_can_be_drawn(self, tmp_path):
        draw_surface(surfaces.parse("x - x"), [], tmp_path / "flat.png")
        assert (tmp_path / "flat.png").exists()


class TestDecimation:
    def test_a_short_path_keeps_every_step(self):
        kept = keep_steps([paths.trace(VALLEY, "sgd", lr=0.1, steps=99)], limit=100)
        assert kept.all
        assert kept.steps_K.tolist() == list(range(100))
        assert "100" in kept.note

    def test_a_long_path_keeps_its_ends_and_says_how_many(self, bursting):
        kept = keep_steps([bursting], limit=1000)
        assert not kept.all
        assert 900 < len(kept.steps_K) <= 1000
        assert kept.steps_K[0] == 0
        assert kept.steps_K[-1] == 20_000
        assert f"{len(kept.steps_K):,} of 20,001" in kept.note
        dense = kept.dense_until
        assert kept.steps_K[: dense + 1].tolist() == list(range(dense + 1))
        assert dense + 1 not in kept.steps_K

    def test_the_burst_is_not_lost(self, bursting):
        kept = keep_steps([bursting], limit=300)
        late = slice(5_000, None)
        assert bursting.loss[kept.steps_K].max() == bursting.loss.max()
        assert 5_000 + int(np.argmax(bursting.loss[late])) in kept.steps_K

    def test_one_spike_among_many_steps_is_kept(self):
        quiet = paths.trace(VALLEY, "sgd", lr=0.01, steps=50_000)
        record_S8 = quiet.record_S8.copy()
        record_S8[31_415, 2] *= 1e6
        spiked = replace(quiet, record_S8=record_S8)
        assert 31_415 not in keep_steps([quiet], limit=200).steps_K
        assert 31_415 in keep_steps([spiked], limit=200).steps_K

    def test_the_first_of_each_event_is_kept(self, bursting):
        kept = keep_steps([bursting], limit=400)
        firsts = {event.kind: event.step for event in reversed(bursting.events)}
        assert firsts
        assert set(firsts.values()) <= set(kept.steps_K.tolist())

    @given(last=st.integers(1, 200_000), limit=st.integers(8, 500))
    def test_never_more_than_the_limit(self, last, limit):
        loss = np.linspace(1, 0, last + 1)
        stand_in = type("Stand-in", (), {"steps": last, "loss": loss, "gradient_norm": loss, "events": ()})
        kept = keep_steps([stand_in], limit=limit)
        assert len(kept.steps_K) <= max(limit, 2)
        assert (np.diff(kept.steps_K) > 0).all()
        assert kept.steps_K[[0, -1]].tolist() == [0, last]


class TestColumns:
    @pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adagrad_mean"])
    def test_the_update_at_a_step_is_the_one_that_led_there(self, name):
        path = paths.trace(VALLEY, name, lr=0.05, steps=50)
        columns = columns_of(path, np.arange(51))
        for axis in "xy":
            update = -columns["lr"] * columns[f"m_{axis}"] / columns[f"sigma_{axis}"]
            np.testing.assert_allclose(update[1:], np.diff(columns[axis]), rtol=1e-9, atol=1e-12)
            assert np.isnan(update[0])
        np.testing.assert_array_equal(columns["loss"], path.loss)

    def test_a_shorter_path_has_no_numbers_after_its_end(self):
        path = paths.trace(VALLEY, "sgd", lr=0.1, steps=10)
        columns = columns_of(path, np.arange(20))
        assert np.isfinite(columns["x"][:11]).all()
        assert all(np.isnan(column[11:]).all() for column in columns.values())

    def test_charts_are_logarithmic_where_values_are_positive_and_spread(self):
        heightmap = heightmap_of(VALLEY, side=33)
        path = paths.trace(VALLEY, "sgd", lr=0.1, steps=500)
        loss, gradient_norm, rate_x, _ = charts_of([columns_of(path, np.arange(501))], heightmap)
        assert (loss.scale, gradient_norm.scale, rate_x.scale) == ("log", "log", "linear")
        assert loss.low < path.loss.min()
        assert path.loss.max() < loss.high

    def test_a_path_that_left_the_window_does_not_set_the_scale(self):
        surface = surfaces.get("monkey_saddle")
        path = paths.trace(surface, "sgd", lr=0.1, steps=200)
        assert np.nanmin(path.loss) < -1e6
        loss = charts_of([columns_of(path, np.arange(201))], heightmap_of(surface, side=33))[0]
        assert loss.low > -100
        assert loss.drawn(np.array([-1e20])).tolist() == [loss.low]


class TestLooks:
    @pytest.mark.slow
    def test_eight_paths_differ_in_color_dash_and_mark_and_are_seen_on_both_backgrounds(self):
        traces = [paths.trace(VALLEY, name, lr=0.01, steps=2) for name in EIGHT]
        styles = make_scene(VALLEY, traces, limit=8).styles
        for part in ("label", "color", "color_on_dark", "dashes", "marker"):
            assert len({getattr(style, part) for style in styles}) == 8, part
        assert all(contrast(style.color, "#ffffff") >= 3 for style in styles)
        assert all(contrast(style.color_on_dark, ON_DARK) >= 3 for style in styles)

    def test_nine_are_refused_and_nothing_is_written(self, tmp_path):
        nine = [paths.trace(VALLEY, name, lr=0.01, steps=2) for name in optimizers.names()[:9]]
        with pytest.raises(UsageError, match=r"9 optimizers.* at most 8"):
            draw_surface(VALLEY, nine, tmp_path / "nine.png")
        assert not list(tmp_path.iterdir())

    def test_an_optimizer_with_two_rates_carries_them_in_its_name(self):
        two = [paths.trace(VALLEY, "adam", lr=lr, steps=2) for lr in (0.1, 0.01)]
        other = paths.trace(VALLEY, "sgd", lr=0.01, steps=2)
        assert labels_of([*two, other]) == ["adam η=0.1", "adam η=0.01", "sgd"]


class TestLabels:
    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 0.3)), min_size=1, max_size=8))
    def test_labels_do_not_cover_each_other(self, heads):
        places = spread(heads)
        boxes = [(left, row, left + width) for (left, row), (_, _, width) in zip(places, heads, strict=True)]
        for number, (left, row, right) in enumerate(boxes):
            for other_left, other_row, other_right in boxes[:number]:
                apart = abs(row - other_row) > 0.04 or left > other_right or right < other_left
                assert apart


class TestTexts:
    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize("kind", get_args(Event.__annotations__["kind"]) or get_args(paths.events.Kind))
    def test_every_event_has_its_sentences(self, language, kind):
        set_language(language)
        assert "1,234" in event_sentence("adam", Event(kind, 1234))
        assert "1,234" in t(f"lab.short_{kind}", step="1,234")

    def test_what_came_often_is_told_once_with_its_number(self, bursting):
        often = replace(bursting)
        words = [text for _, text in event_summary(often)]
        bursts = [event for event in often.events if event.kind == "burst"]
        assert len(bursts) > 1
        assert any(f"({len(bursts)} times in all)" in text for text in words)
        assert len(words) == len({event.kind for event in often.events})

    @pytest.mark.parametrize("name", surfaces.names())
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_every_surface_says_what_it_shows(self, name, language):
        set_language(language)
        assert t(f"lab.about_{name}")

    def test_a_formula_is_written_by_hand_and_cut(self):
        rosenbrock = surfaces.parse("(1 - x)^2 + 100*(y - x^2)^2")
        assert formula_of(rosenbrock, longest=80) == "f(x, y) = (1 − x)² + 100·(y − x²)²"
        assert formula_of(rosenbrock, longest=20).endswith("…")
        assert formula_of(surfaces.get("toy_network"), longest=80).startswith("f(w1, w2)")


class TestPicture:
    @pytest.mark.parametrize(("view", "language"), [("contour", "en"), ("3d", "zh-CN")])
    def test_a_picture_is_written_whole(self, tmp_path, view, language, bursting):
        set_language(language)
        file = tmp_path / "picture.png"
        draw_surface(bursting.surface, [bursting], file, view=view)
        with Image.open(file) as image:
            image.load()
            assert image.size == (2250, 1335)  # half an inch of it for the formula
        assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]

    @pytest.mark.slow
    def test_the_path_is_on_the_picture(self, tmp_path):
        path = paths.trace(VALLEY, "adam", lr=0.05, steps=500)
        pixels = []
        for name, shown in (("bare", []), ("path", [path])):
            draw_surface(VALLEY, shown, tmp_path / f"{name}.png")
            with Image.open(tmp_path / f"{name}.png") as image:
                pixels.append(np.asarray(image.convert("RGB")).reshape(-1, 3))
        blue = np.array([0, 114, 178])
        bare, drawn = ((np.abs(image - blue).max(axis=1) < 8).sum() for image in pixels)
        assert bare == 0
        assert drawn > 1000

    @pytest.mark.slow
    def test_a_diverging_path_is_drawn_as_far_as_it_goes(self, tmp_path):
        path = paths.trace(VALLEY, "sgd", lr=10.0, steps=2000)
        assert path.last < 2000
        for view in ("contour", "3d"):
            draw_surface(VALLEY, [path], tmp_path / f"{view}.png", view=view)
        assert len(list(tmp_path.iterdir())) == 2

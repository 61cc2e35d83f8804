"""The lab's answers are the library's own numbers; invalid requests are refused with a sentence."""

import json

import numpy as np
import pytest

from thalweg import lessons, optimizers, paths, schedules, surfaces
from thalweg.i18n import LANGUAGES
from thalweg.lessons.initialization import KINDS, Initialization
from thalweg.paths.momentum_map import contraction
from thalweg.server.answers import read_frame
from thalweg.server.index import STATIC
from thalweg.server.routes.lesson_views import VIEWS
from thalweg.server.routes.lessons import listing


SETUPS = [one["setup"] for one in listing() if "optimizers" in (one["setup"] or {})]


def ask(client, path, **form):
    answer = client.post(f"/api/{path}", json=form)
    assert answer.status_code == 200, answer.text
    return read_frame(answer.content)


class TestTraces:
    def test_every_number_is_the_traces_own(self, client):
        optimizers = [
            {"optimizer": "adam", "lr": 0.05, "schedule": "warmup(5%) > cosine"},
            {"optimizer": "sgd", "lr": 0.1},
        ]
        drive = {"steps": 700, "noise": 0.1, "seed": 3, "start": (-4, 1)}
        header, arrays = ask(client, "lab/traces", surface="valley", optimizers=optimizers, **drive)
        for number, row in enumerate(optimizers):
            named = {"schedule": "constant", **row}
            trace = paths.trace(surfaces.get("valley"), named.pop("optimizer"), **named, **drive)
            np.testing.assert_array_equal(arrays[f"{number}.x"], trace.positions_S2[:, 0])
            np.testing.assert_array_equal(arrays[f"{number}.loss"], trace.loss)
            np.testing.assert_array_equal(arrays[f"{number}.lr"][1:], trace.lr_S)
            np.testing.assert_array_equal(arrays[f"{number}.sigma_y"][1:], trace.scale_S2[:, 1])
        assert header["rates"] == [0.05, 0.1]
        assert [panel["column"] for panel in header["panels"]][:3] == ["loss", "gradient_norm", "lr"]

    def test_without_a_rate_one_is_taken_that_suits_the_surface(self, client):
        header, _ = ask(client, "lab/traces", surface="bowl", optimizers=[{"optimizer": "sgd"}], steps=5)
        assert header["rates"] == [1.8]

    def test_traces_of_one_optimizer_have_different_labels(self, client):
        optimizers = [
            {"optimizer": "adagrad_mean", "lr": 0.2},
            {"optimizer": "adagrad_mean", "lr": 0.2, "schedule": "cosine"},
        ]
        header, _ = ask(client, "lab/traces", surface="valley", optimizers=optimizers, steps=10)
        assert len({series["label"] for series in header["series"]}) == 2

    def test_a_long_trace_says_what_is_left_out(self, client):
        header, arrays = ask(client, "lab/traces", surface="bowl", optimizers=[{"optimizer": "sgd"}] * 8, steps=100_000)
        assert len(arrays["steps"]) < 100_001
        assert "100,001" in header["note"]

    def test_no_optimizer_is_no_trace(self, client):
        header, arrays = ask(client, "lab/traces", surface="bowl", optimizers=[], steps=10)
        assert header["series"] == []
        assert arrays["steps"].tolist() == [0]

    def test_a_formula_is_a_surface(self, client):
        header, arrays = ask(client, "lab/background", surface="x^2 + 3*y^2", window=[-1, 1, -2, 2])
        assert header["surface"]["window"] == [[-1, 1], [-2, 2]]
        assert arrays["heights"].size == header["surface"]["side"] ** 2

    @pytest.mark.parametrize("form", [
        {"surface": "__import__('os')"}, {"surface": ""}, {"surface": "nowhere"}, {"surface": 3}, {},
        {"surface": "valley", "parameters": {"angle": "x"}}, {"surface": "valley", "parameters": {"none": 1}},
        {"surface": "bowl", "optimizers": [{"optimizer": "none"}]}, {"surface": "bowl", "steps": 1e12},
        {"surface": "bowl", "optimizers": [{"optimizer": "sgd"}] * 9}, {"surface": "bowl", "noise": -1},
        {"surface": "bowl", "optimizers": [{"optimizer": "sgd", "lr": -1}]}, {"surface": "bowl", "start": [1]},
        {"surface": "bowl", "optimizers": [{"optimizer": "sgd"}] * 8, "steps": 2_000_000},
        {"surface": "bowl", "optimizers": [{"optimizer": "sgd", "schedule": "cosin"}]},
        {"surface": "bowl", "optimizers": "sgd"}, {"surface": "bowl", "start": [float("1e400"), 0]},
        {"surface": "\ud800"}, {"surface": "bowl", "window": [1, 0, 0, 1]}, {"surface": "x" * 3000},
    ])  # fmt: skip
    def test_an_invalid_form_is_refused_with_a_sentence(self, client, form):
        answer = client.post("/api/lab/traces", content=json.dumps(form))
        assert answer.status_code == 400
        assert len(answer.json()["error"]["message"]) > 10


def test_the_schedule_that_is_drawn_is_the_one_that_trains(client):
    answer = client.get("/api/schedule", params={"spec": "warmup(10%) > cosine", "steps": 300})
    _, arrays = read_frame(answer.content)
    factor_S = schedules.factors(schedules.parse("warmup(10%) > cosine"), 300)
    np.testing.assert_array_equal(arrays["factor"], factor_S[arrays["steps"].astype(int)])
    assert {0, 299} <= set(arrays["steps"].astype(int))


def test_both_losses_are_the_lessons_own(client):
    header, arrays = ask(client, "losses", lr=1.0, steps=2000)
    evidence = lessons.get("mse-or-cross-entropy").run()
    for number, loss in enumerate(("mse", "cross_entropy")):
        right_S = evidence.data["right"][loss]
        np.testing.assert_array_equal(arrays[f"{number}.right"], right_S[arrays["steps"].astype(int)])
        assert arrays[f"background{number}.heights"].size == header["backgrounds"][number]["surface"]["side"] ** 2
    assert arrays["0.right"][-1] < 1e-3
    assert arrays["1.right"][-1] > 0.99


class TestTour:
    def test_every_lesson_is_in_it_in_order(self, client):
        assert [lesson["name"] for lesson in client.get("/api/lessons").json()["lessons"]] == list(lessons.names())

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_a_lesson_has_its_sentences_and_checks(self, client, language):
        found = client.get("/api/lesson", params={"name": "decay-calms", "lang": language}).json()
        lesson = lessons.get("decay-calms")
        assert len(found["lines"]) == 10
        assert all(check["holds"] for check in found["checks"])
        assert len(found["checks"]) == len(lesson.checks(lesson.run()))
        assert ("学习率" in found["title"]) == (language == "zh-CN")

    @pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup["surface"])
    def test_the_lab_takes_what_a_lesson_sets_up(self, client, setup):
        """As the page's script reads the address."""
        parts = [row.split(":", 2) for row in setup["optimizers"].split(";")]
        optimizers = [{"optimizer": name, "lr": float(lr), "schedule": schedule} for name, lr, schedule in parts]
        pairs = [pair.split("=") for pair in setup.get("parameters", "").split(",") if pair]
        form = {"surface": setup["surface"], "optimizers": optimizers, "steps": int(setup["steps"]),
                "parameters": {name: float(value) for name, value in pairs}}  # fmt: skip
        if "start" in setup:
            form["start"] = [float(part) for part in setup["start"].split(",")]
        _, arrays = ask(client, "lab/traces", **form)
        assert all(np.isfinite(arrays[f"{number}.loss"][0]) for number in range(len(optimizers)))

    def test_the_lab_too_is_stuck_with_a_large_gradient(self, client):
        setup = next(one["setup"] for one in listing() if one["name"] == "stuck-but-gradient-large")
        rows = [row.split(":") for row in setup["optimizers"].split(";")]
        optimizers = [{"optimizer": name, "lr": float(lr)} for name, lr, _ in rows]
        form = {"surface": setup["surface"], "optimizers": optimizers, "steps": int(setup["steps"])}
        _, arrays = ask(client, "lab/traces", **form)
        assert arrays["0.loss"][-1] > 0.9 * arrays["0.loss"][1]
        assert arrays["0.gradient_norm"][-1] > 0.9 * arrays["0.gradient_norm"][1] > 1
        assert arrays["1.loss"][-1] < 0.1 * arrays["0.loss"][-1]

    def test_adagrad_bursts_and_decay_calms_on_the_page_too(self, client):
        """The first two lessons of the tour: the events that the page lists say so."""
        setups = {one["name"]: one["setup"] for one in listing()}
        events = {}
        for name in ("adagrad-arrives-and-bursts", "decay-calms"):
            setup = setups[name]
            rows = [row.split(":", 2) for row in setup["optimizers"].split(";")]
            optimizers = [{"optimizer": name, "lr": float(lr), "schedule": schedule} for name, lr, schedule in rows]
            drive = {"steps": int(setup["steps"]), "parameters": {"angle": 0.05}, "start": [-10, 2]}
            header, _ = ask(client, "lab/traces", surface=setup["surface"], optimizers=optimizers, **drive)
            events[name] = [{event["text"] for event in header["events"] if event["series"] == one} for one in (0, 1)]
        bursting, steady = events["adagrad-arrives-and-bursts"]
        assert any("bursts" in text for text in bursting)
        assert not any("bursts" in text for text in steady)
        constant, decayed = events["decay-calms"]
        assert any("bursts" in text for text in constant)
        assert not any("bursts" in text for text in decayed)


class TestViews:
    """What a visitor changes himself in a lesson's article is the lesson's own experiment."""

    def frame(self, client, **query):
        answer = client.get("/api/lesson/view", params=query)
        assert answer.status_code == 200, answer.text
        return read_frame(answer.content)

    def test_a_click_on_the_map_of_momentum_plays_the_path_that_the_map_speaks_of(self, client):
        header, arrays = self.frame(client, name="momentum-map")
        rates, momenta = arrays["momentum.x"], arrays["momentum.y"]
        factor_HW = arrays["momentum.factor"].reshape(len(momenta), len(rates))
        np.testing.assert_array_equal(arrays["momentum.shade"].reshape(factor_HW.shape) == 255, factor_HW >= 1)
        np.testing.assert_allclose(arrays["momentum.factor"], contraction_of(rates, momenta).ravel())
        row, column = 5, 8
        fields = header["fields"]
        form = {
            "surface": fields["surface"],
            "parameters": {name.strip(): float(value) for name, _, value in
                           (pair.partition("=") for pair in fields["parameters"].split(","))},
            "start": [float(part) for part in fields["start"].split(",")],
            "steps": int(fields["steps"]),
            "optimizers": [{"optimizer": f"momentum(momentum={momenta[row]:.12g})", "lr": float(rates[column])}],
        }  # fmt: skip
        _, played = ask(client, "lab/traces", **form)
        distance = np.hypot(played["0.x"], played["0.y"])
        assert (distance[200] / distance[100]) ** 0.01 == pytest.approx(factor_HW[row, column], rel=1e-3)

    def test_the_best_points_of_both_maps_are_rows_of_the_lab(self, client):
        header, arrays = self.frame(client, name="momentum-map")
        for one in header["maps"]:
            text, lr, schedule = one["beside"].split(":")
            assert schedule == ""
            assert optimizers.read(text).name == one["name"]
            assert float(lr) == pytest.approx(one["best"]["x"], rel=1e-3)
        adam = header["maps"][1]["best"]
        steps_HW = arrays["adam.arrival"].reshape(len(arrays["adam.y"]), -1)
        row, column = np.argwhere(arrays["adam.y"] == adam["y"])[0, 0], np.argwhere(arrays["adam.x"] == adam["x"])[0, 0]
        assert steps_HW[row, column] == steps_HW.min()

    def test_depth_has_the_lessons_numbers_and_the_closed_form_beside_them(self, client):
        header, arrays = self.frame(client, name="initialization", depth=6, width=64)
        lesson = Initialization(depth=6, width=64)
        assert header["settings"] == {"depth": 6, "width": 64, "seed": 0}
        flows = lesson.run().data
        for number, kind in enumerate(KINDS):
            for name in ("plain", "normed"):
                np.testing.assert_array_equal(arrays[f"{number}.{name}_activations"], flows[name][kind].activations_L)
            closed_L = arrays[f"{number}.plain_gradients_closed"]
            np.testing.assert_allclose(closed_L, lesson.factors()[kind] ** np.arange(5, -1, -1.0))
            np.testing.assert_allclose(arrays[f"{number}.plain_gradients"], closed_L, rtol=0.35)
            np.testing.assert_allclose(arrays[f"{number}.normed_activations_closed"], 0.5**0.5)
        low, high = header["ranges"]["plain_activations"]
        assert low < arrays["0.plain_activations"].min() < arrays["1.plain_activations"].max() < high

    @pytest.mark.parametrize("query", [
        {"name": "initialization", "depth": 1}, {"name": "initialization", "width": 10_000},
        {"name": "initialization", "seed": "x"}, {"name": "batch-size"}, {},
    ])  # fmt: skip
    def test_what_has_no_view_is_refused_with_a_sentence(self, client, query):
        answer = client.get("/api/lesson/view", params=query)
        assert answer.status_code == 400
        assert len(answer.json()["error"]["message"]) > 10

    def test_the_listing_names_the_lessons_with_a_view(self):
        assert {one["name"] for one in listing() if one["has_view"]} == VIEWS.keys()
        script = (STATIC / "tour.js").read_text(encoding="utf-8")
        assert all(name in script.split("const VIEWS = ")[1].split(";")[0] for name in VIEWS)


def contraction_of(rates, momenta):
    lesson = lessons.get("momentum-map")
    return contraction(np.array(lesson.curvatures)[:, None, None], rates, momenta[:, None]).max(axis=0)

"""The network tab's answers: frames, verdicts on cases whose cause is secret, and refusals in sentences."""

import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from thalweg.i18n import LANGUAGES
from thalweg.playground.loop import Loop
from thalweg.playground.presets.catalogue import CASES
from thalweg.playground.session import Session, check_work
from thalweg.playground.settings import Settings
from thalweg.server import build_app
from thalweg.server.answers import read_frame
from thalweg.server.routes.network import MOST_WATCHED


ORIGIN = "http://127.0.0.1"
SMALL = {"widths": [3], "count": 40, "batch": 16}
NUMBER = {case.code: number for number, case in enumerate(CASES, start=1)}


def frames(client, **form):
    answer = client.post("/api/network/frames", json=form)
    assert answer.status_code == 200, answer.text
    return read_frame(answer.content)


def refused(client, path, **form):
    answer = client.post(f"/api/network/{path}", json=form)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]["message"]


class TestChoices:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_every_choice_has_a_name_and_the_defaults_are_among_them(self, client, language):
        found = client.get("/api/network", params={"lang": language}).json()
        for field, known in found["choices"].items():
            assert found["defaults"][field] in [name for name, _ in known]
            assert found["fields"][field]
        assert set(found["defaults"]) == set(found["fields"])
        assert found["cases"] == len(found["causes"]) == len(CASES)
        header, _ = frames(client, settings=found["defaults"], count=1)
        assert [layer["units"] for layer in header["layers"]] == [8, 8, 2]
        assert header["layers"][-1]["label"]


class TestFrames:
    def test_they_are_the_librarys_own(self, client):
        _, arrays = frames(client, settings={**SMALL, "seed": 4}, count=3, stride=2)
        _, own = Session(Loop(Settings(widths=(3,), count=40, batch=16, seed=4))).frames(0, 3, 2)
        for name, array in own.items():
            np.testing.assert_array_equal(arrays[name], array.ravel(), err_msg=name)

    def test_drawn_points_are_taken_as_they_are(self, client):
        drawn = [[0, 0, 0], [1, 0.5, 1], [-1, 2, 2], [0.25, 1, 1], [2, 2, 0]]
        header, arrays = frames(client, settings={**SMALL, "points": "drawn", "drawn": drawn}, count=1)
        assert arrays["points"].reshape(-1, 2).tolist() == [point[:2] for point in drawn]
        assert arrays["labels"].tolist() == [label for _, _, label in drawn]
        assert header["classes"] == ["0", "1", "2"]
        assert arrays["held"].sum() == 1

    @pytest.mark.slow
    def test_photos_of_a_run_are_points(self, runs):
        with TestClient(build_app(runs), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
            found = {}
            for of in ("pixels", "features"):
                chosen = {**SMALL, "points": "photos", "run": "striped", "of": of}
                header, arrays = frames(client, settings=chosen, count=1)
                assert len(header["classes"]) == arrays["labels"].max() + 1 >= 2
                found[of] = arrays["points"].reshape(-1, 2)
                assert found[of].std(axis=0) == pytest.approx([1, 1], abs=1e-4)
        assert len(found["pixels"]) > len(found["features"])  # those of training, too

    def test_a_case_tells_nothing_of_its_cause(self, client):
        header, _ = frames(client, case=3, seed=2, count=2)
        text = json.dumps(header)
        assert not [case.code for case in CASES if case.code in text]
        assert "settings" not in header
        assert header["case"]["number"] == 3

    def test_a_case_and_its_twin_end_at_their_steps(self, client):
        number = NUMBER["too_few_steps"]
        for repaired, steps in ((False, 15), (True, 150)):
            header, _ = frames(client, case=number, count=1, **{"from": steps}, repaired=repaired, sharpness=False)
            assert header["case"]["total"] == steps
            assert str(steps) in refused(
                client, "frames", case=number, count=1, **{"from": steps + 1}, repaired=repaired
            )


class TestGuessing:
    def test_the_truth_comes_with_the_verdict(self, client):
        number = NUMBER["zero_grad_missing"]
        answer = client.post("/api/network/diagnose", json={"case": number, "guess": "saddle"}).json()
        assert not answer["right"]
        assert answer["cause"] == answer["verdict"]["code"] == "zero_grad_missing"
        assert not any("line" in fix for fix in answer["verdict"]["fixes"])
        assert answer["settings"]["points"] == "xor"

    def test_a_hint_and_a_twin(self, client):
        number = NUMBER["optimizer_not_stepping"]
        assert client.post("/api/network/hint", json={"case": number}).json()["hint"]
        answer = client.post("/api/network/try", json={"case": number, "seed": 1}).json()
        assert answer["helped"]
        assert answer["before"]["loss"][0] == answer["before"]["loss"][-1] > 5 * answer["after"]["loss"][-1]

    def test_what_goes_well_is_not_repaired(self, client):
        number = NUMBER["converged"]
        answer = client.post("/api/network/try", json={"case": number}).json()
        assert answer["after"] is None
        assert "well" in refused(client, "frames", case=number, repaired=True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"activation": "relux"}, "relu"),
        ({"widths": [8, 99]}, "32"),
        ({"widths": [True]}, "widths"),
        ({"widths": "8"}, "widths"),
        ({"lr": 0}, "lr"),
        ({"count": 30.5}, "count"),
        ({"schedule": "cosin"}, "cosin"),
        ({"optimizer": "rprop", "decay": 0.1}, "rprop has no weight decay"),
        ({"points": "drawn"}, "drawn"),
        ({"points": "drawn", "drawn": [[0, 0, 0]] * 5}, "one class"),
        ({"points": "drawn", "drawn": [[0, 0, 0], [1, 1, 1], [0, 9, 1], [1, 1, 0]]}, "±6"),
        ({"points": "drawn", "drawn": [[0, 0, 0], [1, 1, 1], [0, 1], [1, 1, 0.5]]}, "[0"),
        ({"points": "drawn", "drawn": [[0, 0, 0], [1, 1, 1], [2, 2, 2], [1, 1, 3]], "loss": "bce"}, "4 classes"),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_got(client, settings, said):
    assert said in refused(client, "frames", settings=settings, count=1)


@pytest.mark.parametrize("name", ["..%5c..%5cmain", "%2e%2e", "a" * 300, "main%00", "C:main"])
def test_a_script_has_a_plain_name(client, name):
    for home in ("static", "player"):
        assert client.get(f"/{home}/{name}.js").status_code == 404
    assert client.get("/static/main.js").status_code == 200


def test_what_measuring_the_curvature_costs_counts_too(client):
    large = {"widths": [32] * 12, "count": 1000, "batch": 1000}
    assert "at most" in refused(client, "frames", settings=large, count=75, stride=20)
    loop = Loop(Settings(widths=(32,) * 12, count=1000, batch=1000))
    check_work(loop, 74 * 20)  # without it, they are not too many
    check_work(loop, 1, 1)
    check_work(loop, MOST_WATCHED)  # as the diagnosis needs

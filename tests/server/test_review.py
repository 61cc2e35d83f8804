"""The labels that predictions doubt, on the page: what it shows, and what it keeps."""

import json
import shutil
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from starlette.testclient import TestClient

from thalweg.runs import Run
from thalweg.server import build_app
from thalweg.server.routes.review import keys_of
from thalweg.server.routes.trainings import offered


ORIGIN = "http://127.0.0.1"
PHOTO = "validation/0_0.png"


@pytest.fixture
def root(runs, tmp_path):
    """A trained run that is sure of all its labels but one."""
    root = shutil.copytree(runs, tmp_path / "runs")
    run = Run.open(root / "striped")
    arrays = load_file(run.evaluation)
    arrays["logits"] = (5 * np.eye(3)[arrays["labels"]]).astype(np.float32)
    arrays["logits"][run.read_split("valid").index(PHOTO)] = [0, 0, 7]
    save_file(arrays, run.evaluation)
    return root


@pytest.fixture
def page(root):
    with TestClient(build_app(root), base_url=ORIGIN, headers={"origin": ORIGIN}) as found:
        yield found


def decide(page, **body):
    return page.post("/api/review", params={"run": "striped"}, json=body)


def test_the_doubted_photo_is_shown_and_the_decision_kept_at_once(page, root):
    found = page.get("/api/review", params={"run": "striped"}).json()
    assert [(one["path"], one["given"], one["suggested"]) for one in found["photos"]] == [(PHOTO, "0", "2")]
    assert found["classes"] == [["0", "0"], ["1", "1"], ["2", "2"]]
    assert found["decided"] == {}
    assert decide(page, path=PHOTO, label="2").status_code == 200
    table = root / "striped" / "corrections.csv"
    assert table.read_text(encoding="utf-8").splitlines()[1:] == [f'"{PHOTO}","0","relabel","2"']
    assert page.get("/api/review", params={"run": "striped"}).json()["decided"] == {PHOTO: "2"}
    decide(page, path=PHOTO, label=None)
    assert page.get("/api/review", params={"run": "striped"}).json()["decided"] == {PHOTO: None}
    decide(page, path=PHOTO, forget=True)
    assert table.read_text(encoding="utf-8").splitlines()[1:] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "../../etc/passwd", "label": "2"}, 404),
        ({"path": "testing/0001.png", "label": "2"}, 404),
        ({"path": PHOTO, "label": "9"}, 400),
        ({"path": PHOTO, "label": 2}, 400),
        ({"path": 7, "label": "2"}, 400),
        ({"label": "2"}, 400),
    ],
)
def test_what_is_not_of_the_run_is_refused_and_nothing_written(page, root, body, status):
    assert decide(page, **body).status_code == status
    assert not (root / "striped" / "corrections.csv").exists()


def test_a_photo_is_shown_whole_and_only_one_of_the_run(page, striped):
    answer = page.get("/api/review/photo", params={"run": "striped", "path": PHOTO})
    shown = np.asarray(Image.open(BytesIO(answer.content)))
    np.testing.assert_array_equal(shown[::10, ::10], np.asarray(Image.open(striped / PHOTO)))
    for path in ("", "../split.csv", str(striped / PHOTO), "testing/0001.png"):
        assert page.get("/api/review/photo", params={"run": "striped", "path": path}).status_code == 404


def test_a_turned_photo_keeps_its_sides(page, striped, root, tmp_path):
    photos = shutil.copytree(striped, tmp_path / "photos")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 400), "red").save(photos / PHOTO, exif=exif)
    config = root / "striped" / "config.toml"
    config.write_text(config.read_text().replace(json.dumps(str(striped)), json.dumps(str(photos))))
    answer = page.get("/api/review/photo", params={"run": "striped", "path": PHOTO})
    assert Image.open(BytesIO(answer.content)).size == (320, 640)


def test_a_run_without_predictions_says_what_to_do(page, root):
    (root / "striped" / "evaluation.safetensors").unlink()
    answer = page.get("/api/review", params={"run": "striped"})
    assert answer.status_code == 404
    assert "--resume" in answer.json()["error"]["message"]


def test_a_visitor_starts_no_training_with_a_table_of_the_machine():
    assert "corrections" not in offered()


def test_each_class_has_a_key_of_its_own_and_none_that_acts():
    names = [f"class {number}" for number in range(40)]
    keys = keys_of(names)
    assert len(set(keys)) == 40
    assert not {"k", "x", "u"} & set(keys)
    assert keys_of(["3", "cat", "1"]) == ["3", "2", "1"]

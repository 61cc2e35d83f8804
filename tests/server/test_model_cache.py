"""Networks behind the page: classification as prediction does it, maps by gradients, photos laid out by layers."""

import base64
import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import plain_batches
from thalweg.prediction import predict
from thalweg.prediction.attention import attention
from thalweg.runs import Run
from thalweg.server import build_app
from thalweg.server.answers import read_frame
from thalweg.server.model_cache import photos_of
from thalweg.server.routes.embeddings import turned_like


ORIGIN = "http://127.0.0.1"


@pytest.fixture(scope="module")
def page(runs):
    with TestClient(build_app(runs), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
        yield client


@pytest.fixture(scope="module")
def run(runs):
    return Run.open(runs / "striped")


@pytest.fixture(autouse=True, scope="module")
def _threads():
    """The page gives torch one thread; other tests get theirs back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class TestClassify:
    def test_it_says_what_prediction_says(self, page, striped, run):
        photo = striped / "validation" / "2_3.png"
        found = page.post("/api/classify", params={"run": "striped"}, content=photo.read_bytes()).json()
        wanted = predict(run.path, photo).probability_NC[0]
        told = {one["name"]: one["probability"] for one in found["top"]}
        for name, probability in zip(run.classes, wanted, strict=True):
            assert told[name] == pytest.approx(probability, abs=1e-6)
        assert [one["probability"] for one in found["top"]] == sorted(told.values(), reverse=True)

    def test_it_shows_the_pixels_that_the_network_saw(self, page, striped):
        photo = striped / "validation" / "0_0.png"
        found = page.post("/api/classify", params={"run": "striped"}, content=photo.read_bytes()).json()
        with Image.open(io.BytesIO(base64.b64decode(found["seen"].split(",")[1]))) as seen, Image.open(photo) as sent:
            assert seen.resize(sent.size, Image.Resampling.NEAREST).tobytes() == sent.convert("RGB").tobytes()

    @pytest.mark.parametrize("size", [(2000, 31), (7, 7), (33, 900)])
    def test_any_shape_of_photo_is_taken(self, page, size):
        file = io.BytesIO()
        Image.new("RGBA", size, (200, 10, 10, 90)).save(file, "PNG")
        assert page.post("/api/classify", params={"run": "striped"}, content=file.getvalue()).status_code == 200

    def test_its_own_photos_are_known(self, page, run):
        cache = photos_of(run)
        row = int(cache.rows("valid")[3])
        found = page.post("/api/classify/own", params={"run": "striped", "row": row}, json={}).json()
        assert found["true"] == run.classes[cache.photos[row].label]
        picture = page.get("/api/photo", params={"run": "striped", "row": row, "side": 32})
        with Image.open(io.BytesIO(picture.content)) as shown:
            np.testing.assert_array_equal(np.asarray(shown), cache.images_NHWC[row])
        assert page.get("/api/photo", params={"run": "striped", "row": 10**6}).status_code == 404


class TestAttention:
    def test_the_map_is_the_formula_written_out(self, run):
        """With the gradient taken by the literal route: a forward pass of the head, from the maps on."""
        model, image_HWC = run.load_network(), np.array(photos_of(run).images_NHWC[0])
        found = attention(model, run, image_HWC)
        augmenter = HostAugmenter(image_HWC[None], run.data["mean"], run.data["std"])
        images = next(iter(plain_batches(augmenter, np.zeros(1, dtype=np.int64), size=32, batch_size=1)))
        maps = images
        for stage in model.stages[: model.middle + 1]:
            maps = stage(maps)
        maps = maps.detach().requires_grad_()
        rest = maps
        for stage in model.stages[model.middle + 1 :]:
            rest = stage(rest)
        logits_1C = model.classifier(model.neck(rest))
        logits_1C[0, found.label].backward()
        weights_C = maps.grad[0].mean(dim=(1, 2))
        map_HW = torch.relu((weights_C[:, None, None] * maps.detach()[0]).sum(dim=0))
        np.testing.assert_allclose(found.maps["mid"], map_HW / map_HW.max(), atol=1e-4)
        assert found.label == int(logits_1C.argmax())

    def test_looking_changes_nothing(self, run):
        model, image_HWC = run.load_network(), np.array(photos_of(run).images_NHWC[1])
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        attention(model, run, image_HWC)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        assert not any(module._forward_hooks for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())


class TestEmbeddings:
    def test_both_layers_are_laid_out_with_the_networks_answers(self, page, run):
        answer = page.get("/api/embedding", params={"run": "striped", "at": "best"})
        header, arrays = read_frame(answer.content)
        count = len(photos_of(run).rows("valid"))
        assert header["known"] == ["epoch-0001", "best"]
        for layer in ("mid", "top"):
            assert arrays[layer].shape == (2 * count,)
            assert np.isfinite(arrays[layer]).all()
        assert header["right"] == pytest.approx((arrays["labels"] == arrays["predicted"]).mean())

    def test_a_checkpoint_with_the_same_weights_lies_the_same(self, page):
        """`epoch-0001` is a copy of `best`: turned to lie like it, it lies on it."""
        maps = [read_frame(page.get("/api/embedding", params={"run": "striped", "at": at}).content)[1]["mid"]
                for at in ("epoch-0001", "best")]  # fmt: skip
        centered = maps[1].reshape(-1, 2) - maps[1].reshape(-1, 2).mean(axis=0)
        np.testing.assert_allclose(maps[0].reshape(-1, 2), centered, atol=1e-2)

    @pytest.mark.parametrize("at", ["last", "epoch-2", "../best", "", "best.safetensors"])
    def test_no_other_file_is_read(self, page, at):
        assert page.get("/api/embedding", params={"run": "striped", "at": at}).status_code == 404

    def test_turning_finds_the_turn_and_the_mirror(self):
        random = np.random.default_rng(0)
        points_N2 = random.normal(size=(50, 2))
        for mirror in (1, -1):
            turn_22 = np.linalg.qr(random.normal(size=(2, 2)))[0] * [1, mirror]
            found = turned_like(points_N2 @ turn_22 + 7, points_N2)
            np.testing.assert_allclose(found, points_N2 - points_N2.mean(axis=0), atol=1e-12)


class TestScores:
    def test_the_matrix_counts_every_validation_photo(self, page, run):
        found = page.get("/api/scores", params={"run": "striped"}).json()
        matrix = np.array(found["matrix"])
        assert matrix.sum() == found["count"] == len(photos_of(run).rows("valid"))
        assert found["right"] == pytest.approx(np.trace(matrix) / matrix.sum())
        assert found["right"] == pytest.approx(run.summary()["valid"]["accuracy"])

    def test_of_many_classes_the_cells_with_photos_are_sent(self, page, run, monkeypatch):
        matrix = np.array(page.get("/api/scores", params={"run": "striped"}).json()["matrix"])
        monkeypatch.setattr("thalweg.figures.class_choice.MOST_NAMED", 1)
        found = page.get("/api/scores", params={"run": "striped"}).json()
        assert "matrix" not in found
        assert sorted(found["order"]) == list(range(len(run.classes)))
        sent = np.zeros_like(matrix)
        for label, predicted, photos in found["cells"]:
            sent[label, predicted] = photos
        np.testing.assert_array_equal(sent, matrix)
        cache = photos_of(run)
        for pair in found["pairs"]:
            assert matrix[pair["true"], pair["predicted"]] == pair["photos"]
            assert cache.photos[pair["mistake"]].label == pair["true"]
            assert pair["other"] is None or cache.photos[pair["other"]].label == pair["predicted"]

    def test_samples_have_their_own_labels(self, page, run):
        cache = photos_of(run)
        for sample in page.get("/api/scores", params={"run": "striped"}).json()["samples"]:
            assert run.classes[cache.photos[sample["row"]].label] == sample["true"]
            assert sample["right"] == (sample["true"] == sample["predicted"])

    def test_a_photo_has_one_probability_on_all_tabs(self, page, run):
        """Runs, Embeddings and Classify all heed the run's temperature."""
        assert run.temperature != 1
        _, arrays = read_frame(page.get("/api/embedding", params={"run": "striped", "at": "best"}).content)
        laid_out = dict(zip(arrays["rows"].tolist(), arrays["probability"].tolist(), strict=True))
        for sample in page.get("/api/scores", params={"run": "striped"}).json()["samples"][:3]:
            found = page.post("/api/classify/own", params={"run": "striped", "row": sample["row"]}, json={}).json()
            assert found["top"][0]["probability"] == pytest.approx(sample["probability"], abs=1e-5)
            assert laid_out[sample["row"]] == pytest.approx(sample["probability"], abs=1e-5)

    def test_before_the_end_the_best_weights_so_far_answer(self, page, runs, tmp_path):
        shutil.copytree(runs / "striped", tmp_path / "runs" / "going")
        (tmp_path / "runs" / "going" / "evaluation.safetensors").unlink()
        with TestClient(build_app(tmp_path / "runs"), base_url=ORIGIN) as client:
            part = client.get("/api/scores", params={"run": "going"}).json()
        assert part["matrix"] == page.get("/api/scores", params={"run": "striped"}).json()["matrix"]
        assert "so far" in part["note"]


def test_changed_photos_are_reported(runs, tmp_path, striped):
    shutil.copytree(striped, tmp_path / "photos")
    shutil.copytree(runs / "striped", tmp_path / "runs" / "moved")
    config = tmp_path / "runs" / "moved" / "config.toml"
    config.write_text(config.read_text().replace(str(striped), str(tmp_path / "photos")))
    Image.new("RGB", (32, 32)).save(tmp_path / "photos" / "training" / "0_0.png")
    with TestClient(build_app(tmp_path / "runs"), base_url=ORIGIN) as client:
        answer = client.get("/api/embedding", params={"run": "moved", "at": "best"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "runs.photos_changed")

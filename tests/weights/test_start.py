"""Training from weights: what it starts with, how it prepares photos, and that it never needs the weights again."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from made import SMALL
from thalweg.errors import UsageError
from thalweg.report import write_report
from thalweg.runs import Run
from thalweg.training import RECIPES, request, resolve, resume, train
from thalweg.training.progress import Listener
from thalweg.training.session import reopen


class Heard(Listener):
    def __init__(self):
        self.notes = {}

    def note(self, key, **values):
        self.notes[key] = values


@pytest.fixture(scope="module")
def first(striped, tmp_path_factory):
    """A run to start from."""
    return train(striped, SMALL, tmp_path_factory.mktemp("first") / "run").path


@pytest.fixture(scope="module")
def moved(first, striped, tmp_path_factory):
    """A run that started from a copy of the first one, which is gone since."""
    folder = tmp_path_factory.mktemp("moved")
    source = shutil.copytree(first, folder / "source")
    heard = Heard()
    config = replace(SMALL, weights=str(source), save_every_epoch=True, seed=1, ema=0.9)
    run = train(striped, config, folder / "run", listener=heard)
    shutil.rmtree(source)
    return run, heard


def test_it_starts_with_the_weights_and_keeps_their_preparation(first, moved):
    run, heard = moved
    before, start = Run.open(first).load_weights("best"), run.load_weights(0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.items())
    assert (run.data["mean"], run.data["std"]) == (Run.open(first).data["mean"], Run.open(first).data["std"])
    facts = Run.open(run.path).data["weights"]
    assert (facts["share"], facts["head"], facts["known"], facts["network"]) == (1.0, "kept", "run", "resnet-small")
    assert len(facts["digest"]) == 64
    assert {"weights.from_line", "weights.table", "weights.known_run"} <= heard.notes.keys()


def test_few_photos_get_lower_rates_and_are_told_so(first, striped, monkeypatch):
    heard = Heard()
    few = resolve(None, {"weights": first, "budget": "1m"}, photos=striped, note=heard.note)
    assert (few.lr, few.layer_decay) == (RECIPES["finetune-few"].lr, RECIPES["finetune-few"].layer_decay)
    told = heard.notes.pop("training.recipe_for_few")
    assert 0 < told["count"] < told["most"]
    monkeypatch.setattr(request, "FEW", told["count"])
    many = resolve(None, {"weights": first}, photos=striped, note=heard.note)
    assert (many.lr, many.layer_decay) == (RECIPES["finetune"].lr, RECIPES["finetune"].layer_decay)
    assert many.lr > few.lr
    assert "training.recipe_for_few" not in heard.notes


def test_it_resumes_without_the_weights(moved, tmp_path):
    run, _ = moved
    copy = shutil.copytree(run.path, tmp_path / "run")
    assert resume(copy, epochs=3).summary()["epochs"] == 3


@pytest.mark.slow
def test_it_starts_again_from_the_weights_if_it_was_killed_before_its_first_checkpoint(first, striped, tmp_path):
    run = train(striped, replace(SMALL, weights=str(first), seed=2), tmp_path / "run")
    shutil.rmtree(run.path / "checkpoints")
    before = Run.open(first).load_weights("best")
    assert all(torch.equal(tensor, before[name]) for name, tensor in reopen(run.path).model.state_dict().items())


def test_other_classes_have_a_new_last_layer_and_the_average_starts_there_too(first, unlearnable, tmp_path):
    run = train(unlearnable, replace(SMALL, weights=str(first), size=16, epochs=1, ema=0.9), tmp_path / "run")
    assert run.data["weights"]["head"] == "new"
    assert run.load_network().classifier.out_features == 2


@pytest.mark.slow
def test_weights_that_say_nothing_are_tested_on_the_photos(first, striped, tmp_path):
    tensors = Run.open(first).load_weights("best")
    save_file(tensors, tmp_path / "weights.safetensors")
    heard = Heard()
    config = replace(SMALL, weights=str(tmp_path / "weights.safetensors"), epochs=1)
    run = train(striped, config, tmp_path / "run", listener=heard)
    assert run.data["weights"]["known"] == "test"
    assert heard.notes["weights.known_test"]["times"] > 1
    plain = train(striped, replace(config, normalize=False), tmp_path / "plain", listener=heard)
    assert (plain.data["mean"], plain.data["std"]) == ([0.0] * 3, [1.0] * 3)
    assert "weights.not_normalized" in heard.notes


def test_weights_of_another_network_fail_before_any_photo_is_decoded(first, striped, tmp_path):
    heard = Heard()
    heard.checking = heard.caching = lambda *_: pytest.fail("photos were read")
    with pytest.raises(UsageError, match="--model resnet-small"):
        train(striped, replace(SMALL, model="residual", weights=str(first)), tmp_path / "run", listener=heard)
    assert not (tmp_path / "run").exists()


def test_the_report_says_which_weights(moved):
    run, _ = moved
    page = write_report(run.path).read_text(encoding="utf-8")
    assert run.data["weights"]["source"] in page

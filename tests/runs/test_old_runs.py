"""A run that 0.1.0 left, whose options had other names: it opens, and its training done again gives what it left."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from thalweg.errors import RunError
from thalweg.runs import Run, RunFolder
from thalweg.training import train


@pytest.fixture
def old(tmp_path):
    with zipfile.ZipFile(Path(__file__).with_name("run-of-0.1.0.zip")) as archive:
        archive.extractall(tmp_path)
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("PHOTOS", (tmp_path / "photos").as_posix()))
    return tmp_path


def test_its_options_have_todays_names(old):
    run = Run.open(old / "run")
    config = run.config
    assert (config.resize, config.clip_grad_norm, config.keep, config.save_every_epoch) == (
        "center-crop",
        5,
        "best",
        True,
    )
    assert RunFolder(old / "run").training["clip_grad_norm"] == 5  # what the report shows
    assert (run.data["train"], len(run.steps()), run.summary()["stopped"]) == (36, 9, "done")
    run.save()
    assert Run.open(old / "run").config == config


def test_its_training_done_again_gives_the_same_outputs(old):
    before = Run.open(str(old / "run"))
    after = train(old / "photos", before.config, old / "again")
    # Another processor rounds in another way, and nine steps make up to 1.3e-3 of it; muon's matrices, whose columns
    # are in another order now, 8e-3 (1e-15 in float64). Another training differs by a tenth.
    np.testing.assert_allclose(after.outputs()["logits"], before.outputs()["logits"], atol=2e-2)
    np.testing.assert_allclose(after.steps()["loss"], before.steps()["loss"], rtol=5e-3)


def test_its_photos_are_found_again(old):
    assert len(Run.open(old / "run").open_photos().rows("valid")) == 12
    next((old / "photos" / "training").iterdir()).unlink()
    with pytest.raises(RunError, match="no longer those"):
        Run.open(old / "run").open_photos()

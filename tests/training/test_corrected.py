"""Trainings with corrected labels: the run has them, keeps their table, and goes on with that."""

from dataclasses import replace

import pytest

from thalweg.diagnosis import review_of
from thalweg.errors import DataError, RunError
from thalweg.runs import Run, TrainingConfig, files
from thalweg.training import resume, resume_folds, train, train_folds


CONFIG = TrainingConfig(
    model="resnet-small", size=16, epochs=1, batch_size=32, augment="none", precision="fp32", layout="channels-last",
    threads=1,
)  # fmt: skip
ROWS = "path,given,decision,label\ntraining/0_0.png,0,relabel,1\nvalidation/1_2.png,1,drop,\n"
KEPT = '"path","given","decision","label"\n"training/0_0.png","0","relabel","1"\n"validation/1_2.png","1","drop",""\n'


@pytest.fixture
def corrections(tmp_path):
    table = tmp_path / "corrections.csv"
    table.write_text(ROWS)
    return table


def test_a_row_that_does_not_fit_ends_a_training_before_it_begins(striped, tmp_path, corrections):
    corrections.write_text(ROWS + "validation/1_3.png,2,keep,2\n")
    with pytest.raises(DataError, match=r"corrections.csv:4: validation/1_3.png is 1 in these photos, but 2"):
        train(striped, replace(CONFIG, corrections=str(corrections)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_has_the_corrected_labels_and_goes_on_with_its_own_copy(striped, tmp_path, corrections, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(striped, replace(CONFIG, corrections="corrections.csv"), tmp_path / "run")
    assert run.config.corrections == str(corrections)
    labels = run.read_labels()
    assert (labels["training/0_0.png"], "validation/1_2.png" in labels, len(labels)) == ("1", False, 119)
    facts = Run.open(run.path).data["corrections"]
    assert {name: facts[name] for name in ("relabeled", "kept", "dropped")} == {"relabeled": 1, "kept": 0, "dropped": 1}
    assert (run.path / files.APPLIED).read_text() == KEPT
    corrections.unlink()
    assert resume(run.path, epochs=2).summary()["epochs"] == 2
    (run.path / files.APPLIED).write_text(KEPT.splitlines()[0] + '\n"training/0_1.png","0","relabel","2"\n')
    with pytest.raises(RunError, match=f"{files.APPLIED}: the corrections, or the photos in .*, are no longer those"):
        resume(run.path, epochs=3)


@pytest.mark.slow
def test_folds_share_the_table_that_the_first_was_trained_with(striped, tmp_path, corrections):
    config = replace(CONFIG, corrections=str(corrections), folds=2)
    train_folds(striped, config, tmp_path / "run")
    corrections.write_text("path,label\ntraining/0_1.png,2\n")
    runs = resume_folds(tmp_path / "run", epochs=2)
    assert {run.data["corrections"]["digest"] for run in runs} == {runs[0].data["corrections"]["digest"]}
    assert all(run.read_labels()["training/0_0.png"] == "1" for run in runs)
    assert len(review_of(tmp_path / "run").paths) == 119

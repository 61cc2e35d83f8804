"""Reviews of runs and folds: what is covered, what is doubted, what is written, and what is refused."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from thalweg.cli import review as command
from thalweg.data import open_images
from thalweg.data.builtin import ARCHIVE
from thalweg.data.corrections import corrected
from thalweg.data.findings import Finding, write_findings
from thalweg.diagnosis import review_of
from thalweg.diagnosis.review import reviewed_folder
from thalweg.errors import DataError, RunError, UnknownNameError
from thalweg.i18n import quoted, speaking
from thalweg.report import write_report
from thalweg.runs import Run, TrainingConfig, files
from thalweg.runs.decisions import decide, decisions_in


ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}
CLASSES = ["cat", "dog", "owl"]
WRONG = {"1_3.png": "dog", "0_10.png": "cat"}  # a photo of an owl, and one of a dog
RIGHT = {"1_3.png": "owl", "0_10.png": "dog"}


def write_fold(path, photos, names, *, config=None, labels=None):
    """A finished run that is sure of the true classes, of which two labels differ."""
    true = np.array([int(name.split("_")[1].split(".")[0]) % 3 for name in names])
    given = [CLASSES.index(WRONG.get(name, CLASSES[label])) for name, label in zip(names, true, strict=True)]
    given = np.array(given if labels is None else labels)
    true = np.array([CLASSES.index(RIGHT.get(name, CLASSES[label])) for name, label in zip(names, true, strict=True)])
    random = np.random.default_rng(0)
    logits = random.normal(0, 0.3, (len(names), 3)) + 5 * np.eye(3)[true]
    data = {"path": str(photos), "layout": "flat", "classes": CLASSES, "class_shares": [1 / 3] * 3, "stored": 32,
            "train": 1, "valid": len(names), "test": 0, "fingerprint": "0", "mean": [0.5] * 3,
            "std": [0.2] * 3}  # fmt: skip
    path.mkdir(parents=True)
    Run(path, config or TrainingConfig(size=32).settle(32), data, ENVIRONMENT).save()
    save_file({"logits": logits.astype(np.float32), "labels": given}, path / files.EVALUATION)
    rows = [f"{name},valid,{CLASSES[label]}" for name, label in zip(names, given, strict=True)]
    (path / files.SPLIT).write_text("\n".join(["path,split,label", *rows, "t.png,train,owl", ""]), encoding="utf-8")
    (path / files.SUMMARY).write_text(json.dumps({"stopped": "done", "epochs": 1, "steps": 1, "seconds": {"total": 1}}))
    return path


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    root = tmp_path_factory.mktemp("reviews")
    for fold in range(2):
        config = TrainingConfig(size=32, folds=2, fold=fold).settle(32)
        names = [f"{fold}_{number}.png" for number in range(12)]
        write_fold(root / "set" / "folds" / str(fold), "/photos of pets", names, config=config)
    (root / "set" / files.OUT_OF_FOLD).write_text("path,fold,label,predicted\n")
    copies = {"conflicts": [{"paths": ["0_10.png", "1_7.png"], "classes": ["cat", "dog"]}], "near_leaks": "damaged"}
    (root / "set" / "folds" / "0" / files.CHECK).write_text(json.dumps(copies))
    return root


@pytest.fixture
def folds(_made, tmp_path):
    return shutil.copytree(_made, tmp_path / "copy") / "set"


@pytest.fixture
def run(folds):
    return Run.open(folds / "folds" / "0")


def test_folds_cover_all_photos_and_doubt_the_wrong_labels(folds):
    found = review_of(folds)
    assert found.covers_all
    assert len(found.paths) == 24
    assert {one.path: one.suggested for one in found.photos} == RIGHT
    assert {one.path: one.given for one in found.photos} == WRONG
    assert sorted(found.pairs) == [("cat", "dog", pytest.approx(1)), ("dog", "owl", pytest.approx(1))]
    copies = {one.path: one.copies for one in found.photos}
    assert copies == {"0_10.png": (("1_7.png", "dog"),), "1_3.png": ()}
    assert all(one.probability_given < 0.1 for one in found.photos)
    assert all(one.probability_suggested > 0.9 for one in found.photos)


def test_copies_come_from_the_table_of_all_findings_where_there_is_one(run):
    findings = [Finding("conflicts", "7.png", "train", "owl", other, "train", name, "1")
                for other, name in (("0_10.png", "cat"), ("8.png", "dog"))]  # fmt: skip
    findings += [Finding("near_leaks", "9.png", "train", "dog", "0_10.png", "valid", "cat", "0.97", "yes")]
    findings += [
        Finding("near_leaks", "10.png", "train", "", "0_10.png", "valid", "cat", "0.96"),
        Finding("bad", "b.png"),
    ]
    write_findings(run.path / files.FINDINGS, findings)
    copies = {one.path: dict(one.copies) for one in review_of(run.path).photos}
    assert copies == {"0_10.png": {"7.png": "owl", "8.png": "dog", "9.png": "dog"}}
    (run.path / files.FINDINGS).write_bytes(b"\xffdamaged")
    assert dict(review_of(run.path).photos[0].copies) == {"1_7.png": "dog"}  # of the first hundred, in JSON


def test_a_single_run_covers_its_validation_photos_and_says_so(run):
    found = review_of(run.path)
    assert not found.covers_all
    assert [one.path for one in found.photos] == ["0_10.png"]
    assert "Only the 12 validation photos" in found.sentences[1]
    assert "--folds 5" in found.sentences[1]


def test_the_command_reads_the_photos_as_the_run_did(run):
    replace(run, config=replace(run.config, photo_layout="csv", label_column="the class", seed=3, lr=0.5)).save()
    command = review_of(run.path).command("--corrections", "c.csv")
    flags = "--photo-layout csv --label-column 'the class' --seed 3 --corrections c.csv"
    assert command == f"thalweg train '/photos of pets' {flags}"


def test_the_command_names_the_builtin_set_and_keeps_the_corrections(run):
    (run.path / files.APPLIED).write_text("path,label\n")
    config = replace(run.config, corrections="fixes.csv")
    replace(run, config=config, data={**run.data, "path": str(ARCHIVE)}).save()
    said = review_of(run.path).sentences[1]
    assert f"thalweg train builtin --folds 5 --corrections {quoted(run.path / files.APPLIED)}" in said


def test_the_table_has_a_row_for_each_doubted_photo(folds):
    found = review_of(folds)
    rows = list(csv.DictReader(found.write().read_text(encoding="utf-8").splitlines()))
    assert [row["path"] for row in rows] == [one.path for one in found.photos]
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert float(rows[0]["probability_given"]) <= float(rows[1]["probability_given"])
    assert {row["copies"] for row in rows} == {"", "1_7.png (dog)"}


@pytest.mark.parametrize(("language", "said"), [("en", "About 8.3% of 24 labels"), ("zh-CN", "24 个标签中约有 8.3%")])
def test_the_command_tells_and_writes_all(folds, command_runner, language, said):
    with speaking(language):
        told = command_runner(command, "review")(str(folds)).output
    assert said in told
    assert "1_3.png" in told
    assert f"--corrections {folds / 'corrections.csv'}" in told.replace("\n", "")
    page = (folds / "review.html").read_text(encoding="utf-8")
    assert "1_3.png" in page
    assert "/photos of pets" in page  # that they are gone is said, not hidden
    assert (folds / "review.csv").is_file()


def test_the_command_gives_the_same_to_programs(folds, command_runner, tmp_path):
    told = json.loads(command_runner(command, "review")(str(folds), "--json", "--out", str(tmp_path / "a.csv")).stdout)
    assert told["covered"] == 24
    assert {one["path"] for one in told["photos"]} == set(WRONG)
    assert told["table"] == str(tmp_path / "a.csv")


def test_what_has_no_honest_predictions_is_refused(folds):
    with pytest.raises(RunError, match="not a run"):
        review_of(folds.parent)
    summary = folds / "folds" / "1" / files.SUMMARY
    summary.write_text(summary.read_text().replace("done", "interrupted"))
    with pytest.raises(RunError, match=r"1 of 2 folds are finished.*thalweg train --resume"):
        review_of(folds)
    shutil.rmtree(folds / "folds" / "1")
    with pytest.raises(RunError, match="1 of 2 folds are finished"):
        review_of(folds)
    (folds / "folds" / "0" / files.EVALUATION).unlink()
    with pytest.raises(RunError, match="no predictions yet"):
        review_of(folds / "folds" / "0")


def test_one_label_cannot_be_doubted(tmp_path):
    path = write_fold(tmp_path / "run", "/photos", ["0_1.png", "0_2.png"], labels=[2, 2])
    with pytest.raises(RunError, match="all 2 photos have the label owl"):
        review_of(path)


def test_predictions_of_other_photos_are_refused(run):
    lines = (run.path / files.SPLIT).read_text().splitlines()
    (run.path / files.SPLIT).write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(RunError, match="do not match"):
        review_of(run.path)


def test_decisions_are_kept_at_once_and_can_be_taken_back(folds, run):
    decide(folds, run, "0_10.png", "dog")
    decide(folds, run, "0_1.png", "dog")
    decide(folds, run, "t.png", None)
    table = (folds / files.CORRECTIONS).read_text(encoding="utf-8").splitlines()
    assert [row.replace('"', "") for row in table[1:]] == [
        "0_10.png,cat,relabel,dog", "0_1.png,dog,keep,dog", "t.png,owl,drop,",
    ]  # fmt: skip
    assert list(decide(folds, run, "0_1.png", None, forget=True)) == ["0_10.png", "t.png"]
    assert list(decisions_in(folds, run)) == ["0_10.png", "t.png"]
    with pytest.raises(RunError, match=r"no labeled photo gone\.png"):
        decide(folds, run, "gone.png", "dog")
    with pytest.raises(UnknownNameError, match="unicorn"):
        decide(folds, run, "0_1.png", "unicorn")


def test_decisions_go_on_from_the_corrections_that_the_run_was_trained_with(run):
    applied = "path,given,decision,label\n0_10.png,owl,relabel,cat\ngone.png,cat,drop,\n"
    (run.path / files.APPLIED).write_text(applied)
    rows = decide(run.path, run, "0_10.png", "owl")
    assert [tuple(row)[:4] for row in rows.values()] == [
        ("gone.png", "cat", "drop", None),
        ("0_10.png", "owl", "keep", "owl"),  # what the set says, not what the run was told
    ]


def test_a_fold_belongs_to_its_folder_once_all_are_finished(folds, run):
    assert reviewed_folder(run.path) == folds
    (folds / files.OUT_OF_FOLD).unlink()
    assert reviewed_folder(run.path) == run.path


@pytest.fixture
def trained(striped, tmp_path):
    """A run on real photos, as training leaves it, with one label corrected before."""
    table = tmp_path / "first.csv"
    table.write_text("path,label\ntraining/0_0.png,1\n")
    images = open_images(striped)
    names = [photo.path for photo in images.split("valid")]
    path = write_fold(tmp_path / "run", striped, names, labels=[int(name.split("/")[1][0]) for name in names])
    config = replace(Run.open(path).config, corrections=str(table))
    replace(Run.open(path), config=config).save()
    return Run.open(path), table


def test_a_decision_on_a_photo_corrected_before_can_be_trained_on(trained):
    run, table = trained
    images = open_images(run.data["path"], classes=CLASSES)
    table.write_text("path,label\ntraining/0_0,dog\nvalidation/1_2,cat\n")
    (run.path / files.APPLIED).write_bytes(corrected(images, table).corrections.content)
    split = run.path / files.SPLIT
    before = split.read_text()
    split.write_text(before.replace("1_2.png,valid,dog", "1_2.png,valid,cat"))
    assert split.read_text() != before
    for forget in (False, True, False):
        rows = decide(run.path, run, "validation/1_2.png", "cat", forget=forget)
    assert list(rows) == ["training/0_0.png", "validation/1_2.png"]
    assert rows["validation/1_2.png"].given == "dog"
    assert corrected(images, run.path / files.CORRECTIONS).corrections.relabeled == 2


def test_a_run_keeps_the_labels_that_it_was_trained_with(trained):
    run, table = trained
    label_of = {photo.path: photo.label for photo in run.find_photos().photos}
    assert label_of["training/0_0.png"] == 1
    shutil.copy(table, run.path / files.APPLIED)
    table.write_text("path,label\ntraining/0_0.png,2\n")  # somebody goes on correcting
    assert {photo.path: photo.label for photo in run.find_photos().photos} == label_of
    table.unlink()
    assert {photo.path: photo.label for photo in run.find_photos().photos} == label_of
    (run.path / files.APPLIED).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        run.find_photos()


def test_a_report_shows_the_section_if_photos_were_drawn(run):
    assert "Doubted labels" not in write_report(run.path).read_text(encoding="utf-8")
    shutil.copy(_any_png(run.path), run.path / "doubts.png")
    page = write_report(run.path).read_text(encoding="utf-8")
    assert "Doubted labels" in page
    assert "0_10.png" in page


def _any_png(folder):
    from PIL import Image

    Image.new("RGB", (30, 20)).save(folder / "any.png")
    return folder / "any.png"

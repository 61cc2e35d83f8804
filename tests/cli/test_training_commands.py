"""`thalweg train`, `demo` and `predict` as a person calls them: exit codes, sentences, and no traceback."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields

import pytest
from PIL import Image

from thalweg.cli.train import requested
from thalweg.runs import TrainingConfig


QUICK = ["--model", "resnet-small", "--size", "32", "--epochs", "1", "--batch-size", "16", "--threads", "1",
         "--precision", "fp32", "--layout", "channels-last"]  # fmt: skip


@pytest.fixture(scope="module")
def run(striped, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "run"
    done = subprocess.run([sys.executable, "-m", "thalweg", "train", striped, "--out", out, *QUICK, "--epochs", "4"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    return out


def test_a_training_leaves_pictures_and_a_report(run):
    for name in ("curves", "confusion", "mistakes", "tsne-mid", "tsne-top"):
        with Image.open(run / f"{name}.png") as picture:
            assert picture.width > 400
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 5
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="http' not in page


def test_a_submission_has_a_row_a_picture_in_natural_order(run, striped, thalweg, tmp_path):
    out = tmp_path / "submission.csv"
    code, _, _ = thalweg("predict", run, striped, "-o", out)
    assert code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["Id", "Category"]
    assert [row["Id"] for row in rows] == [f"{number:04}" for number in range(1, 13)]
    right = sum(int(row["Category"]) == position % 3 for position, row in enumerate(rows))
    assert right >= 9


def test_several_photos_at_once(run, striped, thalweg):
    photos = sorted((striped / "testing").iterdir())[:3]
    code, text, _ = thalweg("predict", run, *photos[::-1])
    assert code == 0
    assert [row["Id"] for row in csv.DictReader(text.splitlines())] == [photo.stem for photo in photos[::-1]]
    code, _, error = thalweg("predict", run, striped)
    assert code == 0
    assert "12 photos of the test split" in error


def test_tta_names_and_probabilities(run, striped, thalweg):
    code, text, _ = thalweg("predict", run, striped, "--tta", "4", "--names", "--probabilities")
    assert code == 0
    rows = list(csv.DictReader(text.splitlines()))
    assert list(rows[0]) == ["Id", "Category", "0", "1", "2"]
    for row in rows:
        shares = [float(row[name]) for name in "012"]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row["Category"] == str(max(range(3), key=shares.__getitem__))
    assert thalweg("predict", run, striped, "--tta", "99")[0] == 2


def test_one_photo_prints_its_best_guesses(run, striped, thalweg):
    photo = striped / "validation" / "1_0.png"
    code, text, _ = thalweg("predict", run, photo)
    assert code == 0
    assert text.count("%") == 3  # there are but three classes
    best = json.loads(thalweg("predict", run, photo, "--json")[1])["photos"][0]["best"]
    assert best[0]["class"] == "1"
    assert sum(guess["probability"] for guess in best) == pytest.approx(1)


def test_a_picture_that_cannot_be_read_still_has_its_row(run, striped, thalweg, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(striped / "testing", photos)
    (photos / "0005.png").write_text("no picture at all")
    code, text, said = thalweg("predict", run, photos)
    assert code == 0
    assert len(text.splitlines()) == 13
    assert "0005.png" in said


def test_validation_and_prediction_agree(run, striped, thalweg):
    summary = json.loads((run / "summary.json").read_text())
    predicted = json.loads(thalweg("predict", run, striped / "validation", "--json")[1])["photos"]
    right = sum(photo["path"].rsplit("/", 1)[-1].startswith(f"{photo['category']}_") for photo in predicted)
    assert right / len(predicted) == pytest.approx(summary["valid"]["accuracy"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train"], 2, "No photos given"),
        (["train", "{photos}", "--size", "0"], 2, "--size must lie in [1, 4,096]"),
        (["train", "{photos}", "--size", "4"], 2, "4"),
        (["train", "{photos}", "--optimizer", "addam"], 2, "Did you mean adam"),
        (["train", "{photos}", "--model", "resnet19"], 2, "resnet18"),
        (["train", "{photos}", "--recipe", "homwork"], 2, "homework"),
        (["train", "{photos}", "--schedule", "warmup(5%) > cosin"], 2, "cosine"),
        (["train", "{photos}", "--budget", "soon"], 2, "90s, 10m or 1h30m"),
        (["train", "{photos}", "--epochs", "-3"], 2, "--epochs must lie in [1, 1,000,000]"),
        (["train", "{photos}", "--lr", "nan"], 2, "--lr must lie in (0, ∞)"),
        (["train", "{photos}", "--loss", "hinge"], 2, "cross-entropy"),
        (["train", "{photos}", "--device", "mps"], 2, "mps"),
        (["train", "{empty}"], 1, "no pictures"),
        (["train", "{empty}/none"], 1, "no such file or folder"),
        (["train", "--resume", "{empty}"], 1, "not a run"),
        (["train", "{photos}", "--resume", "{empty}"], 2, "omit the folder"),
        (["train", "{photos}", "--out", "{photos}"], 2, "not empty"),
        (["predict", "{empty}", "{photos}"], 1, "not a run"),
        (["--lang", "klingon", "train"], 2, "en"),
        (["trian"], 2, "train"),
    ],
)
def test_wrong_use_gets_a_sentence_and_an_exit_code(thalweg, striped, tmp_path, arguments, code, said):
    given = [argument.format(photos=striped, empty=tmp_path) for argument in arguments]
    ended, _, error = thalweg(*given)
    assert (ended, said in error) == (code, True), error


def test_errors_are_json_when_asked_and_chinese_when_asked(thalweg, tmp_path):
    code, text, _ = thalweg("train", tmp_path, "--json")
    assert code == 1
    assert json.loads(text)["error"]["code"] == "data.no_images"
    _, _, error = thalweg("--lang", "zh-CN", "train")
    assert "照片" in error


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_resume(striped, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", "train", striped, "--out", out, *QUICK, "--epochs", "500"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (out / "history" / "steps").exists() or (out / "history" / "steps").stat().st_size < 500:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"thalweg train --resume {out}" in said
    assert (out / "checkpoints" / "last.safetensors").exists()


def test_an_unwritable_folder_is_said(striped, thalweg, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, error = thalweg("train", striped, "--out", tmp_path / "file" / "run", *QUICK)
    assert code == 1
    assert "cannot be written" in error


def test_every_flag_is_a_field_and_every_field_a_flag(thalweg):
    _, text, _ = thalweg("train", "--help")
    flags = set(re.findall(r"--[a-z-]+", text))
    own = {
        "--recipe",
        "--out",
        "--resume",
        "--json",
        "--help",
        "--no-normalize",
        "--no-save-every-epoch",
        "--no-find-lr",
        "--no-fit-head",
        "--photos",
        "--processes",
        "--max-restarts",
        "--log",
    }
    named = {f"--{field.name.replace('_', '-')}" for field in fields(TrainingConfig)}
    assert flags - own == named - {"--smaller-sizes"}  # which --size "64>96>128" sets


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"]])
def test_help_loads_no_heavy_package(arguments):
    code = (
        "import sys; sys.argv = ['thalweg', *sys.argv[1:]]\n"
        "from thalweg.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'sympy', 'matplotlib', 'sklearn', 'PIL', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("overrides", "lr"),
    [
        ({}, 5e-3),  # the recipe's own
        ({"optimizer": "muon"}, 5e-3),  # which is the recipe's
        ({"optimizer": "adamw"}, 1e-3),
        ({"optimizer": "adamw", "lr": 0.02}, 0.02),
        ({"optimizer": "adagrad", "lr": "auto"}, 1e-2),  # where nothing is found
    ],
)
def test_another_optimizer_comes_with_its_usual_rate(overrides, lr, capsys):
    assert requested("builtin", "standard", overrides).lr == lr
    told = capsys.readouterr().err
    assert ("default" in told) == (overrides == {"optimizer": "adamw"})

"""The report of a made-up run: complete, self-contained, in both languages, whatever is missing or broken."""

import json
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from safetensors.numpy import save_file

from thalweg.errors import RunError
from thalweg.history import HistoryLog
from thalweg.i18n import LANGUAGES, set_language, t
from thalweg.report import write_report


class Page(HTMLParser):
    """What a browser would see of a file."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, "every element is closed"

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name not in ("img", "meta"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, text):
        if self.open and self.open[-1] != "style":
            self.words.append(text)

    @property
    def text(self):
        return "\n".join(self.words)


def test_it_holds_everything(run, classes):
    page = Page(write_report(run))
    for part in (
        "Report of the run food & <10>",
        "The run is complete. Predictions use the weights of epoch 3",
        "A message with <b>markup</b>.",
        "70.0 %",
        "68.8 %",
        "120 photos; 95 % interval 61.3 to 77.5 %",
        "5 min 30 s",
        "3 epochs, 300 steps",
        "600 training, 120 validation, 80 test",
        "2 photos are in two splits",
        "a plain <sentence>",
        "training/3_<17>.jpg",
        "truncated after 12,288 bytes",
        "/photos/food & <drink>",
        "--batch-size",
        "Photos per step.",
        "2.13.0",
        "PHOTOS -o submission.csv",
        "thalweg train --resume '",
        *classes,
    ):
        assert part in page.text, part
    assert [name for name, _ in page.tags].count("img") == 7
    assert "Left out" not in page.text


def test_a_landscape_is_in_it_where_it_was_drawn_of_the_weights_of_now(run):
    shutil.copy(run / "curves.png", run / "landscape-trajectory.png")
    weights = run / "checkpoints" / "last.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.touch()
    drawn = weights.stat().st_mtime
    for age, count in ((1, 8), (-1, 7)):
        os.utime(run / "landscape-trajectory.png", (drawn + age, drawn + age))
        page = Page(write_report(run))
        assert [name for name, _ in page.tags].count("img") == count
        assert (t("report.landscapes") in page.text) == (count == 8)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_needs_nothing_else_and_runs_nothing(run, language):
    set_language(language)
    page = Page(write_report(run))
    assert "script" not in {name for name, _ in page.tags}
    for name, attributes in page.tags:
        assert not {key for key in attributes if key.startswith("on")}
        for key in ("src", "href"):
            assert attributes.get(key, "data:").startswith("data:image/png;base64,") or key not in attributes, name
        if name == "img":
            assert attributes["alt"]
            assert int(attributes["width"]) > 100
    assert not re.findall(r"url\(|@import|https?://", page.source)
    assert next(attributes for name, attributes in page.tags if name == "html")["lang"] == language


def test_chinese_is_chinese(run):
    set_language("zh-CN")
    page = Page(write_report(run))
    assert "训练已完成。预测使用第 3 回合的权重" in page.text
    english = [word for word in ("The ", "accuracy", "photos", "precision") if word in page.text]
    assert english == ["photos"]  # the made-up warning and the path


PARTS = (
    "config.toml",
    "summary.json",
    "data-check.json",
    "history",
    "evaluation.safetensors",
    "curves.png",
    "layers.png",
    "confusion.png",
    "mistakes.png",
    "reliability.png",
    "tsne-mid.png",
    "tsne-top.png",
)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_is_left_out_and_named(run, part):
    target = run / part
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    page = Page(write_report(run))
    assert "Missing from this report" in page.text
    assert part in page.text


@pytest.mark.parametrize("part", [part for part in PARTS if part != "history"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"[1, 2]", b'{"valid": 3, "seconds": [], "bad": {}}'])
def test_a_part_that_is_broken_is_no_failure(run, part, content):
    (run / part).write_bytes(content)
    assert "Report of the run" in Page(write_report(run)).text


@pytest.mark.parametrize(
    "check",
    [
        '{"warnings": [{"code": "only.a.code"}, 3, null], "bad": [{"path": "a.jpg"}, "b.jpg"], "counts": {"train": 3}}',
        '{"warnings": "no list", "bad": null, "counts": []}',
    ],
)
def test_a_data_check_of_another_shape_is_no_failure(run, check):
    (run / "data-check.json").write_text(check)
    text = Page(write_report(run)).text
    assert ("only.a.code" in text) == ("only.a.code" in check)


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path):
    text = Page(write_report(tmp_path)).text
    assert "The run does not record how it ended." in text
    for part in ("config.toml", "history/steps", "tsne-top.png"):
        assert part in text


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no such folder"):
        write_report(tmp_path / "nowhere")


def test_classes_that_the_run_does_not_name_are_numbered(run):
    (run / "config.toml").unlink()
    assert "\n3\n" in Page(write_report(run)).text


@pytest.mark.parametrize(
    ("accuracy", "says"),
    [(0.7, "Chance is 25.0 %."), (0.25, "Chance is 25.0 %. This is not clearly better than guessing.")],
)
def test_an_accuracy_is_compared_with_chance(run, accuracy, says):
    path = run / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["valid"]["accuracy"] = accuracy
    path.write_text(json.dumps(summary), encoding="utf-8")
    notes = [text for text in Page(write_report(run)).words if text.startswith("120 photos")]
    assert [note.partition("%. ")[2] for note in notes] == [says]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_verdict_of_the_history_and_the_command_that_tries_its_fix(run, language):
    set_language(language)
    step = np.arange(1, 401)
    (run / "history" / "steps").unlink()
    loss = np.where(step < 100, 2.3, np.nan)
    with HistoryLog(run / "history" / "steps", {"step": "", "epoch": "epochs", "loss": "nat", "lr": ""}) as log:
        log.extend(np.c_[step, step / 100, loss, np.full(400, 10.0)])
    page = Page(write_report(run))
    codes = [attributes["data-code"] for name, attributes in page.tags if "data-code" in attributes]
    assert codes == ["diverged"]
    assert t("diagnosis.verdict_diverged_title") in page.words
    assert f"thalweg diagnose '{run}' --try-fix" in page.words


def test_a_run_without_steps_has_no_verdict(run):
    (run / "history" / "steps").unlink()
    assert "data-code" not in write_report(run).read_text(encoding="utf-8")


def test_every_cell_knows_its_column_for_narrow_screens(run):
    page = Page(write_report(run))
    labels = [attributes.get("data-label") for name, attributes in page.tags if name == "td"]
    assert all(labels)
    assert {"F1", "what it is"} <= set(labels)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_weights_of_the_start_are_told_in_words(run, language):
    """Every entry has a name and a value in the language; nothing is printed as Python prints it."""
    config = run / "config.toml"
    weights = (
        'mean = [0.5, 0.5, 0.25]\nstd = [0.5, 0.5, 0.5]\nground = "visible"\nlevels = {}\n'
        '[data.weights]\nsource = "efficientnet-lite0"\nnetwork = "efficientnet-lite0"\nlicense = "Apache-2.0"\n'
        'url = "https://example.org"\ndigest = "ab"\nsize = 224\ninterpolation = "bicubic"\ncrop = 0.875\n'
        'known = "test"\nshare = 0.975\nhead = "new"\n'
    )
    config.write_text(config.read_text(encoding="utf-8").replace("[environment]", weights + "[environment]"))
    set_language(language)
    text = Page(write_report(run)).text
    assert "{" not in text
    assert "97.5%" in text
    assert "0.5, 0.5, 0.25" in text
    for key in ("fact_weights_size", "weights_known_test", "weights_head_new", "fact_photo_layout"):
        assert t(f"report.{key}") in text
    assert not {"weights_size", "ground", "levels", t("report.fact_layout")} & set(text.split("\n"))


def test_of_many_classes_the_worst_are_listed_and_the_rest_has_its_place(run):
    labels = np.arange(240) % 60
    logits = np.eye(60, dtype=np.float32)[labels]
    logits[labels == 7] = logits[0]  # never right
    save_file({"logits": logits, "labels": labels}, run / "evaluation.safetensors")
    check = {"counts": {"train": {f"photos of {index}": 100 - index for index in range(60)}}}
    (run / "data-check.json").write_text(json.dumps(check), encoding="utf-8")
    page = Page(write_report(run))
    assert page.text.count("photos of ") == 40  # the first and the last
    assert "photos of 30" not in page.text
    assert "50 classes with the lowest recall, of 60; class-scores.csv" in page.text
    assert "Bread (4)" in page.text  # the first class, for which the seventh is mistaken

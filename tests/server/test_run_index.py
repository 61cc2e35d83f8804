"""The table of runs: what the files say, and for a damaged run what is wrong with it."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from thalweg.history import HistoryLog
from thalweg.i18n import LANGUAGES, speaking, t
from thalweg.report.verdict import verdict_of
from thalweg.runs import Run, RunFolder
from thalweg.runs.files import EPOCH_UNITS, STEP_UNITS, VALID_TOP5
from thalweg.server.run_index import photos_name


def listed(client):
    return client.get("/api/runs").json()["runs"]


def test_no_password_of_the_photos_address_is_in_the_table():
    assert photos_name("sftp://ann:secret@host/photos") == "sftp://ann:***@host/photos"


def test_the_table_says_what_the_histories_say(client):
    runs = {run["run"]: run for run in listed(client)}
    first, second = runs["first"], runs["deep/second"]
    assert (first["steps"], first["epoch"], first["best"], first["seconds"]) == (100, 2.0, 0.75, 20.0)
    assert first["last_loss"] == pytest.approx(0.023)
    assert (second["steps"], second["best"], second["state"]) == (0, None, "stopped")


@pytest.mark.parametrize(("classes", "units", "shown"), [
    (20, EPOCH_UNITS, False),
    (21, EPOCH_UNITS, False),  # as 0.1.0 began it
    (21, {**EPOCH_UNITS, VALID_TOP5: ""}, True),
    (21, None, True),  # before the first epoch
])  # fmt: skip
def test_top5_has_a_chart_where_the_history_has_it(client, folder, classes, units, shown):
    first = Run.open(folder / "first")
    data = {
        **first.data,
        "classes": [f"class {number}" for number in range(classes)],
        "class_shares": [1 / classes] * classes,
    }
    Run(folder / "many", first.config, data, first.environment).save()
    if units is not None:
        with HistoryLog(folder / "many" / "history" / "epochs", units) as epochs:
            epochs.extend([[50.0, 1.0, *[0.5] * (len(units) - 2)]])
    rows = {run["run"]: run for run in listed(client)}
    assert rows["many"]["top5"] is shown


def test_a_run_with_an_invalid_configuration_is_listed_with_the_reason(client, folder):
    config = (folder / "first" / "config.toml").read_text()
    assert "\nlr = 0.002\n" in config
    (folder / "broken").mkdir()
    (folder / "broken" / "config.toml").write_text(config.replace("\nlr = 0.002\n", "\nlr = -1\n"))
    row = next(run for run in listed(client) if run["run"] == "broken")
    assert "--lr" in row["broken"]


def test_a_run_that_only_fitted_its_classifier_has_no_optimizer_of_its_configuration(client, folder):
    config = (folder / "first" / "config.toml").read_text()
    assert "\nfit_head = false\n" in config
    (folder / "fit").mkdir()
    changed = config.replace("\nfit_head = false\n", '\nfit_head = true\nfreeze = "all"\n')
    (folder / "fit" / "config.toml").write_text(changed)
    rows = {run["run"]: run for run in listed(client)}
    plain, fit = rows["first"], rows["fit"]
    assert (plain["optimizer"], plain["lr"], plain["fitted"]) == ("adamw", 0.002, False)
    assert (fit["optimizer"], fit["lr"], fit["schedule"], fit["fitted"]) == ("L-BFGS", None, None, True)
    assert fit["model"] == plain["model"]


def test_a_run_that_is_locked_is_training_even_if_it_writes_nothing(client, folder, monkeypatch):
    states = lambda: {run["run"]: run["state"] for run in listed(client)}  # noqa: E731 - short
    monkeypatch.setattr("thalweg.server.run_index._FRESH", 0.0)
    assert states()["first"] == "stopped"
    with HistoryLog(folder / "first" / "history" / "steps", STEP_UNITS) as log:
        assert log.hold()
        assert states()["first"] == "training"
        answer = client.post("/api/trainings/resume", json={"run": "first"})
        assert answer.status_code == 400
    assert states()["first"] == "stopped"


def test_a_folder_that_cannot_be_read_or_named_takes_no_other_down(client, folder, monkeypatch):
    (folder / "locked").mkdir()
    with suppress(OSError):  # of a file system that takes UTF-8 only
        (folder / os.fsdecode("照片".encode("gb18030"))).mkdir()
    is_file = Path.is_file

    def refuse(path):
        if path.parent.name == "locked":
            raise PermissionError
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert {run["run"] for run in listed(client)} == {"first", "deep/second"}


def test_a_row_is_read_again_when_its_files_change(client, folder, step_rows, monkeypatch):
    monkeypatch.setattr("thalweg.server.run_index._FRESH", 0.0)
    client.get("/api/runs")
    with HistoryLog(folder / "first" / "history" / "steps", STEP_UNITS) as log:
        log.extend(step_rows(5, 100))
    runs = {run["run"]: run for run in listed(client)}
    assert runs["first"]["steps"] == 105


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "stopped", ["done", "budget", "patience", "interrupted", "nan", "stopped", "training", "broken"]
)
def test_every_state_has_words(language, stopped):
    with speaking(language):
        assert t(f"page.state_{stopped}")


@pytest.mark.parametrize(("file", "content"), [
    ("config.toml", b""), ("config.toml", b"\xff\xfe"), ("config.toml", b"format = 1\ntraining = 3\ndata = 4\n"),
    ("config.toml", b"format = 1\n[training]\nepochs = 1\n[data]\npath = 3\ntrain = 'many'\n[environment]\n"),
    ("summary.json", b"["), ("summary.json", b"[]"), ("summary.json", b'{"valid": 3}'), ("summary.json", b"\xff"),
    ("summary.json", b'{"valid": {"accuracy": "high"}}'), ("history/steps", b"no history at all"),
    ("history/epochs", bytes(64)),
])  # fmt: skip
def test_a_damaged_run_says_what_is_wrong_and_hides_no_other(client, folder, file, content):
    (folder / "first" / file).write_bytes(content)
    rows = {row["run"]: row for row in listed(client)}
    assert rows["first"]["state"] == "broken"
    assert len(rows["first"]["broken"]) > 10
    assert rows["deep/second"]["state"] == "stopped"
    assert "broken" not in rows["deep/second"]


def test_what_is_damaged_hides_nothing_of_the_rest_of_its_run(client, folder):
    (folder / "first" / "summary.json").write_text("[")
    row = next(row for row in listed(client) if row["run"] == "first")
    assert (row["steps"], row["best"]) == (100, 0.75)


def test_no_number_leaves_the_server_that_a_browser_cannot_read(client, folder):
    """JSON has no NaN and no infinity; Python's reader takes them, a browser's refuses the whole text."""
    (folder / "first" / "summary.json").write_text('{"valid": {"accuracy": NaN}, "seconds": {"total": Infinity}}')
    config = folder / "first" / "config.toml"
    config.write_text(config.read_text().replace("seed = 0", "seed = 0\nweight_decay = nan"))

    def refuse(constant):
        raise AssertionError(constant)

    rows = json.loads(client.get("/api/runs").text, parse_constant=refuse)["runs"]
    assert {row["run"] for row in rows} == {"first", "deep/second"}


def test_a_run_has_the_verdict_of_its_report_and_one_without_steps_has_none(client, folder):
    expected = verdict_of(RunFolder(folder / "first"))
    found = client.get("/api/glance", params={"run": "first"}).json()
    assert (found["code"], found["title"]) == (expected.code, t(f"diagnosis.verdict_{expected.code}_title"))
    chinese = client.get("/api/glance", params={"run": "first"}, headers={"accept-language": "zh"}).json()
    assert chinese["text"] != found["text"] != ""
    assert set(client.get("/api/glance", params={"run": "deep/second"}).json().values()) == {""}

"""A training started from the page: a checked configuration, one argument a field, and no command of a visitor."""

import asyncio
import json
import shlex
import subprocess
import sys
import time
from dataclasses import fields

import pytest
from starlette.testclient import TestClient

from thalweg.errors import ThalwegError, UsageError
from thalweg.history.tail import HistoryTail
from thalweg.runs import TrainingConfig
from thalweg.server import build_app
from thalweg.server.asking import Form
from thalweg.server.folder import Folder
from thalweg.server.trainings import Trainings, form_facts


ORIGIN = "http://127.0.0.1"
GOOD = {"name": "new", "photos": "builtin", "recipe": "quick"}


@pytest.fixture
def trainings(folder):
    return Trainings(Folder(folder))


def arguments(trainings, **changes):
    return trainings.arguments(Form({**GOOD, **changes}))[1]


def test_a_form_becomes_the_command_that_a_terminal_takes(trainings, folder):
    found = arguments(
        trainings, options={"epochs": 2, "lr": 1e-5, "normalize": False, "schedule": "warmup(5%) > cosine"}
    )
    assert found == ["train", "--recipe=quick", f"--out={folder / 'new'}", "--epochs=2", "--lr=1e-05",
                     "--no-normalize", "--schedule=warmup(5%) > cosine", "--", "builtin"]  # fmt: skip
    command = trainings.command(Form({**GOOD, "options": {"lr": 1e-5}}))
    assert shlex.split(command)[0] == "thalweg"


def test_every_field_is_offered_but_those_that_name_files_or_make_many_runs(trainings):
    offered = {field["name"] for field in form_facts(trainings.sources())["fields"]}
    assert offered == {field.name for field in fields(TrainingConfig)} - {
        "classes",
        "fold",
        "folds",
        "smaller_sizes",
    }


@pytest.mark.parametrize("name", ["", "..", "../up", "/etc/x", "-x", "--out=/x", "a b", "a\n", "a/b", ".x", "x" * 65,
                                  "a.", "first", None, 7, "好"])  # fmt: skip
def test_a_name_is_a_new_folder_here_and_nothing_else(trainings, name):
    with pytest.raises(ThalwegError):
        arguments(trainings, name=name)


@pytest.mark.parametrize("photos", ["", "/", "/etc", "../..", "--resume", "builtin ", None, ["builtin"]])
def test_photos_are_one_of_the_list(trainings, photos):
    with pytest.raises(ThalwegError):
        arguments(trainings, photos=photos)


@pytest.mark.parametrize("options", [
    {"classes": "/etc/passwd"}, {"out": "/x"}, {"resume": "/x"}, {"__class__": 1}, {"lr": -1}, {"lr": "0.1"},
    {"lr": True}, {"epochs": 1.5}, {"epochs": 10**400}, {"seed": -1}, {"normalize": "yes"}, {"device": "; reboot"},
    {"model": "a\nb"}, {"model": 3}, {"schedule": "$(reboot)"}, {"loss": "none"}, {"budget": 0}, [], "x", {"lr": [1]},
    {"model": "x" * 201}, {"epochs": None, "budget": 1e400},
])  # fmt: skip
def test_options_are_fields_with_values_that_can_be_meant(trainings, options):
    with pytest.raises(ThalwegError):
        arguments(trainings, options=options)


def test_a_value_that_looks_like_an_option_stays_a_value(trainings):
    found = arguments(trainings, options={"model": "--resume=/x", "optimizer": "; touch /x #"})
    assert "--model=--resume=/x" in found
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", "train", "--json", *found[1:]], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"].startswith("errors.unknown_name")


def wait_for(what, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_it_starts_stops_and_goes_on(folder, striped):
    """From the form to rows on the disk; stopped, it has saved itself; resumed, it ends."""
    options = {"model": "resnet18-half", "epochs": 40, "batch_size": 16, "threads": 1, "precision": "fp32",
               "layout": "channels-last", "augment": "none"}  # fmt: skip
    with TestClient(build_app(folder, photos=[striped]), base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
        form = {**GOOD, "photos": str(striped), "options": options}
        assert client.post("/api/trainings", json=form).json()["run"] == "new"
        tail = HistoryTail(folder / "new" / "history" / "steps")
        wait_for(lambda: len(tail) > 3)
        assert client.post("/api/trainings/resume", json={"run": "new"}).status_code == 400
        assert client.post("/api/trainings/stop", json={"run": "new"}).status_code == 200
        started = wait_for(
            lambda: next((one for one in client.get("/api/runs").json()["trainings"] if not one["goes_on"]), None)
        )
        assert started["exit_code"] == 130
        assert f"--out={folder / 'new'}" in started["command"]
        summary = json.loads((folder / "new" / "summary.json").read_text())
        assert summary["stopped"] == "interrupted"
        assert client.post("/api/trainings/stop", json={"run": "new"}).status_code == 404
        stopped_at = len(tail)
        assert client.post("/api/trainings/resume", json={"run": "new"}).status_code == 200
        wait_for(lambda: len(tail) > stopped_at)
    # leaving the block ends the server, which ends the training: it has saved itself again
    summary = json.loads((folder / "new" / "summary.json").read_text())
    assert summary["stopped"] == "interrupted"
    assert summary["steps"] > stopped_at


def test_two_trainings_of_one_name_are_not_both_started(trainings, monkeypatch):
    """The folder is made seconds after the start; the second visitor comes before."""
    monkeypatch.setattr("thalweg.server.processes.sys.executable", "/bin/true")

    async def both():
        results = await asyncio.gather(*(trainings.start(Form(GOOD)) for _ in range(2)), return_exceptions=True)
        await trainings.end()
        return results

    results = asyncio.run(both())
    assert sum(isinstance(result, UsageError) for result in results) == 1

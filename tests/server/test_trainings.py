"""A training run started from the page: a checked configuration, one argument a field, and no shell."""

import asyncio
import json
import shlex
import subprocess
import sys
import time
from dataclasses import fields

import pytest
from starlette.testclient import TestClient

from thalweg.cli import train
from thalweg.errors import ThalwegError, UsageError
from thalweg.history.tail import HistoryTail
from thalweg.i18n import LANGUAGES, speaking
from thalweg.runs import TrainingConfig
from thalweg.server import build_app
from thalweg.server.diagnoses import Diagnoses
from thalweg.server.processes import Trainings, typed
from thalweg.server.request import Form, Service, Visit
from thalweg.server.routes.trainings import NOT_HERE, ROUTES, asked, form_facts
from thalweg.server.run_index import RunIndex


ORIGIN = "http://127.0.0.1"
GOOD = {"name": "new", "photos": "builtin", "recipe": "quick"}


@pytest.fixture
def service(folder):
    return Service(RunIndex(folder), Trainings(), Diagnoses(), None)


def arguments(service, **changes):
    return asked(service, Form({**GOOD, **changes}))[2]


def test_a_form_becomes_the_command_that_a_terminal_takes(service, folder):
    found = arguments(service, options={"epochs": 2, "lr": 1e-5, "normalize": False, "schedule": "warmup(5%) > cosine"})
    assert found == ["train", "--recipe=quick", f"--out={folder / 'new'}", "--epochs=2", "--lr=1e-05",
                     "--no-normalize", "--schedule=warmup(5%) > cosine", "--", "builtin"]  # fmt: skip
    assert shlex.split(typed(found))[:2] == ["thalweg", "train"]


@pytest.mark.parametrize("options", [
    {}, {"optimizer": "adam"}, {"optimizer": "adam", "lr": 0.1}, {"budget": "1h30m"}, {"budget": 60}, {"epochs": 3},
    {"model": "cnn"}, {"size": "64>96>128"}, {"size": 64}, {"normalize": False, "lr": 1e-5},
])  # fmt: skip
@pytest.mark.parametrize("recipe", ["quick", "standard"])
def test_the_page_plots_what_the_command_trains(client, command_runner, monkeypatch, recipe, options):
    """The command that the page shows, read by the command line, gives the configuration that the page shows."""
    answer = client.post("/api/trainings/command", json={**GOOD, "recipe": recipe, "options": options}).json()
    given = []
    monkeypatch.setattr(train, "begin", lambda _photos, config, _out, **_named: given.append(config))
    program, name, *arguments = shlex.split(answer["command"])
    assert (program, name) == ("thalweg", "train")
    result = command_runner(train, name)(*arguments)
    assert result.exit_code == 0, result.output
    assert answer["config"] == json.loads(json.dumps(given[0].to_dict()))


def test_another_optimizer_brings_its_own_rate(client):
    answer = client.post("/api/trainings/command", json={**GOOD, "options": {"optimizer": "adam"}}).json()
    assert answer["config"]["lr"] == 0.001


def test_every_field_is_offered_but_those_that_name_files_or_make_many_runs():
    offered = {field["name"] for field in form_facts([])["fields"]}
    assert offered == {field.name for field in fields(TrainingConfig)} - NOT_HERE - {"smaller_sizes"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_has_a_label_in_words(language):
    with speaking(language):
        labels = [field["label"] for field in form_facts([])["fields"]]
    assert len(set(labels)) == len(labels)
    assert not any(label.startswith("--") or "_" in label for label in labels)


@pytest.mark.parametrize("name", ["", "..", "../up", "/etc/x", "-x", "--out=/x", "a b", "a\n", "a/b", ".x", "x" * 65,
                                  "a.", "first", None, 7, "好"])  # fmt: skip
def test_a_name_is_a_new_folder_here_and_nothing_else(service, name):
    with pytest.raises(ThalwegError):
        arguments(service, name=name)


@pytest.mark.parametrize("photos", ["", "/", "/etc", "../..", "--resume", "builtin ", None, ["builtin"]])
def test_photos_are_one_of_the_list(service, photos):
    with pytest.raises(ThalwegError):
        arguments(service, photos=photos)


@pytest.mark.parametrize("options", [
    {"classes": "/etc/passwd"}, {"smaller_sizes": [64]}, {"out": "/x"}, {"resume": "/x"}, {"__class__": 1}, {"lr": -1},
    {"lr": "fast"},
    {"lr": True}, {"epochs": 1.5}, {"epochs": 10**400}, {"seed": -1}, {"normalize": "yes"}, {"device": "; reboot"},
    {"model": "a\nb"}, {"model": 3}, {"schedule": "$(reboot)"}, {"loss": "none"}, {"budget": 0}, [], "x", {"lr": [1]},
    {"model": "x" * 201}, {"epochs": None, "budget": 1e400},
])  # fmt: skip
def test_options_are_fields_with_valid_values(service, options):
    with pytest.raises(ThalwegError):
        arguments(service, options=options)


@pytest.mark.slow
def test_a_value_that_looks_like_an_option_stays_a_value(service):
    found = arguments(service, options={"model": "--resume=/x", "augment": "; touch /x #"})
    assert found[3:5] == ["--model=--resume=/x", "--augment=; touch /x #"]
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
        assert not started["failed"]  # it was stopped, and has saved itself
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


def test_two_runs_of_one_name_are_not_both_started(service, monkeypatch, run_async, tmp_path):
    """The folder is made seconds after the start; the second visitor comes before."""
    waiting = tmp_path / "waiting"  # a training that is still at work when the second visitor comes
    waiting.write_text("#!/bin/sh\nexec sleep 600\n")
    waiting.chmod(0o755)
    monkeypatch.setattr("thalweg.server.processes.sys.executable", str(waiting))
    start = next(entry.handler for entry in ROUTES if entry.path == "trainings")

    async def both():
        visits = (Visit(service, {}, json.dumps(GOOD).encode()) for _ in range(2))
        results = await asyncio.gather(*(start(visit) for visit in visits), return_exceptions=True)
        await service.trainings.end()
        return results

    results = run_async(both())
    assert sum(isinstance(result, UsageError) for result in results) == 1


@pytest.mark.parametrize(("most", "started"), [(1, 1), (2, 2), (3, 3)])
def test_one_training_at_a_time_unless_told_otherwise(monkeypatch, most, started, run_async):
    """The refusal names what is training and how to allow more; when that has ended, the next one starts."""
    trainings = Trainings() if most == 1 else Trainings(most)

    async def several():
        monkeypatch.setattr("thalweg.server.processes.launch", sleeping)
        results = await asyncio.gather(*(trainings.start(f"run{n}", []) for n in range(3)), return_exceptions=True)
        going = [one for one in results if not isinstance(one, BaseException)]
        await ended(going[0])
        going[0] = await trainings.start("later", [])
        for one in going:
            await ended(one)
        await trainings.end()
        return results

    results = run_async(several())
    refused = [str(one) for one in results if isinstance(one, UsageError)]
    assert len(refused) == 3 - started
    assert all("run0" in sentence and "--trainings" in sentence for sentence in refused)


async def ended(started):
    started.process.terminate()
    await started.process.wait()


async def sleeping(*_arguments, stderr):
    return await asyncio.create_subprocess_exec("sleep", "60", stdout=asyncio.subprocess.PIPE, stderr=stderr)

"""A diagnosis of the page is a process that reports its progress, and ends when nobody waits for it."""

import asyncio
import json
import os

import numpy as np
import pytest

from thalweg.diagnosis.landscape import Landscape
from thalweg.errors import UnknownNameError
from thalweg.figures.player.packing import unpack
from thalweg.i18n import speaking
from thalweg.runs import Run
from thalweg.server.diagnoses import Diagnoses
from thalweg.server.routes import landscape
from thalweg.server.routes.diagnosis import told


VERDICT = {
    "code": "lr_too_small",
    "confidence": None,
    "evidence": [{"name": "falling", "value": 0.001, "relation": "<", "threshold": 0.006}],
    "fixes": [{"code": "raise_rate", "values": {"lr": 0.001, "to": 0.01}}],
    "alternatives": [{"code": "saddle", "confidence": None}],
    "unchecked": ["batch"],
}
TRIAL = {
    "fix": {"code": "raise_rate", "values": {"lr": 0.001, "to": 0.01}},
    "yardstick": "loss",
    "steps": 30,
    "before": 2.3,
    "unchanged": 2.2,
    "changed": 1.1,
    "sooner": 3,
    "helped": True,
}
REPORT = {"stage": "curvature", "share": 0.25, "left": 12.0}


def python(*reports, then=""):
    """The command of a process that prints reports."""
    lines = "".join(f"print({json.dumps(report)!r}, flush=True)\n" for report in reports)
    return ("-c", f"import os, time\nprint('{{\"pid\": %d}}' % os.getpid(), flush=True)\n{lines}{then}")


async def until(ask, condition):
    for _ in range(1000):
        found = ask()
        if condition(found):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(found)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_progress_then_the_verdict_in_the_language_of_each_visitor(tmp_path, run_async):
    async def visit():
        diagnoses = Diagnoses(
            command=python(REPORT, then=f"time.sleep(0.1)\nprint({json.dumps({'verdict': VERDICT})!r})")
        )
        assert diagnoses.verdict("run", tmp_path)["state"] == "running"
        ask = lambda: diagnoses.verdict("run", tmp_path, waiting=True)  # noqa: E731 - asked again and again
        going = await until(ask, lambda found: "share" in found)
        assert going == {"state": "running", **REPORT}
        done = await until(ask, lambda found: found["state"] == "done")
        with speaking("en"):
            assert told(going)["stage"] == "measuring the curvature"
            assert told(done)["fixes"][0]["text"] == "Raise the learning rate from 0.001 to 0.01."
        with speaking("zh-CN"):
            assert "0.001" in told(done)["fixes"][0]["text"]
            assert told(done)["title"] != VERDICT["code"]
        assert diagnoses.verdict("run", tmp_path) == done, "an unchanged run is not diagnosed again"
        (tmp_path / "history").mkdir()
        (tmp_path / "history" / "steps").write_bytes(b"")
        assert diagnoses.verdict("run", tmp_path)["state"] == "running", "a run that has gone on is"
        await diagnoses.end()

    run_async(visit())


def test_nobody_waits_any_more(tmp_path, run_async):
    async def visit():
        diagnoses = Diagnoses(patience=0.2, command=python(then="time.sleep(600)"))
        diagnoses.verdict("run", tmp_path)
        going = await until(lambda: diagnoses.verdict("run", tmp_path, waiting=True), lambda found: "pid" in found)
        assert is_alive(going["pid"])
        for _ in range(1000):  # nobody asks
            await asyncio.sleep(0.02)
            if not is_alive(going["pid"]):
                break
        assert not is_alive(going["pid"])
        await until(lambda: diagnoses.verdict("run", tmp_path, waiting=True), lambda found: found["state"] == "none")
        await diagnoses.end()

    run_async(visit())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (python({"message": "its photos have changed"}), "its photos have changed"),
        (python(then="raise SystemExit(3)"), "thalweg diagnose RUN"),
        (("-c", "print('no JSON'); print([1])"), "thalweg diagnose RUN"),
    ],
)
def test_it_ends_without_a_verdict(tmp_path, command, message, run_async):
    async def visit():
        diagnoses = Diagnoses(command=command)
        diagnoses.verdict("run", tmp_path)
        ask = lambda: diagnoses.verdict("run", tmp_path, waiting=True)  # noqa: E731 - asked again and again
        failed = await until(ask, lambda found: found["state"] != "running")
        assert failed["state"] == "failed"
        assert message in failed["message"]
        await diagnoses.end()

    with speaking("en"):
        run_async(visit())


def test_a_trial_is_told_again_in_words(tmp_path, run_async):
    async def visit():
        diagnoses = Diagnoses(command=python({"trial": TRIAL}))
        assert diagnoses.trial("run") == {"state": "none"}
        assert diagnoses.start_trial("run", tmp_path, "raise_rate")["fix"] == "raise_rate"
        return await until(lambda: diagnoses.trial("run"), lambda found: found["state"] == "done")

    with speaking("en"):
        text = told(run_async(visit()))["text"]
        assert "Raise the learning rate from 0.001 to 0.01." in text
        assert "it helped" in text


def test_the_server_ends_them(tmp_path, run_async):
    async def visit():
        diagnoses = Diagnoses(command=python(then="time.sleep(600)"))
        diagnoses.verdict("run", tmp_path)
        going = await until(lambda: diagnoses.verdict("run", tmp_path, waiting=True), lambda found: "pid" in found)
        await diagnoses.end()
        assert not is_alive(going["pid"])

    run_async(visit())


def test_a_landscape_is_computed_once_for_each_plane_and_shown_in_the_visitors_language(tmp_path, run_async):
    along = np.linspace(-1, 1, 3)
    found = Landscape("random", along, along, np.array([[np.inf, 1, 1], [1, 0.5, 1], [1, 1, np.nan]]), 0.5, 10, 4, 0)

    async def visit():
        diagnoses = Diagnoses(command=python(REPORT, {"landscape": found.to_dict()}, then="time.sleep(0.1)"))
        ask = lambda: diagnoses.landscape("run", tmp_path, "random")  # noqa: E731 - asked again and again
        assert ask()["state"] == "running"
        done = await until(ask, lambda answer: answer["state"] == "done")
        assert ask() == done, "it is known"
        assert diagnoses.landscape("run", tmp_path, "trajectory", waiting=True) == {"state": "none"}
        await diagnoses.end()
        return done["landscape"]

    values = run_async(visit())
    for language, label in (("en", "the network"), ("zh-CN", "网络本身")):
        with speaking(language):
            answer = landscape.shown(values, "run", squared_error=False)
        scene = answer["scene"]
        assert scene["series"][0]["label"] == label
        heights = unpack(scene["block"], scene["slots"])["heights"]
        assert heights.tolist() == [65535, 65535, 65535, 65535, 0, 65535, 65535, 65535, 65535]
        assert 'id="landscape-player"' in answer["stage_html"]


def test_a_run_shows_its_own_plane_where_its_epochs_were_saved(folder):
    run = Run.open(folder / "first")
    assert landscape.plane_of(run, "") == "random"
    for epoch in (0, 1, 2):
        path = run.checkpoint(epoch)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert landscape.plane_of(run, "") == "trajectory"
    assert landscape.plane_of(run, "random") == "random"
    with pytest.raises(UnknownNameError):
        landscape.plane_of(run, "flat")

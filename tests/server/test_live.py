"""Increments: every row once, in order, exact; all again after a cut."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from thalweg.history import HistoryLog
from thalweg.history.tail import HistoryTail
from thalweg.i18n import LANGUAGES, speaking, t
from thalweg.runs.run import STEP_UNITS
from thalweg.server.frames import frame, read_frame
from thalweg.server.live import Feed


@pytest.fixture
def log(tmp_path):
    with HistoryLog(tmp_path / "steps", STEP_UNITS) as found:
        yield found


def gather(news, kept):
    """Do what the page does with a frame."""
    header, arrays = read_frame(news)
    rows = np.stack([arrays[name] for name in header["columns"]], axis=1)
    return np.concatenate([kept[: header["first"]], rows])


def test_a_frame_carries_every_number_exactly():
    random = np.random.default_rng(0)
    arrays = {"f8": random.normal(size=5), "u1": np.arange(3, dtype=np.uint8), "f4": np.float32([np.nan, np.inf])}
    header, found = read_frame(frame({"损失": 1}, arrays))
    assert header == {"损失": 1}
    for name, array in arrays.items():
        assert found[name].tobytes() == array.tobytes()
        assert found[name].dtype == array.dtype


def test_a_frame_refuses_what_the_page_cannot_read():
    with pytest.raises(TypeError, match="int64"):
        frame({}, {"steps": np.arange(3)})


class TestTail:
    def test_it_waits_for_a_file(self, tmp_path):
        tail = HistoryTail(tmp_path / "none")
        assert (len(tail), tail.columns, tail.last()) == (0, [], None)
        assert tail.rows(0).shape == (0, 0)

    def test_a_torn_row_is_left_out(self, log, step_rows):
        log.extend(step_rows(3))
        with log.path.open("ab") as file:
            file.write(b"12345")
        assert len(HistoryTail(log.path)) == 3
        np.testing.assert_array_equal(HistoryTail(log.path).rows(1), step_rows(3)[1:])

    def test_it_agrees_with_the_whole_reading(self, log, step_rows):
        log.extend(step_rows(50))
        tail = HistoryTail(log.path)
        for first in (0, 1, 49, 50, 60):
            np.testing.assert_array_equal(tail.rows(first), HistoryLog.read(log.path).rows_NC[first:])
        assert tail.last() == dict(zip(STEP_UNITS, step_rows(50)[-1], strict=True))


class TestFeed:
    def test_every_row_comes_once(self, log, step_rows):
        feed, kept = Feed("run", "steps", HistoryTail(log.path)), np.empty((0, len(STEP_UNITS)))
        for count, first in ((7, 0), (1, 7), (200, 8)):
            log.extend(step_rows(count, first))
            kept = gather(feed.news(), kept)
            assert feed.news() is None
        np.testing.assert_array_equal(kept, step_rows(208))

    def test_who_has_some_gets_the_rest(self, log, step_rows):
        log.extend(step_rows(10))
        header, arrays = read_frame(Feed("run", "steps", HistoryTail(log.path), 4).news())
        assert header["first"] == 4
        np.testing.assert_array_equal(arrays["step"], np.arange(5.0, 11.0))

    @pytest.mark.parametrize("again", [0, 3, 6, 20])
    def test_a_cut_gives_all_again(self, log, step_rows, again):
        """A resumed training cuts what came after its checkpoint, and writes other rows, fewer or more."""
        log.extend(step_rows(10))
        feed = Feed("run", "steps", HistoryTail(log.path))
        kept = gather(feed.news(), np.empty((0, len(STEP_UNITS))))
        log.cut_after(4)
        other = step_rows(again, 4) * [1, 1, 2, 2, 1, 1, 1]
        log.extend(other)
        kept = gather(feed.news(), kept)
        np.testing.assert_array_equal(kept, np.concatenate([step_rows(4), other]))

    def test_its_rate_is_photos_over_the_time_between_writings(self, log, step_rows, monkeypatch):
        written = iter([100.0, 104.0])
        monkeypatch.setattr("thalweg.server.live.changed", lambda _path: next(written))
        feed = Feed("run", "steps", HistoryTail(log.path), batch=64)
        log.extend(step_rows(5))
        assert read_frame(feed.news())[0]["photos_per_second"] is None
        log.extend(step_rows(8, 5))
        assert read_frame(feed.news())[0]["photos_per_second"] == 64 * 8 / 4


class TestSocket:
    def test_it_lists_then_follows(self, client, folder, step_rows):
        with client.websocket_connect("ws://127.0.0.1/api/live", headers={"origin": "http://127.0.0.1"}) as socket:
            assert {run["run"] for run in socket.receive_json()["runs"]} == {"first", "deep/second"}
            socket.send_json({"follow": {"first": {"steps": 60}}})
            header, arrays = read_frame(socket.receive_bytes())
            assert (header["stream"], header["first"]) == ("steps", 60)
            np.testing.assert_array_equal(arrays["loss"], step_rows(100)[60:, 2])
            assert read_frame(socket.receive_bytes())[0]["stream"] == "epochs"
            with HistoryLog(folder / "first" / "history" / "steps", STEP_UNITS) as log:
                log.extend(step_rows(5, 100))
            while True:
                message = socket.receive()
                if message.get("bytes"):
                    break
            np.testing.assert_array_equal(read_frame(message["bytes"])[1]["step"], np.arange(101.0, 106.0))

    def test_asking_gives_the_same_bytes(self, client, step_rows):
        answer = client.get("/api/rows", params={"run": "first", "stream": "steps", "since": 90})
        _, arrays = read_frame(answer.content)
        np.testing.assert_array_equal(arrays["gradient_norm"], step_rows(100)[90:, 3])

    @pytest.mark.parametrize(
        "message", ["", "[", "[]", "{}", '{"follow": 1}', '{"follow": {"first": {"steps": -1}}}', "x" * 5000]
    )
    def test_nonsense_is_answered_with_a_sentence(self, client, message):
        with client.websocket_connect("ws://127.0.0.1/api/live", headers={"origin": "http://127.0.0.1"}) as socket:
            socket.receive_json()
            socket.send_text(message)
            assert socket.receive_json()["error"]["message"]
            socket.send_json({"follow": {"first": {}}})
            assert socket.receive_bytes()

    def test_a_run_that_is_not_there_yet_holds_up_no_other(self, client):
        with client.websocket_connect("ws://127.0.0.1/api/live", headers={"origin": "http://127.0.0.1"}) as socket:
            socket.receive_json()
            socket.send_json({"follow": {"none": {}, "first": {}}})
            assert read_frame(socket.receive_bytes())[0]["run"] == "first"


def test_the_table_says_what_the_histories_say(client):
    runs = {run["run"]: run for run in client.get("/api/runs").json()["runs"]}
    first, second = runs["first"], runs["deep/second"]
    assert (first["steps"], first["epoch"], first["best"], first["seconds"]) == (100, 2.0, 0.75, 20.0)
    assert first["last_loss"] == pytest.approx(0.023)
    assert (second["steps"], second["best"], second["state"]) == (0, None, "stopped")


def test_a_broken_run_is_listed_with_its_reason(client, folder):
    (folder / "broken").mkdir()
    (folder / "broken" / "config.toml").write_text("format = 1\n[training]\nlr = -1\n[data]\n[environment]\n")
    (folder / "broken" / "summary.json").write_text("[")
    row = next(run for run in client.get("/api/runs").json()["runs"] if run["run"] == "broken")
    assert "--lr" in row["broken"]


def test_a_run_that_somebody_holds_is_training_however_long_it_writes_nothing(client, folder, monkeypatch):
    states = lambda: {run["run"]: run["state"] for run in client.get("/api/runs").json()["runs"]}  # noqa: E731 - short
    monkeypatch.setattr("thalweg.server.folder._FRESH", 0.0)
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
    assert {run["run"] for run in client.get("/api/runs").json()["runs"]} == {"first", "deep/second"}


def test_a_row_is_read_again_when_its_files_change(client, folder, step_rows, monkeypatch):
    monkeypatch.setattr("thalweg.server.folder._FRESH", 0.0)
    client.get("/api/runs")
    with HistoryLog(folder / "first" / "history" / "steps", STEP_UNITS) as log:
        log.extend(step_rows(5, 100))
    runs = {run["run"]: run for run in client.get("/api/runs").json()["runs"]}
    assert runs["first"]["steps"] == 105


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stopped", ["done", "budget", "patience", "interrupted", "nan", "stopped", "training"])
def test_every_end_of_a_training_has_words(language, stopped):
    with speaking(language):
        assert t(f"page.state_{stopped}")

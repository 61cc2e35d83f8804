"""New rows: each once, in order, exact; all again after a cut."""

import numpy as np
import pytest

from thalweg.history import HistoryLog
from thalweg.history.overview import Overview
from thalweg.history.tail import HistoryTail
from thalweg.runs.files import STEP_UNITS
from thalweg.server.answers import frame, read_frame
from thalweg.server.websocket import Feed


@pytest.fixture
def log(tmp_path):
    with HistoryLog(tmp_path / "steps", STEP_UNITS) as found:
        yield found


def gather(news, kept):
    """Add a frame as the page does."""
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

    @pytest.mark.parametrize("stream", ["steps", "processes"])
    def test_rows_that_come_while_it_reads_come_once(self, log, step_rows, stream):
        written = 0

        class Growing(HistoryTail):
            def __len__(self):
                nonlocal written
                log.extend(step_rows(5, written))
                written += 5
                return super().__len__()

        feed, kept = Feed("run", stream, Growing(log.path)), np.empty((0, len(STEP_UNITS)))
        for _ in range(20):
            news = feed.news()
            assert read_frame(news)[0]["first"] == len(kept)
            kept = gather(news, kept)
        np.testing.assert_array_equal(kept, step_rows(len(kept)))

    def test_its_rate_is_photos_over_the_time_between_writings(self, log, step_rows, monkeypatch):
        written = iter([100.0, 104.0])
        monkeypatch.setattr("thalweg.server.websocket.changed", lambda _path: next(written))
        feed = Feed("run", "steps", HistoryTail(log.path), batch=64)
        log.extend(step_rows(5))
        assert read_frame(feed.news())[0]["photos_per_second"] is None
        log.extend(step_rows(8, 5))
        assert read_frame(feed.news())[0]["photos_per_second"] == 64 * 8 / 4

    def test_a_long_history_comes_as_extremes_and_a_part_of_it_in_detail(self, log, step_rows):
        """While it grows, what was sent stays right: the page ends with what one reading gives."""
        feed, kept = Feed("run", "steps", HistoryTail(log.path)), np.empty((0, len(STEP_UNITS)))
        details = []
        for count, first in ((30_000, 0), (2_700, 30_000), (100, 32_700), (5, 32_800), (30_000, 32_805)):
            log.extend(step_rows(count, first))
            news = feed.news()
            details.append(read_frame(news)[0]["per"])
            kept = gather(news, kept)
        assert details == [1, 1, 16, 16, 16]
        np.testing.assert_array_equal(kept, Overview(HistoryTail(log.path)).whole().rows_NC)
        header, _ = read_frame(Feed("run", "steps", HistoryTail(log.path), 32_700).news())
        assert (header["first"], header["per"]) == (0, 16)  # what was known had another detail
        log.extend(step_rows(3, 62_805))
        header, arrays = read_frame(Feed("run", "steps", HistoryTail(log.path), len(kept), per=16).news())
        assert (header["first"], len(arrays["step"])) == (2 * (62_805 // 16), 2)

    def test_a_cut_while_it_is_read_ends_no_socket(self, log, step_rows, monkeypatch):
        log.extend(step_rows(20))
        tail = HistoryTail(log.path)
        feed, rows = Feed("run", "steps", tail), tail.rows

        def cut_before_the_last_row_is_read(first, most=None):
            if most == 1:
                log.cut_after(5)
            return rows(first, most)

        monkeypatch.setattr(tail, "rows", cut_before_the_last_row_is_read)
        kept = gather(feed.news(), np.empty((0, len(STEP_UNITS))))
        log.extend(step_rows(2, 5))
        np.testing.assert_array_equal(gather(feed.news(), kept), step_rows(7))

    def test_a_page_that_asks_again_gets_the_pair_anew_that_was_growing(self, log, step_rows):
        log.extend(step_rows(40_005))  # five rows of a block
        kept = gather(Feed("run", "steps", HistoryTail(log.path)).news(), np.empty((0, len(STEP_UNITS))))
        log.extend(step_rows(35, 40_005))
        kept = gather(Feed("run", "steps", HistoryTail(log.path), len(kept), per=16).news(), kept)
        np.testing.assert_array_equal(kept, Overview(HistoryTail(log.path)).whole().rows_NC)


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

    def test_a_part_between_two_steps_is_answered(self, client, step_rows):
        asked = {"run": "first", "stream": "steps", "low": 20, "high": 30}
        header, arrays = read_frame(client.get("/api/rows", params=asked).content)
        assert header["per"] == 1
        first, last = (int(arrays["step"][at]) for at in (0, -1))
        assert first <= 20
        assert last >= 30
        np.testing.assert_array_equal(arrays["loss"], step_rows(100)[first - 1 : last, 2])

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

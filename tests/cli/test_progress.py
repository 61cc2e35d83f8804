"""Long commands: what they are doing, how much is done, how long the rest takes; tables that fit."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from thalweg.cli._output import print_table
from thalweg.cli._progress import _Live, _PlainWork, say_result, working
from thalweg.cli.predict import predict
from thalweg.errors import DataError
from thalweg.i18n import percent, set_language
from thalweg.training.progress import Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def _english():
    set_language("en")
    yield
    set_language(None)


def test_the_time_left_is_that_of_the_pace_so_far():
    clock = Clock()
    pace = Pace(clock)
    pace.report(0, 50)
    assert (pace.share, pace.seconds_left()) == (0.0, None)
    clock.now += 10
    pace.report(20, 50)
    assert (pace.share, pace.seconds_left()) == (0.4, 15.0)
    clock.now += 5  # nothing is reported: the time goes on
    assert pace.seconds_left() == 10.0
    clock.now += 60
    assert pace.seconds_left() == 0.0
    pace.report(0, 30)  # other work
    clock.now += 2
    pace.report(10, 30)
    assert pace.seconds_left() == 4.0


@pytest.mark.parametrize(("language", "first", "later"), [
    ("en", "computing the loss at each point ...", "computing the loss at each point  50%  0:12 left"),
    ("zh-CN", "计算各点的损失……", "计算各点的损失  50%  还剩 0:12"),
])  # fmt: skip
def test_a_line_for_each_stage_and_every_ten_seconds(capsys, language, first, later):
    set_language(language)
    clock = Clock()
    work = _PlainWork(clock)
    for done in range(13):
        work.working("points", done, 24)
        clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"  {first}", f"  {later.replace('50%', '46%').replace('0:12', '0:13')}"]


def test_without_a_terminal_work_is_named_before_it_begins(capsys):
    with working("opening") as listener:
        assert capsys.readouterr().err == "  opening the run ...\n"
        listener.note("landscape.begins", points=25, examples=256, seconds=41.0)
    captured = capsys.readouterr()
    assert captured.err == "25 × 25 points, 256 examples each: about 41 s.\n"
    assert captured.out == ""


WIDE = ["network", "precision", "layout", "trained/s", "evaluated/s", "data", "step", "evaluation", "of matmul"]
ROW = ["resnet18-half", "bf16", "channels-last", "1,234.5", "5,678.9", "1.2%", "88.5%", "10.3%", "52%"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_breaks_no_word(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(WIDE, [ROW, ROW], title="32 px, /a/long/path/that/would/break/at/eighty/columns/if/it/were/wrapped.jpg")
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].endswith("wrapped.jpg")
    words = printed.split()
    assert all(words.count(cell) == 2 for cell in ROW)
    assert max(len(line) for line in printed.splitlines()[1:]) <= width


def test_halves_are_rounded_up_everywhere():
    """0.8125 of 80 photos is 81.3 % on the page; Python's own rounding makes it 81.2 %."""
    assert percent(0.8125) == "81.3%"
    assert [percent(share) for share in (0.1, 0.105, 0.2845, 0.5, 1.0)] == [
        "10.0%",
        "10.5%",
        "28.5%",
        "50.0%",
        "100.0%",
    ]
    assert percent(0.28125, 2) == "28.13%"
    assert percent(float("nan")) == "nan%"


def test_the_times_of_a_run_add_up(capsys):
    class Done:
        path = Path("runs/pets")

        def summary(self):
            seconds = {"preparing": 61.0, "data": 2.0, "training": 100.0, "evaluation": 7.0, "total": 175.0}
            result = {"accuracy": 0.8125, "count": 80, "loss": 0.5}
            return {"stopped": "done", "epochs": 3, "steps": 9, "kept_epoch": 3, "seconds": seconds, "valid": result}

    say_result(Done())
    printed = capsys.readouterr().out
    assert "2:55 (preparing 1:01, training 1:40, batches 0:02, evaluation 0:07, rest 0:05)" in printed
    assert "81.25%" in printed


@pytest.mark.parametrize(
    ("language", "listing", "comparing"), [("en", "listing", "equal size"), ("zh-CN", "列出", "大小相同")]
)
def test_a_listing_counts_files_and_then_those_compared(language, listing, comparing):
    set_language(language)
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with Progress(BarColumn(bar_width=8), TextColumn("{task.fields[numbers]}"), console=console) as bars:
        live = _Live(bars)
        (task,) = bars.tasks
        live.listing(10_000, 0)
        assert task.visible
        assert listing in task.fields["numbers"]
        assert task.fields["numbers"].endswith("  10,000")
        live.listing(10_000, 10_000)
        assert not task.visible
        live.listing(16, 600)
        assert task.visible
        assert comparing in task.fields["numbers"]
        assert task.fields["numbers"].endswith("  16 / 600")


@pytest.mark.parametrize(("language", "lines"), [
    ("en", ["  listing files  10,000", "  comparing files of equal size ..."]),
    ("zh-CN", ["  列出文件  10,000", "  比较大小相同的文件……"]),
])  # fmt: skip
def test_work_that_lists_files_says_how_many(capsys, language, lines):
    set_language(language)
    work = _PlainWork(Clock())
    for report in ((10_000, 0), (20_000, 0), (25_000, 25_000), (0, 600), (600, 600)):
        work.listing(*report)
    assert capsys.readouterr().err.splitlines() == lines


def test_predictions_report_the_listing_of_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("thalweg.data.walking._AT_ONCE", 2)
    for number in range(5):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(DataError):
        predict([str(tmp_path / "run"), str(tmp_path)])
    assert "listing files  5" in capsys.readouterr().err

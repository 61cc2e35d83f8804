"""The live display: seldom enough, always with a last frame, and only where a notebook runs."""

import re
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

from made import ENVIRONMENT, facts
from thalweg import _notebook
from thalweg.errors import TrainingError
from thalweg.history import History
from thalweg.notebooks.live import Live
from thalweg.runs import Run, SettledConfig
from thalweg.runs.files import EPOCH_UNITS, STEP_UNITS
from thalweg.training.printing import Printer, heard
from thalweg.training.progress import Listener, Progress


class Time:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now


class Shown:
    """An output that keeps its frames, each of which takes a while to show."""

    def __init__(self, clock, takes=0.0):
        self.frames, self.clock, self.takes = [], clock, takes

    def show(self, html, text):
        self.clock.now += self.takes
        self.frames.append((self.clock.now, html, text))

    @property
    def last(self):
        return self.frames[-1][1]


def report(step, loss=1.0):
    return Progress(step / 1000, step, step / 100, loss, 0.5, 1.0, 1e-3, 100.0, step / 10, 60.0)


def begun(tmp_path, takes=0.0, **config):
    clock = Time()
    output = Shown(clock, takes)
    live = Live(output, clock)
    run = Run(tmp_path / "<i>run", SettledConfig(**config), facts(["a", "b"]), ENVIRONMENT)
    live.started(run.path, {"run": Plain(run), "resumed_at": 0})
    return live, output, clock, run


class Plain:
    """A run with the histories of some steps."""

    def __init__(self, run, steps=0):
        self.config, self.path, self.count = run.config, run.path, steps

    def steps(self):
        return filled(STEP_UNITS, self.count)

    def epochs(self):
        return filled(EPOCH_UNITS, self.count // 10)


def filled(units, rows):
    history = History(units)
    for number in range(1, rows + 1):
        history.append(**dict.fromkeys(units, number))
    return history


def row(epoch):
    return {
        "epoch": epoch, "train_loss": 1.0, "train_accuracy": 0.5, "valid_loss": 1.1, "valid_accuracy": 0.4, "seconds": 9
    }  # fmt: skip


@pytest.mark.parametrize(("takes", "most"), [(0.0, 21), (0.004, 21), (0.02, 6), (0.1, 2)])
def test_frames_come_at_most_twice_a_second_and_take_at_most_a_hundredth_of_the_time(tmp_path, takes, most):
    live, output, clock, _ = begun(tmp_path, takes)
    begin, first = clock.now, len(output.frames)
    while clock.now < begin + 10:
        live.progressed(report(int(clock.now)))
        clock.now += 0.05
    frames = output.frames[first:]
    assert 1 <= len(frames) <= most
    times = [when for when, _, _ in frames]
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(times))


def test_the_last_frame_says_how_it_ended_however_soon(tmp_path):
    live, output, _, run = begun(tmp_path)
    live.progressed(report(7))
    live.epoch_ended(row(1))
    result = {"accuracy": 0.25, "count": 120, "loss": None}
    live.ended(Plain(run, 20), {"stopped": "done", "steps": 9, "kept_epoch": 1, "valid": result, "test": None})
    assert "The run is complete." in output.last
    assert "25.00%" in output.last
    assert output.last.count("<svg") == 2
    assert "&lt;i&gt;run" in output.last
    assert 'class="bar"' not in output.last


def test_many_classes_have_a_line_of_top5_from_the_first_epoch_that_knows_it(tmp_path):
    live, output, clock, _ = begun(tmp_path)
    live.epoch_ended(row(1))  # as 0.1.0 wrote it
    clock.now += 1
    live.progressed(report(150))
    assert "top-5" not in output.last
    live.epoch_ended({**row(2), "valid_top5": 0.75})
    clock.now += 1
    live.progressed(report(250))
    line = output.last.split("validation, top-5")
    assert len(line) > 1


@pytest.mark.parametrize("name", ["run", "<script>x</script>"])
def test_an_interrupted_run_says_how_to_go_on(tmp_path, name):
    live, output, _, run = begun(tmp_path)
    run = Run(tmp_path / name, run.config, run.data, run.environment)
    live.ended(Plain(run), {"stopped": "interrupted", "steps": 1234})
    assert "Interrupted after step 1,234; everything is saved." in output.last
    assert "thalweg.resume(" in output.last
    assert "<script" not in output.last


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "The run has its last checkpoint"),
        (TrainingError("training.weights_not_finite", step=3, run="<b>"), "Stopped: "),
        (ValueError("<script>"), "Stopped: &lt;script&gt;"),
    ],
)
def test_an_error_leaves_a_last_frame_that_says_so(tmp_path, error, said):
    live, output, _, _ = begun(tmp_path)
    live.progressed(report(3))
    live.close(error)
    assert said in output.last


def test_runs_one_after_the_other_all_keep_their_charts(tmp_path):
    live, output, clock, run = begun(tmp_path)
    for fold in range(3):
        live.note("training.fold", fold=fold + 1, folds=3)
        live.started(run.path / str(fold), {"run": Plain(run), "resumed_at": 0})
        live.progressed(report(5))
        live.epoch_ended(row(1))
        clock.now += 1
        live.ended(Plain(run, 5), {"stopped": "interrupted", "steps": 5})
    assert output.last.count("<svg") == 2 * 3
    assert output.last.count("<style") == 1
    assert output.last.count("<li>Fold") == 3


def test_work_without_a_training_ends_as_done(tmp_path):
    clock = Time()
    output = Shown(clock)
    live = Live(output, clock)
    for done in range(1000):
        live.caching(done, 1000)
        clock.now += 0.01
    assert re.search(r"decoding photos +9\d%  0:0[01] left", output.last)
    live.close()
    assert "Done." in output.last
    assert "decoding" not in output.last


def test_a_listing_counts_files(tmp_path):
    clock = Time()
    output = Shown(clock)
    live = Live(output, clock)
    for report in ((10_000, 0), (20_000, 0), (20_000, 20_000)):
        live.listing(*report)
        clock.now += 1
    assert "listing files  20,000" in output.last


def test_a_notebook_that_is_gone_does_not_end_the_training(tmp_path):
    live, output, clock, run = begun(tmp_path)
    shown = len(output.frames)
    output.frames = None  # `show` fails from now on
    for step in range(3):
        clock.now += 1
        live.progressed(report(step))
    live.ended(Plain(run, 5), {"stopped": "interrupted", "steps": 5})
    live.close()
    assert shown


def test_a_refusal_at_the_start_shows_nothing():
    clock = Time()
    output = Shown(clock)
    Live(output, clock).close(ValueError("refused"))
    assert not output.frames


def test_a_long_training_stays_small(tmp_path):
    live, output, clock, _ = begun(tmp_path)
    for step in range(4_000):
        live.progressed(report(step, loss=1 + (step == 3_000)))
    clock.now += 10
    live.progressed(report(4_000))
    assert len(output.last) < 40_000


def test_a_notebook_gets_a_chart_by_itself_a_program_gets_nothing_and_a_prompt_gets_lines(monkeypatch):
    displayed = []
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    kinds = {}
    with heard(None) as listener:
        kinds["program"] = type(listener)
    with heard(None, True) as listener:
        kinds["asked"] = type(listener)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with heard(None) as listener:
        kinds["prompt"] = type(listener)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    display = SimpleNamespace(display=lambda content, **_: displayed.append(content) or Handle(displayed))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with heard(None, False) as listener:
        kinds["silent"] = type(listener)
    with heard(None) as listener:
        kinds["notebook"] = type(listener)
        listener.note("training.drawing")
    assert kinds == {"program": Listener, "asked": Printer, "prompt": Printer, "silent": Listener, "notebook": Live}
    assert [sorted(content) for content in displayed] == [["text/html", "text/plain"]] * 2, "one, then it is replaced"


class Handle:
    """IPython's handle of an output."""

    def __init__(self, displayed):
        self._displayed = displayed

    def update(self, content, **_):
        self._displayed.append(content)


def test_marimo_shows_it_in_its_own_way(monkeypatch):
    replaced = []
    marimo = SimpleNamespace(
        running_in_notebook=lambda: True, Html=lambda text: text, output=SimpleNamespace(replace=replaced.append)
    )
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    assert _notebook.place() == "marimo"
    with heard(None) as listener:
        listener.note("training.drawing")
    assert len(replaced) == 2
    assert "Drawing the pictures" in replaced[-1]

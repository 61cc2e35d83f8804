"""The progress of a diagnosis: its stages come in the order that the estimate of the time expects."""

import io
import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.measures.collect import ask
from thalweg.diagnosis.stages import STAGES, in_stages
from thalweg.diagnosis.verdict import unchecked_text
from thalweg.i18n import LANGUAGES, set_language, t
from thalweg.probes.batches import Batch
from thalweg.training.printing import heard_if_long
from thalweg.training.progress import Listener


class Notebook(Listener):
    """Writes down what it hears."""

    def __init__(self):
        self.heard = []

    def working(self, stage, done, total):
        self.heard.append((stage, done / total))


def test_no_stage_comes_twice_and_none_takes_back_what_is_done():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 3))
    batches = [Batch(torch.randn(24, 6), torch.arange(24) % 3) for _ in range(2)]
    notebook = Notebook()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    progress = in_stages(notebook, try_fix=False)
    known = {"steps": 50.0, "loss_first": 1.2, "loss_last": 1.1, "lr_last": 0.1}
    ask(model, optimizer, cross_entropy, batches, known, seconds=2.0, progress=progress)
    stages = list(dict.fromkeys(stage for stage, _ in notebook.heard))
    assert stages == [stage for stage in STAGES if stage != "trial"]
    shares = [share for _, share in notebook.heard]
    assert shares == sorted(shares)
    for language in LANGUAGES:
        set_language(language)
        assert all(t(f"training.stage_{stage}") for stage in STAGES)
        assert all(unchecked_text(stage) for stage in STAGES if stage != "trial")


class Clock:
    """Says what it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_slow_network_is_as_far_as_its_seconds_are():
    notebook, clock = Notebook(), Clock()
    progress = in_stages(notebook, try_fix=False, seconds=10.0, clock=clock)
    clock.now = 4.0
    progress("floor", 0, 1)
    clock.now = 12.0
    progress("short_runs", 1, 2)
    assert [share for _, share in notebook.heard] == [0.4, 1.0]


class Terminal(io.StringIO):
    """Keeps what is written to it."""

    def isatty(self):
        return True


def test_a_terminal_shows_a_diagnosis_that_takes_longer_than_a_second(monkeypatch):
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    set_language("en")
    with heard_if_long(None, clock) as told:
        told.working("batch", 0, 10)
        assert terminal.getvalue() == ""
        clock.now = 1.5
        told.working("curvature", 2, 10)
        told.working("short_runs", 3, 10)
    assert t("training.stage_short_runs") in terminal.getvalue()
    assert terminal.getvalue().rstrip("\x1b[?25h").endswith("\x1b[2K")  # the line is gone


def test_a_program_without_a_terminal_prints_nothing_and_a_listener_hears_all(monkeypatch, capsys):
    with heard_if_long(None) as told:
        told.working("batch", 0, 10)
    assert capsys.readouterr() == ("", "")
    notebook = Notebook()
    with heard_if_long(notebook) as told:
        told.working("batch", 1, 10)
    assert notebook.heard == [("batch", 0.1)]

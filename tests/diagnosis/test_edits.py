"""Where the program tells it, a fix names the line and what to type there."""

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import softmax

import thalweg
from thalweg.diagnosis import diagnose_folder, judge
from thalweg.diagnosis.edits import Edits
from thalweg.diagnosis.source import Place, Program
from thalweg.diagnosis.verdict import Fix
from thalweg.i18n import LANGUAGES, speaking


LOOP = """
import torch, thalweg
from torch.nn.functional import cross_entropy

def train(net, x, y, steps=3):
    opt = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)
    with thalweg.watch(net, opt) as watching:
        for _ in range(steps):
            BEGIN
            loss = cross_entropy(net(x), y)
            loss.backward()
            END
            watching.step(loss)
    return watching
"""
BEGIN, END = "opt.zero_grad()", "opt.step()"


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def watched(folder, *, begin=BEGIN, end=END, text=LOOP, model=None):
    """The watch of a program in a file."""
    file = folder / "train.py"
    file.write_text(text.replace("BEGIN", begin).replace("END", end))
    names = {"__name__": "train"}
    exec(compile(file.read_text(), str(file), "exec"), names)  # noqa: S102 - a program of this test
    torch.manual_seed(0)
    return names["train"](model or network(), torch.randn(12, 4), torch.arange(12) % 3)


def first_line(watch, measures):
    verdict = watch._judged({"steps": 100.0} | measures, [])
    return verdict.fixes[0].line


NO_GAIN = {"left": 1.0, "falling": 0.0, "gain_same": 1e-6, "gain_tenfold": 1e-3, "lr_last": 1e-6, "update_ratio": 1e-7}


@pytest.mark.parametrize(
    ("program", "measures", "line"),
    [
        ({"end": "pass"}, {"stepped": 0.0}, "train.py:13: call `opt.step()` before `watching.step(loss)`."),
        ({"begin": "pass"}, {"uncleared": 1.0}, "train.py:11: call `opt.zero_grad()` before `loss.backward()`."),
        ({"begin": "net.eval()"}, {"evaluating": 1.0, "mode_matters": 1.0}, "train.py:9: call `net.train()` before"),
        ({}, NO_GAIN, "train.py:6: write `torch.optim.SGD(net.parameters(), lr=1e-05, momentum=0.9)`."),
        (
            {"begin": "made = torch.optim.Adam(net.parameters())"},
            {"stepped": 0.0},
            "train.py:9: move `torch.optim.Adam(net.parameters())` out of the loop.",
        ),
        (
            {"end": "torch.nn.utils.clip_grad_norm_(net.parameters(), 1e-5)"},
            {"clipped": 1.0, "gain_same": 0.2, "falling": 0.0, "left": 1.0},
            "train.py:12: raise the norm in `torch.nn.utils.clip_grad_norm_(net.parameters(), 1e-05)`",
        ),
    ],
)
def test_the_line_of_the_program_and_what_to_type(tmp_path, program, measures, line):
    assert first_line(watched(tmp_path, **program), measures).startswith(line)


def test_names_of_what_is_not_trained(tmp_path):
    text = LOOP.replace("SGD(net.parameters()", "SGD(net[2].parameters()")
    line = first_line(watched(tmp_path, text=text), {"missing": 0.5})
    assert line.startswith("train.py:6: write `torch.optim.SGD(net.parameters(), lr=1e-06, momentum=0.9)`")
    assert "lacks `net[0].weight, net[0].bias`" in line


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = [nn.Linear(4, 4)]  # not registered
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return softmax(self.head(self.blocks[0](x)), dim=1)


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 64).requires_grad_(False)
        self.drop = nn.Dropout(0.96)
        self.head = nn.Linear(64, 3)


def edit_of(model, code, measures=None):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    verdict = Edits(model, optimizer).added_to(judge({"steps": 100.0} | (measures or {})))
    return next(fix.line for fix in verdict.fixes if fix.code == code)


def test_what_the_modules_tell_without_a_program():
    place = edit_of(Listed(), "register_layers", {"unregistered": 0.5})
    assert place.startswith("test_edits.py:")
    assert place.endswith("write `self.blocks = nn.ModuleList(self.blocks)`.")
    assert edit_of(Listed(), "logits", {"squashed_twice": 1.0}).endswith("remove `softmax(…)`.")
    ended = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    assert edit_of(ended, "logits", {"squashed_twice": 1.0}) == "model[1]: remove `nn.Softmax()`."
    frozen = {"frozen": 0.9, "falling": 0.0, "fit_left": 0.9}
    assert edit_of(Frozen(), "unfreeze", frozen) == "Write `model.encoder.requires_grad_(True)`."
    dropping = {"gain_no_dropout_more": 0.5, "loss_last": 1.0, "loss_constant": 1.0}
    assert edit_of(Frozen(), "less_dropout", dropping) == "model.drop: write `nn.Dropout(0.24)`."
    same = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    nn.init.constant_(same[0].weight, 0.1)
    assert "model[0].reset_parameters()" in edit_of(same, "initialize_at_random", {"twin_units": 1.0, "left": 1.0})


def test_nothing_is_told_that_is_not_sure(tmp_path):
    two = LOOP.replace("    with", "    other = torch.optim.SGD(net.parameters(), lr=0.1)\n    with")
    assert first_line(watched(tmp_path, text=two), NO_GAIN) == ""  # which of the two?
    gone = Program(Place(str(tmp_path / "gone.py"), 3))
    assert gone.call("SGD") is None
    assert gone.call_at(3, "step") is None
    assert edit_of(network(), "zero_grad", {"uncleared": 1.0}) == ""


def test_a_saved_watch_keeps_its_lines_and_old_or_strange_ones_open(tmp_path):
    watch = watched(tmp_path, end="pass")
    watch.save(tmp_path / "kept")
    verdict = diagnose_folder(tmp_path / "kept")
    assert verdict.code == "optimizer_not_stepping"
    assert "opt.step()" in str(verdict)
    for edits in (None, [], {"call_step": 3}, {"call_step": {"line": "no_such"}}, {"call_step": {"line": "before"}}):
        facts = json.loads((tmp_path / "kept" / "watch.json").read_text())
        facts["edits"] = edits
        (tmp_path / "kept" / "watch.json").write_text(json.dumps(facts))
        assert diagnose_folder(tmp_path / "kept").fixes == (Fix("call_step", {}),)


def test_lines_are_told_in_both_languages_and_survive_as_data(tmp_path):
    verdict = watched(tmp_path, end="pass").diagnose()
    for language in LANGUAGES:
        with speaking(language):
            assert "`opt.step()`" in str(verdict)
            assert verdict.fixes[0].line in verdict.explain()
    kept = json.loads(json.dumps(verdict.to_dict()["fixes"][0]))
    assert kept["line"] == verdict.fixes[0].line
    assert Fix(**{name: kept[name] for name in ("code", "values")}) == verdict.fixes[0]


def test_a_caller_within_a_library_of_ours_is_nobodys_line():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    names = {"__name__": "thalweg.callbacks", "thalweg": thalweg, "pair": (model, optimizer)}
    exec("watch = thalweg.watch(*pair)", names)  # noqa: S102 - as a callback makes it
    assert names["watch"]._made is None

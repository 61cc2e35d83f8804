"""The widgets' Python side, without a browser: what the page asks is answered as the server answers it."""

import builtins
import json
import sys

import numpy as np
import pytest
import torch

import thalweg
from thalweg.errors import MissingExtraError, ThalwegError
from thalweg.i18n import speaking
from thalweg.server.answers import read_frame
from thalweg.widgets.answering import answer


SMALL = {"points": "blobs", "widths": [3], "count": 40, "batch": 16}
LAB = {"surface": "bowl", "optimizers": [{"optimizer": "adam", "lr": 0.1}], "steps": 20}


def hear(widget, path, body):
    """What the widget sends after a request of its page."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    asked = {"number": 1, "view": "a", "method": "POST", "path": path, "query": {"lang": "en"}}
    asked["body"] = json.dumps(body)
    widget._handle_msg({"content": {"data": {"method": "custom", "content": asked}}, "buffers": []})
    return sent


@pytest.mark.parametrize(
    ("make", "path", "body"),
    [
        (lambda: thalweg.lab("bowl", ["adam"], steps=20), "lab/traces", LAB),
        (lambda: thalweg.lab("bowl", ["adam"], steps=20), "lab/background", LAB),
        (lambda: thalweg.network(**SMALL), "network/frames", {"settings": SMALL, "from": 2, "count": 3}),
        (lambda: thalweg.network(**SMALL), "network/frames", {"settings": {**SMALL, "lr": -1}}),
    ],
)
def test_each_answer_is_that_of_the_page_byte_for_byte(client, make, path, body):
    from_server = client.post(f"/api/{path}", json=body, params={"lang": "en"})
    ((message, (content,)),) = hear(make(), path, body)
    assert (message["number"], message["view"], message["status"]) == (1, "a", from_server.status_code)
    assert content == from_server.content


def test_the_labs_settings_follow_the_page_and_its_traces_follow_them():
    widget = thalweg.lab("bowl", ["adam"], steps=20)
    hear(widget, "lab/traces", {**LAB, "steps": 30, "start": [1, 2]})
    assert widget.settings["steps"] == 30
    (trace,) = widget.traces
    assert (trace.steps, trace.lr) == (30, 0.1)
    expected = thalweg.trace(trace.surface, "adam", lr=0.1, steps=30)
    assert np.array_equal(trace.positions_S2, expected.positions_S2)
    hear(widget, "lab/traces", {**LAB, "steps": 0})
    assert widget.settings["steps"] == 30  # what was refused is not drawn


def test_settings_from_python_reach_the_page_as_its_address():
    widget = thalweg.lab("bowl", ["adam"], steps=20)
    sent = []
    widget.send = sent.append
    widget.settings = {**widget.settings, "optimizers": ["sgd", {"optimizer": "adam", "lr": 0.5}], "noise": 0.1}
    assert sent == [{"fields": widget._fields}]
    assert widget._fields["optimizers"] == "sgd::constant;adam:0.5:constant"
    assert (widget._fields["noise"], widget._fields["seed"]) == ("0.1", None)
    assert [trace.optimizer.name for trace in widget.traces] == ["sgd", "adam"]


def test_a_networks_frames_are_the_pages_of_its_settings(client):
    widget = thalweg.network(**SMALL)
    widget.settings = {**widget.settings, "activation": "relu", "drawn": [], "widths": (2, 2)}
    facts, arrays = widget.frames(start=1, count=2)
    asked = {"settings": {**SMALL, "activation": "relu", "widths": [2, 2]}, "from": 1, "count": 2}
    header, expected = read_frame(client.post("/api/network/frames", json=asked).content)
    assert [layer["units"] for layer in facts["layers"]] == [layer["units"] for layer in header["layers"]] == [2, 2, 2]
    for name, values in expected.items():
        assert np.array_equal(arrays[name].ravel(), values, equal_nan=True), name
    assert widget._fields["widths"] == "2-2"


@pytest.mark.parametrize(
    "make",
    [
        lambda: thalweg.lab("bowl", ["adma"]),
        lambda: thalweg.lab("x +"),
        lambda: thalweg.lab("bowl", optimizers=[]),
        lambda: thalweg.lab("bowl", optimizers=["sgd"] * 9),
        lambda: setattr(thalweg.lab("bowl", ["sgd"], steps=5), "settings", {"optimizers": []}),
        lambda: thalweg.lab("bowl", steps=0),
        lambda: thalweg.network(width=[3]),
        lambda: thalweg.network(lr=-1),
        lambda: setattr(thalweg.lab("bowl", ["sgd"], steps=5), "settings", {"step": 4}),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(make):
    with pytest.raises(ThalwegError):
        make()


def test_only_what_the_tabs_ask_is_answered_and_the_threads_stay():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        asked = {"method": "POST", "path": "trainings", "query": {"lang": "zh-CN"}, "body": "{}"}
        status, content = answer(asked)
        assert status == 400
        with speaking("zh-CN"):
            assert json.loads(content)["error"]["message"] != ""
        assert answer({"method": "POST", "path": "network/frames", "body": json.dumps({"settings": SMALL})})[0] == 200
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_without_anywidget_the_error_says_what_to_install(monkeypatch):
    def without(name, *given, **named):
        if name == "anywidget":
            raise ModuleNotFoundError(name, name=name)
        return real(name, *given, **named)

    real = builtins.__import__
    monkeypatch.delitem(sys.modules, "thalweg.widgets.cells", raising=False)
    monkeypatch.delattr(sys.modules["thalweg.widgets"], "cells", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"thalweg\[notebook\]"):
        thalweg.lab("bowl")

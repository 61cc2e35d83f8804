"""What the processes of one training hold against each other before they work; real ones are in `tests/distributed`."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from made import SMALL as CONFIG
from thalweg.errors import UsageError
from thalweg.runs import class_table, schema
from thalweg.training import session, together, train


@pytest.mark.parametrize("name", ["thalweg", "torch", "pillow"])
def test_a_process_with_another_version_is_refused_before_it_decodes(name):
    """Of tall photos, Pillow 13 makes other pixels than 12: the share of one process would differ."""
    facts = {"versions": {**together._versions(), name: "0.1"}}
    group = SimpleNamespace(rank=1, read=lambda _name, of: [json.dumps(facts) for _ in of])
    with pytest.raises(UsageError) as caught:
        together._photos_of(group, None)
    assert caught.value.key == "distributed.other_version"
    assert (caught.value.values["name"], caught.value.values["there"]) == (name, "0.1")


def _killed(*_given):
    raise KeyboardInterrupt


def test_what_a_killed_preparation_left_is_removed_when_the_processes_start_again(striped, tmp_path, monkeypatch):
    """With the table of many classes, which `Run.save` writes before `config.toml`."""
    out, found = tmp_path / "run", []
    monkeypatch.setattr(class_table, "MOST_IN_CONFIG", 2)
    monkeypatch.setattr(schema, "to_toml", _killed)
    with pytest.raises(KeyboardInterrupt):
        train(striped, CONFIG, out)
    left = {file.name for file in out.iterdir()}
    assert {"split.csv", "classes.csv"} <= left
    group = SimpleNamespace(first=True, remember=lambda _name: str(out))
    monkeypatch.setattr(session, "join", lambda: group)
    monkeypatch.setattr(session, "explaining", nullcontext)
    monkeypatch.setattr(session, "sharded", lambda config, *_given: config)
    monkeypatch.setattr(session, "begin_together", lambda _group, _photos, begin, _listener: begin())
    monkeypatch.setattr(session, "_begun", lambda *_given: found.extend(out.iterdir()) or _killed())
    with pytest.raises(KeyboardInterrupt):
        train(striped, CONFIG, out)
    assert found == []

"""Files that are no weights for the network: each is refused in one sentence, and nothing in it is run or loaded."""

import re

import pytest
import torch

from thalweg.errors import ThalwegError
from thalweg.i18n import speaking
from thalweg.weights import load_weights, open_weights
from weights.wrong import NETWORK, SIZE, TABLES, tiny


FEWEST = {"cut": 60, "code": 30, "others": 25, "headers": 15, "optimizers": 12, "networks": 20, "values": 28}


def fault_of(network, path, sentence):
    """What is wrong with how a file is refused; None if nothing is."""
    try:
        load_weights(network, open_weights(str(path)), name=NETWORK, classes=["a", "b", "c"], size=SIZE)
    except ThalwegError as error:
        texts = []
        for language in ("en", "zh-CN"):
            with speaking(language):
                texts.append(str(error))
    else:
        return "loaded"
    right = all(path.name in text and "\n" not in text and len(text) < 900 for text in texts)
    return None if right and re.search(sentence, texts[0]) else texts


def test_there_are_two_hundred():
    assert sum(FEWEST.values()) >= 190


@pytest.mark.parametrize(
    "table", [pytest.param(table, marks=pytest.mark.slow if table == "networks" else ()) for table in TABLES]
)
def test_each_is_refused_in_a_sentence_and_nothing_is_run_or_loaded(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, faults, names = tiny(), {}, set()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for name, content, sentence in TABLES[table]():
        path = tmp_path / name
        path.write_bytes(content)
        if fault := fault_of(network, path, sentence):
            faults[name] = fault
        path.unlink()
        names.add(name)
        assert not list(tmp_path.iterdir()), name
        assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items()), name
    assert not faults
    assert len(names) >= FEWEST[table]

"""What the processes of one training hold against each other before they work; real ones are in `tests/distributed`."""

import json
from types import SimpleNamespace

import pytest

from thalweg.errors import UsageError
from thalweg.training import together


@pytest.mark.parametrize("name", ["thalweg", "torch", "pillow"])
def test_a_process_with_another_version_is_refused_before_it_decodes(name):
    """Of tall photos, Pillow 13 makes other pixels than 12: the share of one process would differ."""
    facts = {"versions": {**together._versions(), name: "0.1"}}
    group = SimpleNamespace(rank=1, read=lambda _name, of: [json.dumps(facts) for _ in of])
    with pytest.raises(UsageError) as caught:
        together._photos_of(group, None)
    assert caught.value.key == "distributed.other_version"
    assert (caught.value.values["name"], caught.value.values["there"]) == (name, "0.1")

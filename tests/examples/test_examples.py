"""Every example runs, as it stands, in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


SAID = Path(__file__).parents[2] / "docs" / "watch.md"
FAST = {"trace_a_valley"}
EXAMPLES = [
    pytest.param(path, id=path.stem, marks=() if path.stem in FAST else pytest.mark.slow)
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
]
WATCHED = {
    "watch_character_model": "The learning rate is too small",
    "watch_photos": "The gradients are never cleared: zero_grad is missing",
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_and_says_something(example):
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if example.stem in WATCHED:  # once as it should be, once broken on purpose
        titles = [part.splitlines()[1].partition(" (")[0] for part in done.stdout.split("--- ")[1:]]
        assert titles == ["Training is healthy", WATCHED[example.stem]]
        lines = [line for line in done.stdout.splitlines() if not line.startswith(("Next nearest", "If that is wrong"))]
        words = [re.sub(r"[-+.,\d]*\d(e-?\d+)?", "#", line) for line in lines]
        told = re.sub(r"[-+.,\d]*\d(e-?\d+)?", "#", SAID.read_text(encoding="utf-8")).splitlines()
        assert not set(words) - set(told), "docs/watch.md quotes what it says"

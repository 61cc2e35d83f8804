"""A real training, killed and resumed, is logged with every row once. `benchmarks/logger_kills.py` does it 50 times."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parents[2] / "benchmarks" / "logger_kills.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be killed")
@pytest.mark.parametrize("kind", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_killed_and_resumed_five_times(striped, kind):
    if find_spec(kind) is None:
        pytest.skip('the extra "log" is not installed')
    command = [sys.executable, "-W", "ignore", SCRIPT, striped, kind, "--kills", "5", "--epochs", "20"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 rows lost, 0 twice" in done.stdout

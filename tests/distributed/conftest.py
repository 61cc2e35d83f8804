"""Scripts that several processes run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def run_script(tmp_path_factory):
    """Run a script of this folder under torchrun; return what each process wrote to FOLDER/RANK.json."""

    def run(script, processes, *arguments):
        folder = tmp_path_factory.mktemp("ranks")
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [
            sys.executable,
            "-W",
            "ignore",
            *launch,
            str(Path(__file__).with_name(script)),
            str(folder),
            *arguments,
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]

    return run

"""The notebooks are those of the scripts, small, and run; an interrupted kernel leaves a run to go on with."""

import csv
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import pytest

from thalweg.runs import Run


ROOT = Path(__file__).parents[2]
IN_PLACE = [("hw3", "en"), ("hw3", "zh-CN"), ("why-is-it-stuck", "en"), ("optimizers", "zh-CN")]
# What Jupyter says of itself: pages of older or newer formats, and ports that it binds.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::UserWarning")


@pytest.fixture(scope="module")
def tool():
    pytest.importorskip("nbclient")
    specification = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_notebook_is_its_script_in_both_languages_with_small_outputs(tool):
    expected = {tool.path_of(name, language) for name in tool.names() for language in tool.LANGUAGES}
    assert set(tool.HOME.glob("*.ipynb")) == expected
    assert {"hw3", "why-is-it-stuck", "optimizers"} <= set(tool.names())
    for name in tool.names():
        for language in tool.LANGUAGES:
            path = tool.path_of(name, language)
            built, kept = tool.build(name, language), json.loads(path.read_text(encoding="utf-8"))
            sources = [(cell.cell_type, cell.source) for cell in built.cells]
            assert [(cell["cell_type"], "".join(cell["source"])) for cell in kept["cells"]] == sources, path.name
            assert path.stat().st_size <= tool.MOST_BYTES, path.name
            shown = [cell for cell in kept["cells"] if cell.get("outputs")]
            assert len(shown) >= 3, f"{path.name}: python tools/notebooks.py {name}"
            assert not [found for cell in shown for found in cell["outputs"] if found["output_type"] == "error"]
            assert not re.search(r"/(tmp|home|root|work)/", path.read_text(encoding="utf-8")), "no machine's paths"
            assert tool.colab(name, language) in sources[0][1]


def test_the_readme_opens_the_homework_in_colab(tool):
    for readme, language in (("README.md", "en"), ("README.zh-CN.md", "zh-CN")):
        assert tool.colab("hw3", language) in (ROOT / readme).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "language"), IN_PLACE)
def test_a_notebook_runs_and_prints_no_warning(tool, tmp_path, monkeypatch, name, language):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    notebook = tool.build(name, language)
    tool.execute(notebook, tmp_path, language)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    html = " ".join(output["data"].get("text/html", "") for output in outputs if "data" in output)
    assert 'class="thalweg"' in html
    assert f'lang="{language}"' in html
    if name == "hw3":
        rows = list(csv.reader((tmp_path / "submission.csv").read_text(encoding="utf-8").splitlines()))
        assert rows[0] == ["Id", "Category"]
        assert len(rows) == 1 + 1000
        assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 2
        assert Run.open(tmp_path / "runs" / "builtin").summary()["stopped"] == "done"


TRAINING = """
import os, signal, threading, time
import thalweg
from pathlib import Path

def interrupt():  # what Jupyter's button does
    while not Path("run/history/steps").exists() or Path("run/history/steps").stat().st_size < 600:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
thalweg.train({photos!r}, out="run", model="resnet-small", size=16, epochs=100_000, batch_size=16, augment="none",
              precision="fp32", layout="channels-last", threads=1)
"""


@pytest.mark.slow
def test_an_interrupted_kernel_leaves_a_whole_run_and_a_last_chart_that_says_so(tool, tmp_path, monkeypatch, striped):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    code = TRAINING.replace("{photos!r}", repr(str(striped)))
    notebook = tool.new_notebook(
        cells=[tool.new_code_cell(code)], metadata={"kernelspec": {"name": "python3", "display_name": ""}}
    )
    tool.execute(notebook, tmp_path, "en")
    (live, result) = notebook.cells[0].outputs
    assert "Interrupted after step" in live["data"]["text/html"]
    assert live["data"]["text/html"].count("<svg") == 2
    assert "thalweg.resume(" in live["data"]["text/plain"]
    assert "can be resumed" in result["data"]["text/html"]
    run = Run.open(tmp_path / "run")
    assert run.summary()["stopped"] == "interrupted"
    assert run.last.exists()
    from thalweg.training import resume

    step = run.summary()["steps"]
    resumed = resume(run.path, epochs=run.summary()["epochs"] + 1)
    assert resumed.summary()["stopped"] == "done"
    assert resumed.summary()["steps"] > step

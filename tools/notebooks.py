"""Build the notebooks: from the scripts in `notebooks/src`, in both languages, with their outputs.

A script has cells: `# %%` begins one of code, `# %% [markdown]` one of text, and a language behind it says that only
that edition has the cell. Run `python tools/notebooks.py` for all, `python tools/notebooks.py hw3` for one, and with
`--sources` to build without running anything, from the outputs that the notebooks have.
"""  # noqa: INP001 - a script

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image


HOME = Path(__file__).parents[1] / "notebooks"
SOURCES = HOME / "src"
LANGUAGES = ("en", "zh-CN")
REPOSITORY = "thalweg/thalweg"  # where Colab finds the notebooks
MOST_BYTES = 600_000  # of a notebook with its outputs
TIMEOUT_S = 600
_HEAD = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?: (?P<language>\S+))?$", re.MULTILINE)
_COLAB = {"en": "Open in Colab", "zh-CN": "在 Colab 中打开"}


def names() -> list[str]:
    """The notebooks, without language and ending."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def path_of(name: str, language: str) -> Path:
    """The file of a notebook; the English one has no language in its name."""
    return HOME / (f"{name}.ipynb" if language == "en" else f"{name}.{language}.ipynb")


def colab(name: str, language: str) -> str:
    """The link that opens a notebook in Colab."""
    file = path_of(name, language).name
    return f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/notebooks/{file}"


def build(name: str, language: str) -> Any:
    """Make a notebook from its script, without outputs.

    Args:
        name: of the script.
        language: of the edition.
    """
    script = (SOURCES / f"{name}.py").read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(script))
    ends = [*(head.start() for head in heads[1:]), len(script)]
    cells = []
    for head, end in zip(heads, ends, strict=True):
        if head["language"] not in (None, language):
            continue
        source = script[head.end() : end].strip("\n")
        if head["markdown"]:
            source = "\n".join(line.removeprefix("#").removeprefix(" ") for line in source.splitlines())
        make = new_markdown_cell if head["markdown"] else new_code_cell
        cells.append(make(source, id=f"{name}-{len(cells)}"))
    title, rest = cells[0].source.split("\n", 1)
    cells[0].source = f"{title}\n\n[{_COLAB[language]}]({colab(name, language)}){rest and chr(10) + rest}"
    notebook = new_notebook(cells=cells)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def execute(notebook: Any, folder: Path, language: str) -> None:
    """Run all cells in a new kernel, and keep their outputs.

    Args:
        notebook: as from `build`.
        folder: what the cells write goes there.
        language: that thalweg speaks.

    Raises:
        CellExecutionError: a cell failed.
    """
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources=resources, record_timing=False)
    client.execute(env={**os.environ, "THALWEG_LANG": language})


def shrink(notebook: Any) -> None:
    """Give the pictures of the outputs 256 colors: what is committed stays small."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if content := output.get("data", {}).get("image/png"):
                picture = Image.open(io.BytesIO(b64decode(content))).convert("RGB")
                smaller = io.BytesIO()
                picture.quantize(256, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
                output["data"]["image/png"] = b64encode(smaller.getvalue()).decode()


def keep_outputs(notebook: Any, path: Path) -> None:
    """Take the outputs of cells whose source has not changed from the file of before."""
    if not path.exists():
        return
    old = {cell.source: cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source in old:
            cell.outputs, cell.execution_count = old[cell.source].outputs, old[cell.source].execution_count


def main() -> None:
    """Build the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks; all by default")
    parser.add_argument("--sources", action="store_true", help="run nothing; keep the outputs of cells that stay")
    asked = parser.parse_args()
    for name in asked.names or names():
        for language in LANGUAGES:
            notebook, path = build(name, language), path_of(name, language)
            if asked.sources:
                keep_outputs(notebook, path)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    execute(notebook, Path(folder), language)
                shrink(notebook)
            text = nbformat.writes(notebook)
            path.write_text(text + "\n", encoding="utf-8")
            if len(text.encode()) > MOST_BYTES:
                sys.exit(f"{path}: {len(text.encode()):,} bytes, more than {MOST_BYTES:,}")
            print(f"{path}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
